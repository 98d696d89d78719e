"""What the deployment allows. Everywhere, 0 means without limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from parley.limit import LimitScope
from parley.principal import ANONYMOUS, Principal, SessionRef

RequestKind = Literal["sessions", "reads", "interrupts"]
"""What a request is counted as: opening or resuming a session, reading, or interrupting a turn over
HTTP (over a WebSocket each connection counts those for itself, in `rates`)."""
CALLS_PER_TURN = 2
"""How often one may ask for a turn, interrupt one and ask after one, each, for each turn that one
may have: what is lost on its way is sent again."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one subject, or all subjects of one tenant together, may use.

    Attributes:
        connections: at once.
        turns_per_minute: in the long run; a third of them may come at once.
        audio_s_per_day: seconds of speech that are listened to, per UTC day.
        speech_s_per_day: seconds of speech that replies are spoken with, per UTC day.
        sessions_per_minute: opened or resumed, but for those that a turn over HTTP opens.
        reads_per_minute: transcripts, lists of sessions, answers over HTTP once more, and erasures.
    """

    connections: int = 0
    turns_per_minute: int = 0
    audio_s_per_day: int = 0
    speech_s_per_day: int = 0
    sessions_per_minute: int = 0
    reads_per_minute: int = 0

    def per_minute(self, kind: RequestKind) -> int:
        """How many requests of a kind."""
        return {
            "sessions": self.sessions_per_minute,
            "reads": self.reads_per_minute,
            "interrupts": CALLS_PER_TURN * self.turns_per_minute,
        }[kind]

    @property
    def has_quota(self) -> bool:
        """Whether anything is limited per day."""
        return bool(self.audio_s_per_day or self.speech_s_per_day)


@dataclass(frozen=True, slots=True)
class LimitRules:
    """All limits of a deployment; the defaults are the template's.

    Attributes:
        messages_per_second: on one connection, in the long run.
        message_bytes: the longest message.
        utterance_s: the longest utterance of one turn.
        reply_chars: the longest reply of one turn; about 900 are a minute of speech.
    """

    subject: Share = field(default_factory=lambda: Share(10, 30, 3_600, 3_600, 20, 30))
    tenant: Share = field(default_factory=lambda: Share(100, 600, 36_000, 36_000, 200, 300))
    messages_per_second: int = 30
    message_bytes: int = 32_768
    utterance_s: int = 300
    reply_chars: int = 4_000


NO_LIMITS = LimitRules(Share(), Share(), 0, 0, 0, 0)
"""Nothing is limited but by the protocol."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who uses something, and how much that may be.

    Attributes:
        pk: partition key of the items that say what has been used.
    """

    scope: LimitScope
    pk: str
    share: Share


def accounts_of(principal: Principal, rules: LimitRules) -> list[Account]:
    """A principal's own account and its tenant's."""
    return _accounts(principal.key, rules)


def accounts_of_session(ref: SessionRef, rules: LimitRules) -> list[Account]:
    """The accounts of the principal that a session belongs to."""
    return _accounts(ref.rpartition("/")[0], rules)


def _accounts(key: str, rules: LimitRules) -> list[Account]:
    tenant = Account("tenant", f"LIMIT#{key.partition('/')[0]}", rules.tenant)
    if key == ANONYMOUS.key:  # everybody: nobody's own share
        return [tenant]
    return [Account("subject", f"LIMIT#{key}", rules.subject), tenant]
