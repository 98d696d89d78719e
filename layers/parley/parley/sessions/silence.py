"""Decides what is done about a user who is silent, by the server's own record of the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parley.ids import ulid_ms
from parley.protocol.messages import SilenceRules
from parley.protocol.turn_request import AGENT_TURN
from parley.storage.item_codec import Session

SILENCE_TURN = f"{AGENT_TURN}silence-"
DEFAULT_PROMPT = "Are you still there?"
EARLY_MS = 2_000
"""How much earlier than it should a client may say so: it counts from another moment."""


@dataclass(frozen=True, slots=True)
class SilencePolicy:
    """What a deployment does about silence.

    Attributes:
        ask_after_s: when the agent asks whether the user is still there, in s; 0 for never.
        end_after_s: how long after that the session ends, or after the last reply if the agent does
            not ask, in s; 0 for never.
        prompt: what the agent asks.
    """

    ask_after_s: float = 0
    end_after_s: float = 0
    prompt: str = DEFAULT_PROMPT

    @property
    def rules(self) -> SilenceRules | None:
        """What a client is told; None where silence changes nothing."""
        if not self.ask_after_s and not self.end_after_s:
            return None
        return SilenceRules(_ms(self.ask_after_s) or None, _ms(self.end_after_s) or None)

    def decide(self, session: Session, at_ms: int) -> Literal["ask", "end"] | None:
        """Return what is due; None for nothing.

        A turn that came counts, not its reply: it was played later, so this is the least that the
        user can have been silent for.
        """
        silent_ms = at_ms - _since_ms(session) + EARLY_MS
        has_asked = (session.active_turn or "").startswith(SILENCE_TURN)
        if self.ask_after_s and not has_asked:
            return "ask" if silent_ms >= _ms(self.ask_after_s) else None
        return "end" if self.end_after_s and silent_ms >= _ms(self.end_after_s) else None


def silence_turn_id(session: Session) -> str:
    """Return the id of the turn that asks, the same for one silence."""
    return f"{SILENCE_TURN}{_since_ms(session)}"


def _since_ms(session: Session) -> int:
    return session.active_since_ms or ulid_ms(session.session_id) or 0


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
