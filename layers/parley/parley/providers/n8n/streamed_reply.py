"""From the lines of a streamed answer to the text of the reply: a plain object, without I/O.

A node that streams begins a run, sends pieces, and ends the run. An agent has a run for each round
of its model, so a reply may be several. n8n runs one node at a time: a run that begins within
another one is of a sub-agent, which works for the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from parley.providers.n8n.bad_answer import BadAnswer
from parley.providers.n8n.fields import find_text, has_error, parse_json
from parley.providers.replies.thought_filter import ThoughtFilter
from parley.text.blank import is_blank

_KINDS = ("begin", "item", "end", "error", "keepalive")
"""`keepalive` comes every 30 s, and says nothing."""
_PAGE = ("<!doctype", "<html")

RunKey = tuple[str, str]
"""A node's id, and which of its runs it is."""
_NOBODY: RunKey = ("", "")


def is_chunk(found: Any) -> bool:
    """Return whether a line of JSON is one of a streamed answer."""
    return isinstance(found, dict) and found.get("type") in _KINDS


@dataclass(slots=True)
class _Run:
    """One run of one node.

    Attributes:
        has_begun: it said so, and will say that it ends.
        is_inner: it began within another one.
        text: all of it.
        held: the end of it that has not been said.
    """

    key: RunKey
    has_begun: bool
    is_inner: bool
    text: str = ""
    held: str = ""
    has_piece: bool = False
    has_spoken: bool = False
    thoughts: ThoughtFilter = field(default_factory=ThoughtFilter)


class StreamedReply:
    """Reads one streamed answer.

    Attributes:
        is_failed: a node failed, and nothing has been said since. A workflow may go on after that.
    """

    def __init__(self) -> None:
        self.is_failed = False
        self._is_broken = False  # the last line is half a line
        self._open: list[_Run] = []
        self._over: list[tuple[str, str]] = []
        """Of each run that was said, the node and the text, with single spaces."""
        self._inner: list[str] = []
        self._said = ""

    def take(self, line: str) -> Iterator[str]:
        """Yield what of the reply is known with this line.

        Raises:
            BadAnswer: a proxy has put a page of its own into the answer.
        """
        if not line.strip():
            return
        try:
            found = parse_json(line)
        except ValueError:
            yield from self._take_oddity(line)
            return
        self._is_broken = False
        if not isinstance(found, dict):
            yield from self._add(_NOBODY, find_text(found))
            return
        if not is_chunk(found):
            return
        key, content = _key_of(found.get("metadata")), found.get("content")
        kind = found["type"]
        if kind == "begin":
            yield from self._begin(key)
        elif kind == "item":
            yield from self._add(key, content if isinstance(content, str) else find_text(content))
        elif kind in ("end", "error"):
            yield from self._end(key)
            self.is_failed = self.is_failed or kind == "error"

    def close(self) -> Iterator[str]:
        """Yield the rest, at the end of the answer. It has no other end.

        Raises:
            BadAnswer: it ended within a line.
        """
        for run in reversed(self._open[:]):
            yield from self._finish(run)
        if self._is_broken:
            raise BadAnswer("connection_lost", "unavailable")
        if is_blank(self._said) and self._inner:
            yield self._note(" ".join(self._inner))

    def _take_oddity(self, line: str) -> Iterator[str]:
        """Take a line that is no JSON: text, as n8n's own client has it, unless it shows that it
        is something else."""
        start = line.lstrip("\ufeff \t\r").lower()
        if start.startswith(_PAGE):
            raise BadAnswer("timeout", "timeout")
        self._is_broken = start.startswith("{")
        if not self._is_broken:
            yield from self._add(_NOBODY, line.rstrip("\r") + "\n")

    def _begin(self, key: RunKey) -> Iterator[str]:
        for run in self._open[:]:
            if run.key == key or not run.has_begun:
                yield from self._finish(run)
        self._open.append(_Run(key, has_begun=True, is_inner=bool(self._open)))

    def _add(self, key: RunKey, content: str) -> Iterator[str]:
        run = self._run_of(key)
        if not run.has_piece:
            content, run.has_piece = self._read_node(content), bool(content)
        yield from self._show(run, run.thoughts.feed(content))

    def _read_node(self, content: str) -> str:
        """Return the text of a run's first piece: a Respond to Webhook node sends all of its JSON
        in one."""
        if content[:1] not in ("{", "["):
            return content
        try:
            found = parse_json(content)
        except ValueError:
            return content
        items = found if isinstance(found, list) else [found]
        if not all(isinstance(item, dict) for item in items):
            return content
        text = find_text(found)
        self.is_failed = self.is_failed or (has_error(found) and not text)
        return text

    def _end(self, key: RunKey) -> Iterator[str]:
        for run in self._open[:]:
            if run.key == key:
                yield from self._finish(run)

    def _run_of(self, key: RunKey) -> _Run:
        if key == _NOBODY and self._open:
            return self._open[0]
        for run in self._open:
            if run.key == key:
                return run
        run = _Run(key, has_begun=False, is_inner=any(run.has_begun for run in self._open))
        self._open.append(run)
        return run

    def _finish(self, run: _Run) -> Iterator[str]:
        self._open.remove(run)
        yield from self._show(run, run.thoughts.flush())
        text = _spaced(run.text)
        if run.is_inner:
            self._inner += [text] if text else []
            return
        if run.held and text not in self._texts_of_others(run):
            yield self._speak(run)
        if run.has_spoken:
            self._over.append((run.key[0], text))

    def _show(self, run: _Run, text: str) -> Iterator[str]:
        if not text:
            return
        run.text += text
        run.held += text
        if run.is_inner or (not run.has_spoken and self._may_repeat(run)):
            return
        yield self._speak(run)

    def _may_repeat(self, run: _Run) -> bool:
        """Return whether a node may be about to say what another one has said: an agent's text,
        streamed again by the Respond to Webhook node behind it."""
        text = _spaced(run.text)
        return any(other.startswith(text) for other in self._texts_of_others(run))

    def _texts_of_others(self, run: _Run) -> list[str]:
        texts = [text for node, text in self._over if node != run.key[0]]
        return [*texts, _spaced(self._said)] if texts else []

    def _speak(self, run: _Run) -> str:
        text, run.held = run.held, ""
        starts = not run.has_spoken and self._said
        run.has_spoken = True
        if starts and not (self._said[-1].isspace() or text[0].isspace()):
            text = f" {text}"
        return self._note(text)

    def _note(self, text: str) -> str:
        self._said += text
        self.is_failed = False
        return text


def _key_of(metadata: Any) -> RunKey:
    if not isinstance(metadata, dict):
        return _NOBODY
    return str(metadata.get("nodeId") or ""), str(metadata.get("runIndex") or "")


def _spaced(text: str) -> str:
    return " ".join(text.split())
