"""When a turn's two sides could be heard, for what is kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from parley.audio.captions import Sound, cues_of
from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.clock import now_ms
from parley.protocol.messages import Audio, ReplyText, Word
from parley.protocol.turn_request import TurnRequest
from parley.turn.output.outbox import Numbered


class PlaybackTimes:
    """Notes when a turn's reply began to be heard, or to be read."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._sounds_at_ms = 0
        self._shown_at_ms = 0

    def posted(self, event: Numbered) -> None:
        """An event has been sent."""
        if isinstance(event, Audio):
            self._sounds_at_ms = self._sounds_at_ms or now_ms()
        elif isinstance(event, ReplyText):
            self._shown_at_ms = self._shown_at_ms or now_ms()

    def of_user(self, heard: Iterable[bytes]) -> Sound:
        """Of what the user said; its length is that of the audio which has arrived."""
        request = self._request
        length_ms = duration_ms(sum(map(len, heard)), sample_rate_hz(request.format))
        return Sound(request.received_at_ms, round(length_ms))

    def of_reply(
        self, said: str, words: Sequence[Word], audio_ms: float, played_ms: float | None
    ) -> Sound:
        """Of the reply.

        Args:
            audio_ms: how long it is.
            played_ms: how much of it was played; None if nobody knows.
        """
        return Sound(
            self._sounds_at_ms or self._shown_at_ms or now_ms(),
            round(audio_ms),
            cues_of(said, words),
            None if played_ms is None else round(played_ms),
        )
