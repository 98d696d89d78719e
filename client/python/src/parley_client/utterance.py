"""What one turn has said, kept so that it can be said again. A plain object.

After a lost connection nobody knows what of it had arrived, and a turn that
failed may be tried again: both send from here.
"""

from __future__ import annotations

from parley_client.encoder import encode_audio
from parley_client.messages import (
    AudioChunk,
    AudioEnd,
    AudioStart,
    ClientMessage,
    Endpointing,
    Interrupt,
    SpeechFormat,
    UserMessage,
)
from parley_client.mulaw import encode_mulaw


class Utterance:
    """The messages of one turn.

    Args:
        turn_id: of that turn.
        opening: `user_message` or `audio_start`, without `attempt`; None if the agent began the
            turn.
    """

    def __init__(self, turn_id: str, opening: UserMessage | AudioStart | None = None) -> None:
        self.turn_id = turn_id
        self.attempt = 1
        """Which attempt at the turn this is."""
        self.complete = opening is None or opening["type"] != "audio_start"
        """Whether no more of it will be said."""
        self.resent = 0
        """How often it was sent again because a gateway refused a message."""
        self._opening = opening
        self._opened = opening is None
        self._chunks: list[bytes] = []
        self._sent_at_s: dict[int, float] = {}
        self._end_sent = False
        self._interrupt: Interrupt | None = None

    @classmethod
    def typed(cls, turn_id: str, text: str) -> Utterance:
        """A typed one."""
        return cls(turn_id, {"type": "user_message", "turn_id": turn_id, "text": text})

    @classmethod
    def spoken(
        cls, turn_id: str, audio_format: SpeechFormat, endpointing: Endpointing
    ) -> Utterance:
        """A spoken one; its audio follows, and is coded in this format."""
        return cls(
            turn_id,
            {
                "type": "audio_start",
                "turn_id": turn_id,
                "format": audio_format,
                "endpointing": endpointing,
            },
        )

    @property
    def is_spoken(self) -> bool:
        """Whether it is audio."""
        return self._opening is not None and self._opening["type"] == "audio_start"

    @property
    def is_users(self) -> bool:
        """Whether the user says it; otherwise the agent began the turn, and nothing is said."""
        return self._opening is not None

    @property
    def types(self) -> tuple[str, ...]:
        """Those of the messages that it is said with."""
        if not self.is_users:
            return ()
        return ("audio_start", "audio_chunk", "audio_end") if self.is_spoken else ("user_message",)

    @property
    def manual(self) -> bool:
        """Whether the client finds its end."""
        return self._opening is not None and self._opening.get("endpointing") == "manual"

    @property
    def opened(self) -> bool:
        """Whether its first message has been handed to a connection."""
        return self._opened

    @property
    def interrupted(self) -> bool:
        """Whether the user has asked the reply to stop."""
        return self._interrupt is not None

    @property
    def chunk_count(self) -> int:
        """How many chunks have been said."""
        return len(self._chunks)

    # --- saying -----------------------------------------------------------------

    def opening(self) -> UserMessage | AudioStart:
        """The first message. It always names the attempt: without one, a turn that
        has failed meanwhile would run once more."""
        assert self._opening is not None, "the user begins it"
        opening = self._opening.copy()
        opening["attempt"] = self.attempt
        return opening

    def add_chunk(self, pcm: bytes) -> AudioChunk:
        """More audio; returns the message that carries it."""
        assert self._opening is not None, "the user says it"
        mulaw = self._opening.get("format") == "mulaw_16000"
        self._chunks.append(encode_mulaw(pcm) if mulaw else pcm)
        return self._chunk(len(self._chunks))

    def end(self) -> AudioEnd:
        """No more audio follows."""
        return {"type": "audio_end", "turn_id": self.turn_id, "chunks": len(self._chunks)}

    def interrupt(self, played_ms: float) -> Interrupt:
        """The user has had enough, having heard so much."""
        self._interrupt = {
            "type": "interrupt",
            "turn_id": self.turn_id,
            "played_ms": round(played_ms, 1),
        }
        return self._interrupt

    def sent(self, message: ClientMessage, at_s: float) -> None:
        """A message of this turn has been handed to a connection."""
        if message["type"] == "audio_chunk":
            self._sent_at_s[message["seq"]] = at_s
        elif message["type"] == "audio_end":
            self._end_sent = True
        elif message["type"] in ("user_message", "audio_start"):
            self._opened = True

    # --- saying it again --------------------------------------------------------

    def again(self, since_s: float) -> list[ClientMessage]:
        """What may not have arrived: everything but chunks sent before `since_s`, which
        the server asks for (`audio_gap`) if they are missing. What has never been
        handed to a connection isn't among it."""
        if not self._opened:
            return []
        recent = sorted(seq for seq, at_s in self._sent_at_s.items() if at_s >= since_s)
        messages: list[ClientMessage] = [self.opening()] if self.is_users else []
        messages += map(self._chunk, recent)
        if self._end_sent:
            messages.append(self.end())
        if self._interrupt is not None:
            messages.append(self._interrupt)
        return messages

    def missing(self, seqs: tuple[int, ...]) -> list[ClientMessage]:
        """The chunks that the server names as lost, as far as they exist."""
        return [self._chunk(seq) for seq in seqs if 1 <= seq <= len(self._chunks)]

    def next_attempt(self, attempt: int) -> list[ClientMessage]:
        """Say once more, as that attempt, what has been said so far; the rest follows."""
        self.attempt = attempt
        self.resent = 0
        self._opened = self._end_sent = False
        self._sent_at_s.clear()
        self._interrupt = None
        messages: list[ClientMessage] = [self.opening()]
        if self.is_spoken:
            messages += map(self._chunk, range(1, len(self._chunks) + 1))
            if self.complete:
                messages.append(self.end())
        return messages

    def _chunk(self, seq: int) -> AudioChunk:
        return {
            "type": "audio_chunk",
            "turn_id": self.turn_id,
            "seq": seq,
            "audio": encode_audio(self._chunks[seq - 1]),
        }
