"""Leaves out what a model thinks before it replies, where an endpoint sends it within the reply.

Reasoning models write `<think>…</think>` and then their reply; an endpoint that does not take
it apart streams both. It counts as a thought only at the start: a reply may talk about the tag.
Tags are often sloppy: one within another, or ended by a tag of another name. A reply must not be
lost by that, so what follows such an end is kept until the thought's own end has come, or that of
the stream.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

_NAMES = (
    *("think", "thinking", "thought", "thoughts", "reason", "reasoning", "reflection", "analysis"),
    *("scratchpad", "monologue", "inner_monologue", "chain_of_thought", "antthinking"),
    "seed:think",
)
"""Of tags that hold thoughts, in lower case; any case counts. The last is that of Seed-OSS."""

_LONGEST_TAG = 256
_LONGEST_BEFORE = 1000
"""So much white space before a tag is looked at, so that a model that sends nothing else costs no
time."""
_WITHIN = r"[^<>\[\]◁▷]"
"""What a tag may hold: nothing of another tag, or it would depend on the cut which comes first."""
_ATTRIBUTES = rf"(?:\s+[\w:-]+\s{{0,3}}={_WITHIN}{{0,180}}?)?"
"""Without a `=` it is no tag, but words in angle brackets."""
_CHANNEL = r"(?:<\|start\|>assistant)?<\|channel\|>"
_TAG = re.compile(
    rf"<\s{{0,3}}(?P<end>/?)\s{{0,3}}(?P<name>{'|'.join(_NAMES)}){_ATTRIBUTES}\s{{0,3}}(?P<empty>/?)>"
    r"|\[/?think\]|◁/?think▷"  # Magistral's and Kimi's
    r"|<\|(?P<token>begin|end)_of_thought\|>"  # Sky-T1's
    # Harmony, the format of gpt-oss.
    rf"|{_CHANNEL}(?P<channel>analysis|commentary|final){_WITHIN}{{0,60}}<\|message\|>|(?P<stop><\|end\|>)",
    re.IGNORECASE,
)
_START = re.compile(r"[<\[◁]")
_UNFINISHED_TAG = re.compile(
    r"<\s{0,3}/?\s{0,3}(?P<name>[\w:]*)"
    rf"(?P<more>\s+(?:[\w:-]+\s{{0,3}}(?:={_WITHIN}{{0,184}})?)?)?/?"
)
_UNFINISHED_CHANNEL = re.compile(rf"{_CHANNEL}{_WITHIN}{{0,71}}(?:<[^<>]{{0,9}})?", re.IGNORECASE)
_TOKENS = (
    *("[think]", "[/think]", "◁think▷", "◁/think▷", "<|begin_of_thought|>", "<|end_of_thought|>"),
    *("<|start|>assistant<|channel|>", "<|channel|>", "<|end|>", "<|begin_of_solution|>"),
)

_REPLY = re.compile(r"<(?:(?P<name>answer|response)|\|begin_of_solution\|)>", re.IGNORECASE)
_REPLY_NAMES = ("answer", "response")
_REPLY_END = re.compile(
    r"<(?:/(?:answer|response)|\|end_of_solution\||\|return\||\|end\|)>", re.IGNORECASE
)
_LONGEST_REPLY_END = len("<|end_of_solution|>")

_SKIPPED = r"[\s\ufeff\u200b-\u200d\u2060]*"
_BLANK = re.compile(_SKIPPED)
_FENCE = re.compile(r"`{3,}|~{3,}")
_BEFORE = re.compile(rf"{_SKIPPED}(?:(?:`{{3,}}|~{{3,}}){_SKIPPED})?")
"""What may come before a thought: white space, and a fence that some models put around it."""
_UNFINISHED_FENCE = ("", "`", "``", "~", "~~")


class _Mark(NamedTuple):
    """What a tag does, and to thoughts of which name."""

    does: Literal["begin", "end", "nothing", "begin reply"]
    name: str


class ThoughtFilter:
    """Filters one reply.

    Attributes:
        thinks: whether a thought has been left out, or is being left out.
    """

    def __init__(self) -> None:
        self.thinks = False
        self._held = ""
        self._open: list[str] = []  # the thoughts that have begun, the innermost last
        self._perhaps_reply: list[str] | None = None  # what followed a tag that may have ended it
        self._fenced = False
        self._tagged = False
        self._begun = False
        self._reply_ends = False

    def feed(self, text: str) -> str:
        """Return the part of the reply that is known by now."""
        if self._begun and not self._reply_ends:
            return text
        self._held += text
        if self._begun:
            return self._pass_reply_end()
        while True:
            if self._open:
                if not self._skip_thought():
                    return ""
            elif not self._skip_tag():
                return "" if self._may_become_tag() else self._release()

    def flush(self) -> str:
        """Return what was held back, at the end of the reply; of a thought, nothing."""
        if self._begun:
            text, self._held = self._held, ""
            return text
        if self._open:
            if self._perhaps_reply is None:
                return ""
            # The thought's own end never came, so the last that looked like one was its end.
            self._held = "".join(self._perhaps_reply) + self._held
        return self._release() + self.flush()

    def _skip_tag(self) -> bool:
        """Drop a tag that the reply would begin with; whether there is one."""
        if self._tagged:
            self._drop_separation()
        at = _end_of(_BEFORE, self._held)
        if at > _LONGEST_BEFORE:
            return False
        found = _TAG.match(self._held, at)
        if found is not None:
            self._take(_mark(found))
        else:
            found = _REPLY.match(self._held, at)
            if found is None or not (self.thinks or found["name"] is None):
                return False
            self._reply_ends = True
        self._fenced = self._fenced or not _BLANK.fullmatch(self._held, 0, at)
        self._tagged = True
        self._held = self._held[found.end() :]
        return True

    def _drop_separation(self) -> None:
        """Drop white space after a thought as it comes, so that it is never too much to look at."""
        self._held = self._held[_end_of(_BLANK, self._held) :]
        if self._fenced and (fence := _FENCE.match(self._held)) is not None:
            blank = _BLANK.match(self._held, fence.end())
            if blank is not None and blank[0]:
                self._held = f"{fence[0]} {self._held[blank.end() :]}"

    def _take(self, mark: _Mark) -> None:
        self.thinks = self.thinks or mark.does != "begin reply"
        if mark.does == "begin reply":
            self._open.clear()
            self._reply_ends = True
        elif mark.does == "begin":
            self._open.append(mark.name)
        elif mark.does == "end" and mark.name in self._open:
            while self._open.pop() != mark.name:
                pass

    def _skip_thought(self) -> bool:
        """Drop what is held of a thought; whether it has ended."""
        at = 0
        for found in _TAG.finditer(self._held):
            mark = _mark(found)
            if self._perhaps_reply is not None:
                self._perhaps_reply.append(self._held[at : found.end()])
            at = found.end()
            self._take(mark)
            if not self._open:
                self._held, self._perhaps_reply = self._held[at:], None
                return True
            if mark.does == "end" and mark.name != "channel":
                self._perhaps_reply = []
        # What is left may hold the start of a tag.
        start = _START.search(self._held, max(at, len(self._held) - _LONGEST_TAG))
        rest = start.start() if start else len(self._held)
        if self._perhaps_reply is not None:
            self._perhaps_reply.append(self._held[at:rest])
        self._held = self._held[rest:]
        return False

    def _may_become_tag(self) -> bool:
        at = _end_of(_BEFORE, self._held)
        if at > _LONGEST_BEFORE:
            return False
        start = self._held[at:].lower()
        if start in _UNFINISHED_FENCE or any(token.startswith(start) for token in _TOKENS):
            return True
        if _UNFINISHED_CHANNEL.fullmatch(start):
            return True
        found = _UNFINISHED_TAG.fullmatch(start)
        if found is None:
            return False
        names = (*_NAMES, *_REPLY_NAMES) if self.thinks else _NAMES
        name = found["name"]
        if found["more"] is None:
            return any(known.startswith(name) for known in names)
        return name in names

    def _release(self) -> str:
        self._begun = True
        if self._tagged:
            # What separates the thought from the reply belongs to neither.
            self._held = self._held[_end_of(_BEFORE if self._fenced else _BLANK, self._held) :]
        if self._reply_ends:
            return self._pass_reply_end()
        text, self._held = self._held, ""
        return text

    def _pass_reply_end(self) -> str:
        """Return what is held, without the tag that ends the reply."""
        if (end := _REPLY_END.search(self._held)) is not None:
            text, self._held = self._held[: end.start()] + self._held[end.end() :], ""
            self._reply_ends = False
            return text
        at = self._held.rfind("<", -_LONGEST_REPLY_END)
        at = len(self._held) if at < 0 else at
        text, self._held = self._held[:at], self._held[at:]
        return text


def _end_of(pattern: re.Pattern[str], text: str) -> int:
    """Return where what the pattern matches at the start ends; 0 if it matches nothing."""
    found = pattern.match(text)
    return found.end() if found else 0


def _mark(tag: re.Match[str]) -> _Mark:
    if tag["name"]:
        does: Literal["begin", "end"] = "end" if tag["end"] else "begin"
        return _Mark("nothing" if tag["empty"] else does, tag["name"].lower())
    if tag["channel"]:
        return _Mark("begin reply" if tag["channel"].lower() == "final" else "begin", "channel")
    if tag["stop"]:
        return _Mark("end", "channel")
    ends = "/" in tag[0] or (tag["token"] or "").lower() == "end"
    return _Mark("end" if ends else "begin", tag[0][0])
