"""A reply in words and as JSON: timings, the server's breakdown, one object per turn."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from parley_client.errors import ParleyClientError
from parley_client.messages import Custom, Metrics, ToolUpdate
from parley_client.reply import Reply
from parley_client.terminal import printable

PARTS = ("dispatch", "transcript", "prepare", "responder", "clause", "synthesizer", "delivery")
"""What the server's `first_audio_ms` is made of, in order."""
NOTE_CHARS = 120
"""How much is shown of what a tool gets or gives."""

STAND_INS = {"synthesizer": "voice", "transcriber": "ears", "responder": "answers"}
"""Stages, in the order in which they are named to a person."""


def stand_ins_note(stages: Collection[str]) -> str:
    """Say which stages only stand in for real ones; empty if none does."""
    if not stages:
        return ""
    words = [word for stage, word in STAND_INS.items() if stage in stages]
    if not words:
        return "parts of this are stand-ins for development"
    named = ", ".join([*words[:-2], " and ".join(words[-2:])])
    return f"{named} {'is a stand-in' if words == ['voice'] else 'are stand-ins'} for development"


def person_sentence(failed: ParleyClientError) -> str:
    """What failed, for a person: a setting by its option, not by its place in a message."""
    field = getattr(failed, "field", None) or ""
    parts = field.split(".")
    if parts[:2] != ["init", "settings"]:
        return failed.message
    if len(parts) < 3:
        return "This server does not allow these options."
    return f"This server does not allow that for --{parts[2]}. Leave it out, or try another value."


def timing_line(reply: Reply) -> str:
    """The client's timings in one line."""
    t = reply.timings
    parts = [
        ("first text", t.first_text_ms),
        ("first sound", t.first_sound_ms),
        ("total", t.total_ms),
    ]
    shown = [f"{name} {ms:,.0f} ms" for name, ms in parts if ms is not None]
    if reply.audio_format is not None:
        shown.append(f"{reply.audio_ms / 1000:.1f} s of audio")
    return " · ".join(shown)


def parts_of(metrics: Metrics) -> list[tuple[str, float]]:
    """The measured parts of the time to first audio, in ms and in order."""
    measured = ((name, getattr(metrics, f"{name}_ms")) for name in PARTS)
    return [(name, ms) for name, ms in measured if ms is not None]


def tool_note(update: ToolUpdate) -> str:
    """What is called, or what became of it."""
    name = printable(update.title or update.name)
    if update.state == "running":
        given = "" if update.arguments is None else f" {_short(update.arguments)}"
        return f"({name}{given} …)"
    took = "" if update.ms is None else f" after {update.ms / 1000:.1f} s"
    told = "" if update.result is None else f": {_short(update.result)}"
    return f"({name}: {update.state}{took}{told})"


def custom_note(event: Custom) -> str:
    """An event of the deployment's own."""
    return f"({printable(event.name)}: {_short(event.data)})"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = printable(" ".join(text.split()))
    return text if len(text) <= NOTE_CHARS else f"{text[: NOTE_CHARS - 1]}…"


def as_json(asked: str | None, reply: Reply, saved: Path | None, cause: str | None = None) -> str:
    """A turn as one JSON object; what was not measured is left out.

    Args:
        asked: what the user asked; None if the agent began the turn.
        saved: where the sound was kept.
        cause: why the agent began it.
    """
    turn: dict[str, object] = {
        "turn_id": reply.turn_id,
        "asked": asked,
        **({} if cause is None else {"cause": cause}),
        "transcript": reply.transcript,
        "text": reply.text,
        "heard": reply.heard,
        "heard_estimated": reply.heard_estimated,
        "reason": reply.reason,
        "ends_session": reply.ends_session,
        "tools": [{"name": t.name, "state": t.state, "ms": t.ms} for t in reply.tools],
        "audio": {
            "format": reply.audio_format,
            "duration_ms": round(reply.audio_ms),
            "saved": None if saved is None else str(saved),
        },
        "timings": _measured(asdict(reply.timings)),
        "metrics": _measured(asdict(reply.metrics)),
        "errors": [
            {"code": e.code, "message": e.message, "retryable": e.retryable} for e in reply.errors
        ],
    }
    return json.dumps(turn, ensure_ascii=False)


def error_as_json(failed: ParleyClientError) -> str:
    """A turn that failed, as one JSON object."""
    error = {"code": failed.code, "message": failed.message, "retryable": failed.retryable}
    return json.dumps({"error": error}, ensure_ascii=False)


def encodable(line: str, encoding: str) -> str:
    """JSON in characters that an encoding has: what it lacks is escaped."""
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(json.loads(line))
    return line


def _measured(values: dict[str, object]) -> dict[str, object]:
    return {
        name: round(value, 1) if isinstance(value, float) else value
        for name, value in values.items()
        if value is not None
    }
