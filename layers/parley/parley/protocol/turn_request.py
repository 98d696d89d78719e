"""The request for one turn, from a connection's message or an HTTP request, and the one before it:
to be warm."""

from __future__ import annotations

from msgspec import Struct

from parley.errors import BadMessage
from parley.principal import SessionRef
from parley.protocol.messages import AgentTurnCause, AudioFormat, Endpointing, SpeechFormat

AGENT_TURN = "agent-"
"""How the ids of turns begin that an agent begins by itself."""


class WakeRequest(Struct, frozen=True):
    """The request to be warm for a session's next turn: `{"wake": {…}}`, invoked asynchronously.

    Attributes:
        connection_id: the connection that the session is on.
        endpoint: base URL of the `@connections` API of its stage.
    """

    session: SessionRef
    connection_id: str
    endpoint: str


class TurnRequest(Struct, frozen=True, omit_defaults=True):
    """The request for one turn. Of a turn that the agent begins by itself, it is the JSON of an
    asynchronous invocation.

    Attributes:
        connection_id: empty for a turn that answers an HTTP request.
        endpoint: base URL of the `@connections` API of the connection's stage.
        received_at_ms: when API Gateway received the message, in ms since the epoch.
        text: what the user typed; None for a spoken turn.
        format: format of the spoken turn's audio, as it comes.
        audio: the whole utterance, if it came with the request; None if it comes through the inbox.
        say: what the agent says, of a turn that it begins by itself.
        cause: why it does; None for a turn of the user's.
        attempt: the attempt at the turn that the client named; None if it named none.
        pauses: whether the client tells of pauses in the utterance.
    """

    session: SessionRef
    turn_id: str
    connection_id: str
    endpoint: str
    received_at_ms: int
    text: str | None = None
    format: SpeechFormat = "pcm_16000"
    endpointing: Endpointing = "manual"
    attempt: int | None = None
    audio: bytes | None = None
    say: str | None = None
    cause: AgentTurnCause | None = None
    pauses: bool = False

    @property
    def spoken(self) -> bool:
        """Whether the user speaks this turn."""
        return self.text is None and self.say is None

    @property
    def pcm_format(self) -> AudioFormat:
        """The format of the spoken turn's audio, once it is decoded."""
        return "pcm_16000" if self.format == "mulaw_16000" else self.format

    @property
    def complete(self) -> bool:
        """Whether all of the user's input came with the request."""
        return not self.spoken or self.audio is not None

    @property
    def connected(self) -> bool:
        """Whether the turn's events go to a connection. If not, they form one answer."""
        return bool(self.connection_id)


def check_turn_id(turn_id: str, path: str) -> None:
    """Refuse an id that is kept for the turns that an agent begins.

    Args:
        path: the field, e.g. `user_message.turn_id`.

    Raises:
        BadMessage: names the field.
    """
    if turn_id.startswith(AGENT_TURN):
        raise BadMessage(
            "bad_request",
            f"{path}: {AGENT_TURN} is kept for the turns that the agent begins.",
            field=path,
            turn_id=turn_id,
        )
