"""The client's reading of the protocol, held against the protocol itself."""

from __future__ import annotations

import base64
import dataclasses
import json
import typing

import msgspec
import pytest

from parley.limit import Limit
from parley.protocol import messages as protocol
from parley_client import decoding, messages
from parley_client.errors import ProtocolViolation

SAMPLES: list[protocol.ServerEvent] = [
    protocol.Ready(
        session_id="s",
        resume_token="r",
        resumed=True,
        settings=protocol.Settings(voice="v", language="en", speed=1.1, stability=0.5, style="x"),
        limits=protocol.Limits(),
        protocol=1,
        choices=protocol.Choices(["voice"], [protocol.Voice("v", "Vera")], ["en", "de"]),
        stand_ins=["transcriber"],
        history=[protocol.Message(role="user", text="Hi.", turn_id="t", heard="H")],
    ),
    protocol.Transcript(turn_id="t", seq=1, text="hällo", final=True, attempt=2),
    protocol.ReplyText(turn_id="t", seq=2, delta="He", attempt=3),
    protocol.Audio(
        turn_id="t",
        seq=3,
        audio=b"\x01\x02",
        format="pcm_24000",
        start_ms=5,
        duration_ms=7,
        words=[protocol.Word("He", 5, 9)],
        attempt=2,
    ),
    protocol.TurnEnd(
        turn_id="t",
        seq=4,
        reason="interrupted",
        text="Hello",
        metrics=msgspec.convert(
            {
                name: name in ("cold", "connection_reused") or 3
                for name in protocol.Metrics.__struct_fields__
            },
            protocol.Metrics,
        ),
        heard="He",
        code="reply_failed",
        retryable=True,
        attempt=2,
    ),
    protocol.ConfigUpdated(settings=protocol.Settings(speed=0.7)),
    protocol.Pong(sent_at=12.25),
    protocol.SessionEnded(session_id="s", reason="replaced"),
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
    if isinstance(value, messages.Choices):
        voices = [{"id": each, "name": name} for each, name in value.voices.items()]
        return {
            "settings": list(value.settings),
            "voices": voices,
            "languages": list(value.languages),
        }
    if isinstance(value, messages.Word):
        return [value.text, value.start_ms, value.end_ms]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {name: v for name, v in pairs.items() if v is not None and v != []}
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
    assert plain(decoding.decode(frame)) == sent


def test_an_event_that_names_no_attempt_is_of_the_first() -> None:
    event = decoding.decode('{"type":"reply_text","turn_id":"t","seq":1,"delta":"x"}')
    assert event == messages.ReplyText("t", 1, "x", attempt=1)


def test_a_session_that_ended_without_a_reason_has_ended() -> None:
    event = decoding.decode('{"type":"session_ended","session_id":"s"}')
    assert event == messages.SessionEnded("s", "ended")


def test_no_event_of_the_protocol_is_left_out() -> None:
    known = {type(event) for event in SAMPLES}
    assert known == set(typing.get_args(protocol.AnyServerEvent))


@pytest.mark.parametrize("name", ["Settings", "Limit", "Limits", "Metrics"])
def test_shared_records_have_the_protocols_fields(name: str) -> None:
    theirs = {f.name for f in msgspec.structs.fields(getattr(protocol, name))}
    assert {f.name for f in dataclasses.fields(getattr(messages, name))} == theirs


def test_an_unknown_numbered_event_is_kept_so_that_it_counts() -> None:
    event = decoding.decode('{"type":"gesture","turn_id":"t","seq":4,"wave":true}')
    assert isinstance(event, messages.UnknownEvent)
    assert (event.seq, event.type, event.fields["wave"]) == (4, "gesture", True)


def test_an_unknown_unnumbered_event_is_ignored() -> None:
    assert decoding.decode('{"type":"weather","is":"fine"}') is None


def test_the_gateways_own_error_is_an_error_without_a_turn() -> None:
    event = decoding.decode(
        '{"message": "Internal server error", "connectionId":"XDm=", "requestId":"XDmG="}'
    )
    assert isinstance(event, messages.Error)
    assert event.code == "gateway_error"
    assert event.retryable
    assert "“Internal server error” (request XDmG=)" in event.message


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        ("<html>", "not JSON"),
        ("[1]", "not an event"),
        ('{"hello": 1}', "without a type"),
        ('{"type":"reply_text","turn_id":"t","seq":1}', "`reply_text` without a valid `delta`"),
        ('{"type":"reply_text","turn_id":"t","seq":1.5,"delta":"x"}', "valid `seq`"),
        ('{"type":"reply_text","turn_id":"t","seq":Infinity,"delta":"x"}', "valid `seq`"),
        ('{"type":"pong","sent_at":"now"}', "valid `sent_at`"),
        ('{"type":"session_ended","session_id":"s","reason":"bored"}', "valid `reason`"),
        (
            '{"type":"reply_text","turn_id":"t","seq":1,"delta":"x","attempt":0}',
            "valid `attempt`",
        ),
        (
            '{"type":"turn_end","turn_id":"t","seq":1,"reason":"bored","text":"","metrics":{}}',
            "valid `reason`",
        ),
        (
            '{"type":"audio","turn_id":"t","seq":1,"audio":"!!","format":"pcm_16000",'
            '"start_ms":0,"duration_ms":0}',
            "valid `audio`",
        ),
        (
            '{"type":"audio","turn_id":"t","seq":1,"audio":"AAA=","format":"opus",'
            '"start_ms":0,"duration_ms":0}',
            "valid `format`",
        ),
    ],
)
def test_what_is_no_event_is_named(frame: str, complaint: str) -> None:
    with pytest.raises(ProtocolViolation, match=complaint):
        decoding.decode(frame)
