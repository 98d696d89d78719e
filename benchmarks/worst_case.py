"""What limits let one day cost at most, from the template's defaults and a price list.

Not a measurement: quantities follow from the limits, prices from the lists of their sellers. It
supposes somebody who does nothing but use everything up, in the costliest way there is.

    python -m benchmarks.worst_case [ConnectionsPerTenant=50 …]
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks import aws_prices

ROOT = Path(__file__).resolve().parent.parent
DAY_S = 86_400
CHARS_PER_S = 15
"""How fast a voice reads: 900 characters a minute."""
CHARS_PER_TOKEN = 4
TEXT_CHARS, TEXT_BYTES = 8_000, 32_000
"""The longest typed message of the protocol, and its size in signs of four bytes."""
LISTENING_POLLS_PER_S = 40
CHUNK_BYTES, BYTES_PER_S = 20_480, 96_000
"""The largest chunk, and the audio that one connection may send in the long run
(`parley.limits.message_rates`)."""
MESSAGE_S, CONNECT_S, REQUEST_S = 0.01, 0.01, 0.02
"""What a message, a handshake and a request over HTTP take of their functions."""
METERED_BYTES, GATEWAY_BYTES = 512 * 1024, 10 * 1024 * 1024
"""An HTTP API counts so much of a body, or a part of it, as a request; it takes no longer one."""
REFUSE_S = 0.05
"""What it takes to refuse the longest body that a function is given, beside `REQUEST_S`."""
LOG_BYTES = 1_000
"""Of one invocation, in JSON."""
ANSWER_UNITS_PER_S = 64
"""Write units of a second of the reply's audio (24 kHz) that is kept: an answer over HTTP, or
events that a client has not received."""
AUDIO_BYTES_PER_S = 64_000
"""Of a second of the reply's audio on the wire, in base64."""
LEASES_OF_A_UNIT, SHARDS_TRIED = 30, 12
"""How connections are counted (`parley.limits.connection_lease`)."""
LIST_UNITS = 100
"""Read units of the longest list of sessions."""
TRANSCRIPT_UNITS, TRANSCRIPT_BYTES, TRANSCRIPT_S = 2_048, 4 * 1024 * 1024, 1.0
"""Read units, answer and time of the longest transcript (`parley.storage.session_reader`,
`parley.http.sessions`); an answer over HTTP once more has less."""
SESSION_UNITS = 16
"""Write units of a connection, with its slots for two accounts taken and given back, and of a new
session, in its owner's list, bound and counted."""
REPLAY_EVENTS, POSTS_PER_S = 500, 100
"""How many events of `PACKET_S` a client that comes back, or asks for a turn, is sent before it
counts as one that comes back again (`parley.websocket.resume`), and how many a second."""
PACKET_S = 0.4
CALLS_PER_TURN, CALLS_AT_ONCE = 2, 20
"""How many turns a connection may ask for, interrupt and ask after (`parley.limits`)."""
WAKE_S = 4.5
"""What a wake takes at most: the initialisation of an environment, which is billed, and what it may
wait for a provider (`parley.app.warm_up`)."""
TURN_GB = 0.5
"""Memory of the turn function. The one for turns over HTTP, and all others here, count as 1 GB."""
SHORT_TURN_S = 0.1
"""What a turn takes that ends before it begins."""


@dataclass(frozen=True, slots=True)
class Prices:
    """USD. AWS's as `benchmarks.aws_prices` has them; the providers' as `docs/costs.md` says.

    Of ElevenLabs Flash and Scribe v2 Realtime, and of gpt-6-luna.
    """

    gateway_message: float = aws_prices.MESSAGE.each
    lambda_request: float = aws_prices.INVOCATION.each
    lambda_gb_s: float = aws_prices.GB_SECOND.each
    write_unit: float = aws_prices.WRITE_UNIT.each
    read_unit: float = aws_prices.READ_UNIT.each
    log_byte: float = aws_prices.LOG_BYTE.each
    http_request: float = aws_prices.HTTP_REQUEST.each
    sent_byte: float = aws_prices.SENT_BYTE.each
    speech_char: float = 0.04 / 1e3
    listening_s: float = 0.39 / 3600
    input_token: float = 0.10 / 1e6
    output_token: float = 0.50 / 1e6


@dataclass(frozen=True, slots=True)
class Way:
    """What it uses to do something once.

    Attributes:
        writes, reads: units of the table.
        posts: messages to the client.
        seconds: of a function, beside what a message or a request takes in any case.
        body_bytes: of a request over HTTP.
        history: whether the session's history is read as well.
    """

    writes: int = 0
    reads: int = 0
    posts: int = 0
    seconds: float = 0.0
    body_bytes: int = 0
    history: bool = False


WAYS: Mapping[str, Mapping[str, Way]] = {
    "messages": {
        "a ping": Way(posts=1),
        "an acknowledgement of no turn": Way(writes=1),
        "settings of the greatest size": Way(writes=4, reads=1, posts=1),
    },
    "handshakes": {
        "one that is accepted, and its end": Way(writes=12),
    },
    "chunks of no turn": {"the largest chunk": Way(writes=21)},
    "turns that are refused": {
        "a turn that its tenant has no room for": Way(
            writes=7, reads=3, posts=2, seconds=SHORT_TURN_S, history=True
        ),
    },
    "turns that are stopped before they begin": {
        "the longest message, interrupted": Way(
            writes=43, reads=6, posts=1, seconds=SHORT_TURN_S, history=True
        ),
    },
    "interruptions": {
        "of no turn": Way(writes=1, reads=1),
        "of the longest reply": Way(writes=27, reads=6),
    },
    "questions after turns": {
        "after one that never came": Way(writes=1, reads=4, posts=3),
        "after one that runs": Way(writes=1, reads=3, posts=1),
    },
    "interruptions over HTTP": {
        "of no turn": Way(writes=3, reads=3),
        "of the longest reply": Way(writes=29, reads=8),
    },
    "requests over HTTP that are refused": {
        "a first turn": Way(writes=1, reads=1),
        "a turn of a session": Way(writes=1, reads=8),
        "an interruption": Way(writes=1),
        "the longest body": Way(seconds=REFUSE_S, body_bytes=GATEWAY_BYTES),
        "a transcript": Way(writes=1),
        "a transcript without a token": Way(),
        "a transcript with a token that is made up": Way(reads=1),
        "an interruption with a token that is made up": Way(writes=1, reads=1),
    },
}
"""By what they add to, the cheapest ways to cost the most. `tests/unit/test_worst_ways.py` goes
each of them and counts what it uses."""


@functools.cache
def defaults() -> Mapping[str, float]:
    """The defaults of the template's numeric parameters."""

    # mypy knows no base class that is chosen when it runs.
    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Reads CloudFormation's tags as nothing, in C where there is libyaml."""

    Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader)
    return {
        name: float(parameter["Default"])
        for name, parameter in template["Parameters"].items()
        if parameter["Type"] == "Number"
    }


def worst_day(values: Mapping[str, float], whose: str, prices: Prices) -> dict[str, float]:
    """What one subject or one tenant can cost in a day.

    Args:
        values: the template's parameters; every limit that is used is above 0.
        whose: `Subject` or `Tenant`.

    Returns:
        USD by what they are paid for.
    """
    connections = values[f"ConnectionsPer{whose}"]
    # Each connection can have one turn under way when a quota is reached.
    chars = values[f"SpeechSecondsPerDayPer{whose}"] * CHARS_PER_S
    chars += connections * values["ReplyCharacters"]
    audio_s = values[f"AudioSecondsPerDayPer{whose}"] + connections * values["UtteranceSeconds"]
    turns = min(
        values[f"TurnsPerMinutePer{whose}"] * 24 * 60,
        values[f"SpeechSecondsPerDayPer{whose}"] + connections,  # a second each, at least
    )
    history = values["HistoryMessages"] * (TEXT_CHARS + values["ReplyCharacters"]) / 2
    tokens_in, tokens_out = history / CHARS_PER_TOKEN, values["ReplyCharacters"] / CHARS_PER_TOKEN
    throttled = values["ThrottlingRateLimit"]
    messages = DAY_S * min(throttled, connections * values["MessagesPerSecond"])
    chunks = DAY_S * min(throttled, connections * BYTES_PER_S / CHUNK_BYTES)
    speech_s = chars / CHARS_PER_S
    audio = ANSWER_UNITS_PER_S * prices.write_unit + AUDIO_BYTES_PER_S * prices.sent_byte
    audio += AUDIO_BYTES_PER_S / METERED_BYTES * prices.http_request
    minutes = DAY_S / 60
    # Who is sent what was missed is connected meanwhile.
    replay_s = REPLAY_EVENTS / POSTS_PER_S
    resumed = minutes * min(values[f"SessionsPerMinutePer{whose}"], connections * 60 / replay_s)
    reads = minutes * values[f"ReadsPerMinutePer{whose}"]
    # Who comes back over another connection may ask for as many at once as before.
    per_minute = connections * CALLS_PER_TURN * values["TurnsPerMinutePerSubject"]
    per_minute += values[f"SessionsPerMinutePer{whose}"] * CALLS_AT_ONCE
    calls = min(DAY_S * throttled, minutes * per_minute)
    begun = minutes * values[f"TurnsPerMinutePer{whose}"]
    arriving = prices.gateway_message + _invoked(prices, MESSAGE_S)
    request = prices.http_request + _invoked(prices, REQUEST_S)

    def costliest(name: str) -> float:
        return max(_used(way, values, prices) for way in WAYS[name].values())

    return {
        "speech synthesis": chars * prices.speech_char,
        "speech recognition": audio_s * prices.listening_s,
        "language model": turns
        * (tokens_in * prices.input_token + tokens_out * prices.output_token),
        "turn function": connections
        * DAY_S
        * (TURN_GB * prices.lambda_gb_s + LISTENING_POLLS_PER_S * prices.read_unit),
        "messages": messages * arriving + (messages - chunks) * costliest("messages"),
        "chunks of no turn": chunks * costliest("chunks of no turn"),
        "turns that are refused": calls
        * (_invoked(prices, 0) + costliest("turns that are refused")),
        "turns that are stopped before they begin": begun
        * (_invoked(prices, 0) + costliest("turns that are stopped before they begin")),
        "interruptions": calls * costliest("interruptions"),
        "questions after turns": calls * costliest("questions after turns"),
        "interruptions over HTTP": CALLS_PER_TURN
        * begun
        * (request + costliest("interruptions over HTTP")),
        "requests over HTTP that are refused": DAY_S
        * throttled
        * (request + costliest("requests over HTTP that are refused")),
        "answers that are kept": speech_s * audio,
        "sessions": resumed * _resumed(values["HistoryMessages"], prices),
        "transcripts": reads * _read(prices),
    }


def _history_units(history_messages: float) -> float:
    """Read units of a history of the longest messages."""
    return min(256, history_messages * TEXT_BYTES / 4096)  # a query reads 1 MB


def _invoked(prices: Prices, seconds: float) -> float:
    """What a function costs that runs for so long."""
    return prices.lambda_request + seconds * prices.lambda_gb_s + LOG_BYTES * prices.log_byte


def _metered(body_bytes: int) -> int:
    """As how many requests an HTTP API counts one, by what is sent with it or answered."""
    return max(1, math.ceil(body_bytes / METERED_BYTES))


def _used(way: Way, values: Mapping[str, float], prices: Prices) -> float:
    """What a way costs, but for what every message or request does."""
    reads = way.reads + (_history_units(values["HistoryMessages"]) if way.history else 0)
    return (
        way.writes * prices.write_unit
        + (_metered(way.body_bytes) - 1) * prices.http_request
        + reads * prices.read_unit
        + way.posts * prices.gateway_message
        + way.seconds * prices.lambda_gb_s
    )


def _resumed(history_messages: float, prices: Prices) -> float:
    """What a session costs that is resumed, and sent as much of what it has missed as may be."""
    history_units = _history_units(history_messages)
    event_bytes = PACKET_S * AUDIO_BYTES_PER_S
    return (
        3 * (prices.lambda_request + LOG_BYTES * prices.log_byte)
        + _invoked(prices, WAKE_S)
        + (history_units + 2) * prices.read_unit
        + 2 * prices.gateway_message
        + REPLAY_EVENTS / POSTS_PER_S * prices.lambda_gb_s
        + SESSION_UNITS * prices.write_unit
        + (history_units + REPLAY_EVENTS * event_bytes / 4096) * prices.read_unit
        + REPLAY_EVENTS * (prices.gateway_message + event_bytes * prices.sent_byte)
    )


def _read(prices: Prices) -> float:
    """What the longest transcript costs."""
    return (
        _metered(TRANSCRIPT_BYTES) * prices.http_request
        + prices.lambda_request
        + TRANSCRIPT_S * prices.lambda_gb_s
        + LOG_BYTES * prices.log_byte
        + 2 * prices.write_unit
        + max(TRANSCRIPT_UNITS, LIST_UNITS) * prices.read_unit
        + TRANSCRIPT_BYTES * prices.sent_byte
    )


def worst_flood(values: Mapping[str, float], prices: Prices) -> float:
    """What a day of nothing but handshakes costs that are all refused, USD."""
    shards = math.ceil(values["ConnectionsPerTenant"] / LEASES_OF_A_UNIT)
    each = (
        prices.gateway_message
        + prices.lambda_request
        + CONNECT_S * 0.5 * prices.lambda_gb_s
        + min(SHARDS_TRIED, shards) * prices.write_unit
        + LOG_BYTES * prices.log_byte
    )
    return DAY_S * values["ThrottlingRateLimit"] * each


def worst_crowd(values: Mapping[str, float], prices: Prices) -> float:
    """What a day of nothing but handshakes costs that are accepted, and ended at once, USD."""
    (way,) = WAYS["handshakes"].values()
    functions = 2 * _invoked(prices, CONNECT_S * 0.5)  # of half a GB: connect and disconnect
    each = prices.gateway_message + functions + _used(way, values, prices)
    return DAY_S * values["ThrottlingRateLimit"] * each


def table(values: Mapping[str, float], prices: Prices) -> str:
    """The worst day as a Markdown table."""
    subject, tenant = (worst_day(values, whose, prices) for whose in ("Subject", "Tenant"))
    rows = [(name, subject[name], tenant[name]) for name in subject]
    rows.append(("**sum**", sum(subject.values()), sum(tenant.values())))
    lines = ["| USD a day | one subject | one tenant |", "| --- | --- | --- |"]
    lines += [f"| {name} | {one:,.2f} | {all_:,.2f} |" for name, one, all_ in rows]
    return "\n".join(lines)


def main() -> None:
    """Print it."""
    values = dict(defaults())
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        if name not in values or not value.isascii() or not value.isdigit():
            sys.exit(f"{argument}: expected PARAMETER=NUMBER, such as ConnectionsPerTenant=20.")
        values[name] = float(value)
    sys.stdout.write(table(values, Prices()) + "\n\n")
    for what, usd in (
        ("Refused", worst_flood(values, Prices())),
        ("Accepted", worst_crowd(values, Prices())),
    ):
        sys.stdout.write(f"{what} handshakes alone: {usd:,.2f} USD a day.\n")


if __name__ == "__main__":
    main()
