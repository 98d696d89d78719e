"""The limits of a deployment. 0 means no limit, for each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from parley.limit import LimitScope
from parley.principal import ANONYMOUS, Principal, SessionRef

RequestKind = Literal["sessions", "reads", "interrupts", "says", "tool_rounds"]
"""What a request counts as: opening or resuming a session, reading, interrupting a turn over HTTP,
what a backend tells or has said, or a round of tool calls. Over a WebSocket `message_rates` counts
interruptions for each connection."""
CALLS_PER_TURN = 2
"""How often a client may ask for a turn, interrupt one and ask after one, each, for each turn of
its limit. Messages that are lost are sent again."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one subject, or all subjects of one tenant together, may use.

    Attributes:
        connections: connections at once.
        turns_per_minute: turns in the long run; a third of them may come at once.
        audio_s_per_day: seconds of speech to speech recognition, for each UTC day.
        speech_s_per_day: seconds of synthesised speech, for each UTC day.
        sessions_per_minute: sessions opened or resumed, without those that a turn over HTTP opens.
        reads_per_minute: transcripts, lists of sessions, repeated answers over HTTP, and erasures.
        tool_rounds_per_minute: rounds of tool calls; each has at most eight.
    """

    connections: int = 0
    turns_per_minute: int = 0
    audio_s_per_day: int = 0
    speech_s_per_day: int = 0
    sessions_per_minute: int = 0
    reads_per_minute: int = 0
    tool_rounds_per_minute: int = 0

    def per_minute(self, kind: RequestKind) -> int:
        """Return how many requests of a kind are allowed in a minute."""
        return {
            "sessions": self.sessions_per_minute,
            "reads": self.reads_per_minute,
            "interrupts": CALLS_PER_TURN * self.turns_per_minute,
            "tool_rounds": self.tool_rounds_per_minute,
            "says": CALLS_PER_TURN * self.turns_per_minute,
        }[kind]

    @property
    def has_quota(self) -> bool:
        """Whether a day's use is limited."""
        return bool(self.audio_s_per_day or self.speech_s_per_day)


@dataclass(frozen=True, slots=True)
class LimitRules:
    """All limits of a deployment. The defaults are the template's.

    Attributes:
        messages_per_second: on one connection, in the long run.
        message_bytes: the longest message.
        utterance_s: the longest utterance of one turn.
        reply_chars: the longest reply of one turn. About 900 characters are a minute of speech.
    """

    subject: Share = field(default_factory=lambda: Share(10, 30, 3_600, 3_600, 20, 30, 60))
    tenant: Share = field(default_factory=lambda: Share(100, 600, 36_000, 36_000, 200, 300, 1_200))
    messages_per_second: int = 30
    message_bytes: int = 32_768
    utterance_s: int = 300
    reply_chars: int = 4_000


NO_LIMITS = LimitRules(Share(), Share(), 0, 0, 0, 0)
"""Only the protocol's own limits hold."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user or a tenant whose use is counted, and how much it may use.

    Attributes:
        pk: partition key of the items that count its use.
    """

    scope: LimitScope
    pk: str
    share: Share


def list_accounts(principal: Principal, rules: LimitRules) -> list[Account]:
    """Return a principal's own account and its tenant's. `ANONYMOUS` has only the tenant's."""
    return _accounts(principal.key, rules)


def list_session_accounts(ref: SessionRef, rules: LimitRules) -> list[Account]:
    """Return the accounts of the principal that a session belongs to."""
    return _accounts(ref.rpartition("/")[0], rules)


def _accounts(key: str, rules: LimitRules) -> list[Account]:
    tenant = Account("tenant", f"LIMIT#{key.partition('/')[0]}", rules.tenant)
    if key == ANONYMOUS.key:  # everybody shares this principal, so it has no share of its own
        return [tenant]
    return [Account("subject", f"LIMIT#{key}", rules.subject), tenant]
