"""A transcript out of an answer, whichever of its forms the server chose.

A server that was asked for a stream may answer with JSON, and the events of streams differ. So the
content says what it is: a JSON object with `text`, OpenAI's events, those of vLLM, which look like
a chat's, or plain text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from parley.providers.openai_audio.languages import code_of
from parley.providers.replies.event_stream import (
    EventStreamParser,
    EventTooLarge,
    ServerSentEvent,
)
from parley.providers.replies.failures import BrokenOff, ErrorInAnswer, Nonsense
from parley.text.scripts import join_texts

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""An hour of speech has 60 KB of text; `verbose_json` some ten times that."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a transcript.

    Attributes:
        no_speech: how likely it is that nobody spoke, 0 to 1; None if the server does not say.
        logprob: mean log probability of its tokens; None if the server does not say.
    """

    text: str
    no_speech: float | None = None
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a model made of an utterance.

    Attributes:
        language: ISO 639 code of what it heard; empty if it does not say.
        segments: its parts; empty if the server does not say.
    """

    text: str
    language: str = ""
    segments: tuple[Segment, ...] = ()


class TranscriptReader:
    """Reads one answer.

    Args:
        content_type: of the answer; says what it is only where the content does not.
    """

    def __init__(self, content_type: str = "") -> None:
        self._plain = content_type.lower().startswith("text/plain")
        self._body = bytearray()
        self._events: EventStreamParser | None = None
        self._deltas: list[str] = []
        self._parts: list[str] = []
        self._done: Transcript | None = None
        self._ended = False
        self._decided = False

    def feed(self, chunk: bytes) -> str:
        """Take the next bytes. Return the transcript so far if it has grown, else nothing.

        Raises:
            Nonsense, ErrorInAnswer: see there.
        """
        if self._events is None:
            self._body += chunk
            if len(self._body) > MAX_ANSWER_BYTES:
                raise Nonsense
            if self._decided or not self._is_stream():
                return ""
            self._events, chunk = EventStreamParser(), bytes(self._body)
        before = self._so_far()
        try:
            for event in self._events.feed(chunk):
                self._take(event)
        except EventTooLarge:
            raise Nonsense from None
        after = self._so_far()
        return after if after != before else ""

    def close(self) -> Transcript:
        """Return the transcript, at the end of the answer.

        Raises:
            Nonsense, BrokenOff, ErrorInAnswer: see there.
        """
        if self._events is None:
            return self._whole()
        for event in self._events.close():
            self._take(event)
        if self._done is not None:
            return self._done
        if not (self._ended or self._parts):
            if self._deltas:
                raise BrokenOff
            raise Nonsense
        return Transcript(self._so_far())

    def _is_stream(self) -> bool:
        begun = bytes(self._body).removeprefix(b"\xef\xbb\xbf").lstrip()
        if not begun:
            return False
        names = (b"data:", b"event:", b"id:", b"retry:", b"error:", b":")
        if any(begun.startswith(name) for name in names):
            self._decided = True
            return True
        # What is cut within a field's name shows only with the next bytes.
        self._decided = not any(name.startswith(begun) for name in names)
        return False

    def _so_far(self) -> str:
        return join_texts(self._parts) if self._parts else "".join(self._deltas).strip()

    def _take(self, event: ServerSentEvent) -> None:
        if event.data.strip() == "[DONE]":
            self._ended = True
            return
        found = _parsed(event.data)
        if event.kind == "error" or (isinstance(found, dict) and found.get("error")):
            raise ErrorInAnswer(found.get("error", found) if isinstance(found, dict) else found)
        if not isinstance(found, dict):
            if event.data.startswith(("{", "[")):
                raise Nonsense
            self._parts.append(event.data.strip())  # the oldest servers: the text of a segment
            return
        kind = found.get("type")
        if kind == "transcript.text.delta":
            self._deltas.append(_text(found.get("delta")))
        elif kind == "transcript.text.done":
            self._done = _transcript(found)
        elif kind is None and isinstance(found.get("choices"), list):
            self._take_choices(found["choices"])
        elif kind is None and "text" in found:
            self._parts.append(_text(found["text"]).strip())

    def _take_choices(self, choices: list[Any]) -> None:
        for choice in choices[:1]:
            if not isinstance(choice, dict):
                raise Nonsense
            delta = choice.get("delta")
            if isinstance(delta, dict):
                self._deltas.append(_text(delta.get("content")))
            self._ended = self._ended or bool(choice.get("finish_reason"))

    def _whole(self) -> Transcript:
        body = self._body.decode(errors="replace").removeprefix("\ufeff").strip()
        found = _parsed(body)
        if isinstance(found, dict):
            if found.get("error") and not found.get("text"):
                raise ErrorInAnswer(found["error"])
            if isinstance(found.get("text"), str | None) and "text" in found:
                return _transcript(found)
        elif isinstance(found, str):  # text, in quotes
            return Transcript(found.strip())
        elif self._plain and not body.startswith(("{", "[", "<")):
            return Transcript(body)
        raise Nonsense


def _transcript(found: dict[str, Any]) -> Transcript:
    languages = found.get("languages")
    first = languages[0] if isinstance(languages, list) and languages else None
    told = first.get("code") if isinstance(first, dict) else first
    segments = found.get("segments")
    return Transcript(
        _text(found.get("text")).strip(),
        code_of(found.get("language") or found.get("detected_language") or told),
        tuple(
            Segment(
                _text(one.get("text")).strip(),
                _number(one.get("no_speech_prob")),
                _number(one.get("avg_logprob")),
            )
            for one in (segments if isinstance(segments, list) else ())
            if isinstance(one, dict)
        ),
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
