"""One turn's audio, kept while it comes and goes, and stored when everything has been sent.

A recording that fails costs the recording, never the turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from parley.audio.pcm import sample_rate_hz
from parley.protocol.messages import Audio, AudioFormat
from parley.protocol.turn_request import TurnRequest
from parley.storage.recordings import Recordings, Side
from parley.turn.output.outbox import Numbered

MAX_BYTES = 32 * 1024 * 1024
"""The most that is kept of one side: 17 minutes at 16 kHz. A turn's function has 1 GB."""
TIME_S = 10.0
"""With less of its time left, an invocation does not begin to store: S3 may be slow."""


class AudioRecorder:
    """Record one turn.

    Args:
        recordings: where to; None if this turn is not to be recorded.
        log: told about trouble; takes an event name and fields.
    """

    def __init__(
        self,
        recordings: Recordings | None,
        request: TurnRequest,
        reply_format: AudioFormat,
        log: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._recordings = recordings
        self._request = request
        self._reply_format: AudioFormat = reply_format
        self._log = log
        self._seq = 0
        self._reply: list[bytes] = []
        self.failed = False

    def note_posted(self, event: Numbered) -> None:
        """Keep the audio of an event that has been posted."""
        if self._recordings is None or not isinstance(event, Audio):
            return
        if event.seq <= self._seq:  # posted again, over another connection
            return
        self._seq = event.seq
        self._reply.append(event.audio)

    async def store(self, user_audio: Iterable[bytes], remaining_s: float) -> None:
        """Store both sides.

        Args:
            user_audio: in order.
            remaining_s: how much of the invocation's time is left.
        """
        if self._recordings is None:
            return
        if remaining_s < TIME_S:  # a turn that is killed here would be told to have failed
            self._log_failure("TimeIsUp")
            return
        await asyncio.gather(
            self._store(self._recordings, "user", user_audio, self._request.pcm_format),
            self._store(self._recordings, "assistant", self._reply, self._reply_format),
        )

    async def _store(
        self,
        recordings: Recordings,
        side: Side,
        chunks: Iterable[bytes],
        audio_format: AudioFormat,
    ) -> None:
        pcm = _join_kept(chunks)
        if not pcm:  # a typed turn has no user audio, and a reply may be text alone
            return
        try:
            await asyncio.to_thread(
                recordings.put,
                self._request.session,
                self._request.turn_id,
                side,
                pcm[:MAX_BYTES],
                sample_rate_hz(audio_format),
            )
        except Exception as error:
            self._log_failure(type(error).__name__)
        if len(pcm) > MAX_BYTES:
            self._log("recording_cut", {"side": side})

    def _log_failure(self, error: str) -> None:
        self.failed = True
        self._log("not_recorded", {"error": error})


def _join_kept(chunks: Iterable[bytes]) -> bytes:
    """Return the audio up to just beyond what is kept, which tells whether it is cut."""
    joined = bytearray()
    for chunk in chunks:
        joined += chunk
        if len(joined) > MAX_BYTES:
            break
    return bytes(joined)
