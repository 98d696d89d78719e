"""The client's reading of the protocol, event by event: what is let pass, and what is refused."""

from __future__ import annotations

import pytest

from parley_client import decoder, events, messages
from parley_client.errors import ProtocolViolation


def test_an_event_that_names_no_attempt_is_of_the_first() -> None:
    event = decoder.decode('{"type":"reply_text","turn_id":"t","seq":1,"delta":"x"}')
    assert event == messages.ReplyText("t", 1, "x", attempt=1)


def test_what_a_newer_server_adds_to_a_list_is_let_pass() -> None:
    event = decoder.decode('{"type":"error","code":"tired","message":"Zzz.","retryable":true}')
    assert event == messages.Error("tired", "Zzz.", retryable=True)


def test_null_stands_for_what_was_left_out() -> None:
    event = decoder.decode('{"type":"reply_text","turn_id":"t","seq":1,"delta":"x","attempt":null}')
    assert event == messages.ReplyText("t", 1, "x", attempt=1)


def test_a_session_that_ended_without_a_reason_has_ended() -> None:
    event = decoder.decode('{"type":"session_ended","session_id":"s"}')
    assert event == messages.SessionEnded("s", "ended")


def test_an_unknown_numbered_event_is_kept_so_that_it_counts() -> None:
    event = decoder.decode('{"type":"gesture","turn_id":"t","seq":4,"wave":true}')
    assert isinstance(event, events.UnknownEvent)
    assert (event.seq, event.type, event.fields["wave"]) == (4, "gesture", True)


def test_an_unknown_unnumbered_event_is_ignored() -> None:
    assert decoder.decode('{"type":"weather","is":"fine"}') is None


def test_the_gateways_own_error_is_an_error_without_a_turn() -> None:
    event = decoder.decode(
        '{"message": "Internal server error", "connectionId":"XDm=", "requestId":"XDmG="}'
    )
    assert isinstance(event, events.GatewayError)
    assert (event.code, event.request_id) == ("gateway_error", "XDmG=")
    assert event.retryable
    assert "“Internal server error” (request XDmG=)" in event.message


def test_the_gateways_impatience_says_nothing() -> None:
    frame = '{"message": "Endpoint request timed out", "connectionId":"XDm=", "requestId":"XDmG="}'
    assert decoder.decode(frame) is None


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
        (
            '{"type":"audio","turn_id":"t","seq":1,"audio":"AAA=","format":"pcm_16000",'
            '"start_ms":0,"duration_ms":0,"words":[["Hi",0]]}',
            "`audio` without a valid `words`",
        ),
        (
            '{"type":"audio","turn_id":"t","seq":1,"audio":"AA==","format":"pcm_16000",'
            '"start_ms":0,"duration_ms":0}',
            "`audio` without a valid `audio`",
        ),
        (
            '{"type":"config_updated","settings":{"speed":"fast"}}',
            "`config_updated.settings` without a valid `speed`",
        ),
    ],
)
def test_what_is_no_event_is_named(frame: str, complaint: str) -> None:
    with pytest.raises(ProtocolViolation, match=complaint):
        decoder.decode(frame)
