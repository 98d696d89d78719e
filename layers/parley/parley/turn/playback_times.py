"""When a turn's two sides could be heard, for what is kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from parley.audio.captions import Sound, split_cues
from parley.audio.pcm import duration_ms, sample_rate_hz
from parley.clock import now_ms
from parley.protocol.messages import Audio, ReplyText, Word
from parley.protocol.turn_request import TurnRequest
from parley.turn.output.outbox import Numbered


class PlaybackTimes:
    """Note when a turn's reply began to be heard, or to be read."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._heard_from_ms = 0
        self._read_from_ms = 0

    def note_posted(self, event: Numbered) -> None:
        """Take note of an event that has been posted."""
        if isinstance(event, Audio):
            self._heard_from_ms = self._heard_from_ms or now_ms()
        elif isinstance(event, ReplyText):
            self._read_from_ms = self._read_from_ms or now_ms()

    def user_sound(self, audio: Iterable[bytes]) -> Sound:
        """Return when and how long the user spoke.

        Args:
            audio: what has arrived of it.
        """
        request = self._request
        length_ms = duration_ms(sum(map(len, audio)), sample_rate_hz(request.pcm_format))
        return Sound(request.received_at_ms, round(length_ms))

    def reply_sound(
        self, said: str, words: Sequence[Word], audio_ms: float, played_ms: float | None
    ) -> Sound:
        """Return when the reply was heard, and its captions.

        Args:
            audio_ms: how long it is.
            played_ms: how much of it was played; None for all, or if nobody knows.
        """
        return Sound(
            self._heard_from_ms or self._read_from_ms or now_ms(),
            round(audio_ms),
            split_cues(said, words),
            None if played_ms is None else round(played_ms),
        )
