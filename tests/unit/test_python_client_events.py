"""The Python client reads whatever the server's own encoder writes, with every field."""

from __future__ import annotations

import base64
import dataclasses
import json
import typing

import msgspec
import pytest

from parley.limit import Limit
from parley.protocol import messages as protocol
from parley_client import decoder

SAMPLES: list[protocol.ServerEvent] = [
    protocol.Ready(
        session_id="s",
        resume_token="r",
        resumed=True,
        settings=protocol.Settings(voice="v", language="en", speed=1.1, stability=0.5, style="x"),
        limits=protocol.Limits(),
        protocol=1,
        choices=protocol.Choices(
            ["voice"],
            [protocol.Voice("v", "Vera")],
            ["en", "de"],
            context=True,
            agents=["support"],
        ),
        stand_ins=["transcriber"],
        history=[
            protocol.Message(
                "assistant",
                "Hi.",
                "t",
                "H",
                7,
                heard_estimated=True,
                fillers=[protocol.Span(0, 2)],
                tools=["book"],
                agent=True,
            )
        ],
        agent="support",
        silence=protocol.SilenceRules(10_000, 20_000),
    ),
    protocol.Transcript(turn_id="t", seq=1, text="hällo", final=True, attempt=2),
    protocol.ReplyText(turn_id="t", seq=2, delta="He", filler=True, attempt=3),
    protocol.Audio(
        turn_id="t",
        seq=3,
        audio=b"\x01\x02",
        format="pcm_24000",
        start_ms=5,
        duration_ms=7,
        words=[protocol.Word("He", 5, 9)],
        estimated=True,
        attempt=2,
    ),
    protocol.TurnEnd(
        turn_id="t",
        seq=4,
        reason="interrupted",
        text="Hello",
        metrics=msgspec.convert(
            {
                name: name in ("cold", "connection_reused", "tokens_estimated", "preemptive_hit")
                or 3
                for name in protocol.Metrics.__struct_fields__
            },
            protocol.Metrics,
        ),
        heard="He",
        code="reply_failed",
        retryable=True,
        heard_estimated=True,
        ends_session=True,
        attempt=2,
    ),
    protocol.AgentTurn("t", 1, "greeting", attempt=2),
    protocol.ToolUpdate(
        "t", 2, "s.t.0.0", "book", "Book", "done", 12, {"a": [1, {}]}, "4711", attempt=2
    ),
    protocol.ClientCall("t", 3, "s.t.0.0", "show", {"where": {"lat": 1.5}}, 10_000, attempt=2),
    protocol.Custom("t", 4, "map", {"pins": [1, None, "x"]}, attempt=2),
    protocol.ConfigUpdated(settings=protocol.Settings(speed=0.7)),
    protocol.Pong(sent_at=12.25),
    protocol.SessionEnded(session_id="s", reason="replaced"),
    protocol.SessionEnded(
        session_id="s",
        reason="silence",
        usage=protocol.Usage(1, 2, 3, 4, 5, 6, True, 8, 9, 10, 11, 12, 13),
    ),
    protocol.Error(
        code="audio_gap",
        message="Lost.",
        retryable=True,
        turn_id="t",
        seq=5,
        field="a.b",
        retry_after_ms=9,
        missing=[1, 2],
        attempt=2,
        limit=Limit("turns_per_minute", 30, "subject"),
    ),
]


def plain(value: object) -> object:
    """A client event as the JSON it was read from."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {name: v for name, v in pairs.items() if v is not None and v != []}
    if isinstance(value, dict):
        return value
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_of_the_server_is_read_with_every_field(event: protocol.ServerEvent) -> None:
    frame = protocol.encode(event).decode()
    sent = json.loads(frame)
    del sent["type"]
    assert plain(decoder.decode(frame)) == sent


def test_no_event_of_the_protocol_is_left_out() -> None:
    known = {type(event) for event in SAMPLES}
    assert known == set(typing.get_args(protocol.AnyServerEvent))
