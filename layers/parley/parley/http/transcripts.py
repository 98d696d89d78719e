"""Renders conversations as data, as Markdown, and as WebVTT.

The conversions are pure functions of what `parley.storage.session_reader` reads. Words that were
not heard, because the user interrupted, stay and are marked.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict

from parley.protocol.messages import Usage
from parley.storage.recordings import Side
from parley.storage.session_reader import Conversation, Head, Record, Status

SILENT_MS_PER_CHAR = 60
"""How long a caption without sound is shown, in ms for each character."""
LEAST_MS = 1_000
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~]|&(?=#?\w+;))")


def _side(record: Record) -> Side:
    return "assistant" if record.message.role == "assistant" else "user"


_SPEAKERS = {"user": "User", "assistant": "Assistant"}


class SessionSummary(Struct, omit_defaults=True):
    """A session, without what was said in it."""

    id: str
    created_at: datetime
    last_turn_at: datetime | None
    status: Status
    """`active` can be resumed; `ended` was ended; `expired` was not resumed in time."""


class MessageView(Struct, omit_defaults=True):
    """A message of a conversation."""

    role: Literal["user", "assistant"]
    turn_id: str
    at: datetime
    """When it began to sound; for a typed message, when it was sent."""
    duration_ms: int
    """0 for a message without sound."""
    text: str
    heard: str | None = None
    """The part that was heard, if not all was."""
    heard_estimated: bool = False
    """Whether the synthesizer gave no times, so that `heard` is an estimate."""
    heard_ms: int | None = None
    """How much of its sound was heard, if not all was."""
    language: str | None = None
    """ISO 639 code, where the deployment detects languages."""
    recording: str | None = None
    """URL of its recording (WAV), valid for five minutes."""
    tools: list[str] = []
    """What was called in its turn, by name; with the turn's last message."""


class SessionView(SessionSummary, kw_only=True):
    """A session with everything that was said in it."""

    turns: int
    duration_ms: int
    """From its first message to the end of its last."""
    usage: Usage
    """What its turns have used that have ended."""
    messages: list[MessageView] = []


def summarize_session(head: Head, now_s: float) -> SessionSummary:
    """Return a session's entry in the list."""
    since_ms = head.active_since_ms
    return SessionSummary(
        id=head.session.session_id,
        created_at=datetime.fromtimestamp(head.created_at_s, UTC),
        last_turn_at=_to_datetime(since_ms) if since_ms else None,
        status=head.status(now_s),
    )


def view_session(
    conversation: Conversation, now_s: float, links: Mapping[tuple[str, Side], str]
) -> SessionView:
    """Return a session with its messages.

    Args:
        now_s: the time, in s since the epoch.
        links: URLs of recordings, by turn and side.
    """
    messages = [
        MessageView(
            role=_side(record),
            turn_id=record.message.turn_id,
            at=_to_datetime(_start_ms(record)),
            duration_ms=record.sound.duration_ms,
            text=record.message.text,
            heard=record.message.heard,
            heard_estimated=record.message.heard_estimated,
            heard_ms=record.sound.heard_ms,
            language=record.message.language,
            recording=links.get((record.message.turn_id, _side(record))),
            tools=[*record.tools],
        )
        for record in conversation.records
    ]
    records = conversation.records
    ends_ms = [_start_ms(record) + record.sound.duration_ms for record in records]
    starts_ms = [_start_ms(record) for record in records]
    return SessionView(
        **asdict(summarize_session(conversation.head, now_s)),
        turns=len({record.message.turn_id for record in records}),
        duration_ms=max(ends_ms) - min(starts_ms) if records else 0,
        usage=conversation.usage,
        messages=messages,
    )


def render_markdown(conversation: Conversation) -> str:
    """Return a conversation as Markdown; words that were not heard are struck out."""
    began = datetime.fromtimestamp(conversation.head.created_at_s, UTC)
    lines = [f"# Conversation of {began:%Y-%m-%d %H:%M} UTC"]
    for record in conversation.records:
        heard, unheard = _split_heard(record)
        text = _escape_markdown(heard)
        if unheard.strip():
            gap = _find_gap(heard, unheard)
            text += gap + _strike_out(gap or text, _escape_markdown(unheard))
        if record.tools:
            text += f" (called {', '.join(f'`{name}`' for name in record.tools)})"
        at = _to_datetime(_start_ms(record))
        lines.append(f"**{_SPEAKERS[record.message.role]}** ({at:%H:%M:%S}): {text}")
    return "\n\n".join(lines) + "\n"


def _find_gap(heard: str, unheard: str) -> str:
    """Return the white space between two parts of a text, if there is any."""
    spaced = heard[-1:].isspace() or unheard[:1].isspace()
    return " " if spaced and heard.strip() else ""


def _strike_out(before: str, text: str) -> str:
    """Return Markdown that strikes out a text after another."""
    # A tilde run between a letter and a mark opens nothing (GitHub Flavored Markdown, 6.5).
    if before[-1:].isalnum() and not text[0].isalnum():
        return f"<del>{text}</del>"
    return f"~~{text}~~"


def _escape_markdown(text: str) -> str:
    """Escape a text, so that Markdown sees no marks in it."""
    return _MARKDOWN.sub(r"\\\1", _join_lines(text))


# --- WebVTT -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Caption:
    """A caption; its times are in ms from the session's start."""

    start_ms: int
    end_ms: int
    speaker: str
    heard: str
    unheard: str
    language: str | None


def render_webvtt(conversation: Conversation) -> str:
    """Return a conversation as captions (W3C WebVTT), timed from the session's start.

    Words that were not heard have the class `unheard`, and follow the last words that were. A
    message whose language is known has a language span.
    """
    zero_ms = conversation.head.created_at_s * 1000
    blocks = ["WEBVTT", "STYLE\n::cue(.unheard) { opacity: 0.5; }"]
    captions = [each for record in conversation.records for each in _make_captions(record, zero_ms)]
    for caption in sorted(captions, key=lambda each: each.start_ms):
        text = _escape_html(caption.heard)
        if caption.unheard.strip():
            gap = _find_gap(caption.heard, caption.unheard)
            text = f"{text}{gap}<c.unheard>{_escape_html(caption.unheard)}</c>"
        if caption.language:
            text = f"<lang {caption.language}>{text}</lang>"
        times = f"{_format_time(caption.start_ms)} --> {_format_time(caption.end_ms)}"
        blocks.append(f"{times}\n<v {caption.speaker}>{text}</v>")
    return "\n\n".join(blocks) + "\n"


def _make_captions(record: Record, zero_ms: int) -> Iterator[_Caption]:
    text, sound = record.message.text, record.sound
    at_ms = max(0, _start_ms(record) - zero_ms)
    speaker = _SPEAKERS[record.message.role]
    heard, unheard = _split_heard(record)
    lines = [(cue.start_ms, cue.end_ms, cue.end_char) for cue in sound.cues]
    if not lines:
        shown_ms = sound.duration_ms or max(LEAST_MS, SILENT_MS_PER_CHAR * len(text))
        lines = [(0, shown_ms, len(text))]
    lines[-1] = (*lines[-1][:2], len(text))  # text that made no sound stays with what did
    begin = 0
    for start_ms, end_ms, end in lines:
        last = end >= len(heard)
        said = text[begin : min(end, len(heard))]
        if said.strip() or last:
            until_ms = max(end_ms, start_ms + 1)
            yield _Caption(
                at_ms + start_ms,
                at_ms + until_ms,
                speaker,
                said,
                unheard if last else "",
                record.message.language,
            )
        if last:
            return
        begin = end


def _split_heard(record: Record) -> tuple[str, str]:
    """Split a message's text where it was no longer heard."""
    text, heard = record.message.text, record.message.heard
    if heard is None:
        return text, ""
    left = sum(not char.isspace() for char in heard)
    end = 0
    while left and end < len(text):
        left -= not text[end].isspace()
        end += 1
    return text[:end], text[end:]


def _escape_html(text: str) -> str:
    return html.escape(_join_lines(text), quote=False)


def _join_lines(text: str) -> str:
    """Remove line breaks, which end a caption, and what cannot be shown."""
    return " ".join(text.replace("\0", " ").split())


def _format_time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _start_ms(record: Record) -> int:
    # A message that was stored without its time began with its turn.
    return record.sound.at_ms or record.message.started_ms


def _to_datetime(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
