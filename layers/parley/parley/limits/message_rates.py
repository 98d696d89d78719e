"""The rate at which each connection sends, counted in memory. Messages beyond it cost no call.

The count is approximate. Each Lambda environment counts the messages that it receives, so a
connection whose messages reach several environments may send as much to each.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from parley.limits.rules import CALLS_PER_TURN, LimitRules
from parley.limits.token_bucket import Taken, TokenBucket, Wait, bucket_per_minute

BYTES_PER_S = 128_000
"""96,000 bytes of audio a second, in base64. That is three times real time at the usual 16 kHz, and
real time at 48 kHz."""
CHUNKS_PER_S = 10
"""How many chunks a client sends while the user speaks: chunks of 100 ms are usual."""
LONGEST_UTTERANCE_S = 900
"""The longest utterance if none is configured: the longest invocation that Lambda allows."""
PATIENCE_S = 100
"""A connection is closed after this many seconds' worth of its messages have been dropped: after
about ten seconds at ten times the rate, and never below twice the rate."""
TELL_AGAIN_S = 10
"""How long a client must keep to the rate before it is told again."""
MAX_CONNECTIONS = 1_000
CALLS_AT_ONCE = 20
"""How many turns a connection may ask for at once, refused and repeated ones included. It may
interrupt as many, and ask after as many. A client that keeps to the limit of turns never comes
near."""

CallName = Literal["turns_per_minute", "interrupts_per_minute", "pings_per_minute"]
"""Rates of messages that cost calls in any case: those that ask for a turn, interrupt a turn, and
ask whether a turn still runs."""
RateName = Literal["messages_per_second", "bytes_per_second"] | CallName


@dataclass(frozen=True, slots=True)
class TooFast:
    """The decision to drop a message.

    Attributes:
        name: the rate that was exceeded.
        limit: its value.
        wait_ms: after this time another message will be accepted.
        tell: whether to tell the client: once, until it has slowed down.
        close: whether to close the connection.
    """

    name: RateName
    limit: int
    wait_ms: float
    tell: bool
    close: bool


class ConnectionRate:
    """The rates of one connection's messages. Times are ms of a monotonic clock.

    A burst has room for a whole utterance, because a client that returns, or is told of an
    `audio_gap`, sends one again at once.

    Args:
        messages_per_second: the rate in the long run.
        utterance_s: the longest utterance; 0 for no limit.
        calls_per_minute: how many turns may be asked for, interrupted and asked after, each; 0 for
            any number.
    """

    def __init__(
        self, messages_per_second: int, utterance_s: int, calls_per_minute: int = 0
    ) -> None:
        utterance_s = utterance_s or LONGEST_UTTERANCE_S
        rate = messages_per_second
        room = rate + CHUNKS_PER_S * utterance_s
        self._limits: dict[RateName, int] = {
            "messages_per_second": rate,
            "bytes_per_second": BYTES_PER_S,
        }
        self._buckets: dict[RateName, TokenBucket] = {
            "messages_per_second": TokenBucket(1000 / rate, room),
            "bytes_per_second": TokenBucket(1000 / BYTES_PER_S, BYTES_PER_S * utterance_s),
        }
        self._patience = TokenBucket(1000 / rate, rate * PATIENCE_S)
        self._calls_per_minute = calls_per_minute
        self._calls = (
            bucket_per_minute(calls_per_minute, CALLS_AT_ONCE) if calls_per_minute else None
        )
        self._full_at_ms: dict[RateName, float] = dict.fromkeys(self._buckets, 0.0)
        self._patient_at_ms = 0.0
        self._told_until_ms: dict[RateName, float] = {}

    def count_message(self, size_bytes: int, now_ms: float) -> TooFast | None:
        """Count a message. Return None if it may be answered."""
        new: dict[RateName, float] = {}
        for name, bucket in self._buckets.items():
            tokens = 1 if name == "messages_per_second" else size_bytes
            taken = bucket.take_tokens(self._full_at_ms[name], now_ms, tokens)
            if isinstance(taken, Wait):
                close = self._lose_patience(now_ms)
                return self._too_fast(name, self._limits[name], taken.ms, now_ms, close=close)
            new[name] = taken.full_at_ms
        # Only now: a message that one bucket refuses takes nothing from the other.
        self._full_at_ms |= new
        return None

    def count_call(self, name: CallName, now_ms: float) -> TooFast | None:
        """Count a message that costs calls. Return None if the calls may be made."""
        if self._calls is None:
            return None
        taken = self._calls.take_tokens(self._full_at_ms.get(name, 0.0), now_ms)
        if isinstance(taken, Wait):
            return self._too_fast(name, self._calls_per_minute, taken.ms, now_ms, close=False)
        self._full_at_ms[name] = taken.full_at_ms
        return None

    def _lose_patience(self, now_ms: float) -> bool:
        """Count a dropped message. Return whether it was one too many."""
        patience = self._patience.take_tokens(self._patient_at_ms, now_ms)
        if isinstance(patience, Taken):
            self._patient_at_ms = patience.full_at_ms
        return isinstance(patience, Wait)

    def _too_fast(
        self, name: RateName, limit: int, wait_ms: float, now_ms: float, *, close: bool
    ) -> TooFast:
        tell = now_ms >= self._told_until_ms.get(name, 0.0)
        self._told_until_ms[name] = now_ms + max(1000 * TELL_AGAIN_S, wait_ms)
        return TooFast(name, limit, wait_ms, tell, close)


class MessageRates:
    """The rates of the connections that have sent messages most recently."""

    def __init__(self, rules: LimitRules) -> None:
        self._rules = rules
        # A connection belongs to one person, even where authentication is off.
        turns_per_minute = rules.subject.turns_per_minute or rules.tenant.turns_per_minute
        self._calls_per_minute = CALLS_PER_TURN * turns_per_minute
        self._rates: OrderedDict[str, ConnectionRate] = OrderedDict()

    def count_message(self, connection_id: str, size_bytes: int, now_ms: float) -> TooFast | None:
        """Count a message of a connection. Return None if it may be answered."""
        if not self._rules.messages_per_second:
            return None
        # Put back at the end: the connection that was silent longest is dropped first.
        rate = self._rates.pop(connection_id, None) or ConnectionRate(
            self._rules.messages_per_second, self._rules.utterance_s, self._calls_per_minute
        )
        self._rates[connection_id] = rate
        if len(self._rates) > MAX_CONNECTIONS:
            self._rates.popitem(last=False)
        return rate.count_message(size_bytes, now_ms)

    def count_call(self, name: CallName, connection_id: str, now_ms: float) -> TooFast | None:
        """Count the last message as one that costs calls. Return None if the calls may be made."""
        rate = self._rates.get(connection_id)
        return None if rate is None else rate.count_call(name, now_ms)
