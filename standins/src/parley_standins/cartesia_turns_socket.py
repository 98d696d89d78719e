"""Cartesia's transcription that finds the turns of a speaker by itself.

It goes by the audio alone: where none comes, time stands still, and a turn has no end.
"""

from __future__ import annotations

import json
from typing import Any

from parley_standins.cartesia_service import CartesiaProblem, CartesiaService
from parley_standins.cartesia_stt_socket import CartesiaSttSocket, Hearing, Send, SttOptions
from parley_standins.recognizer import written
from parley_standins.vad import EnergyVad, VadSettings

END_SILENCE_S = 0.8
"""After so much silence a turn has ended; after half of it, it probably has."""
MIN_TIMEOUT_MS, MAX_TIMEOUT_MS = 640, 11_200


class CartesiaTurnsSocket(CartesiaSttSocket):
    """One connection."""

    models = ("ink-2", "ink-preview")

    def make_hearing(self, service: CartesiaService, options: SttOptions) -> Hearing:
        """Return what hears the audio."""
        return TurnHearing(service, options, self.send_transcript)

    async def greet(self) -> None:
        """Say that the connection is there; a client need not wait for it."""
        await self.send({"type": "connected", "request_id": self.request_id})

    async def command(self, text: str, hearing: Hearing) -> bool:
        """Do what a text frame says. Return whether the connection goes on.

        Raises:
            CartesiaProblem: it is no command.
        """
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        kind = frame.get("type") if isinstance(frame, dict) else None
        if kind == "close":
            await hearing.finish()
            return False
        if kind != "config" or not isinstance(hearing, TurnHearing):
            raise CartesiaProblem(400, "Invalid command", "This is not a command.")
        hearing.configure(frame.get("turn") or {})
        return True


class TurnHearing(Hearing):
    """Hears turn after turn."""

    def __init__(self, service: CartesiaService, options: SttOptions, send: Send) -> None:
        super().__init__(service, options, send)
        # The detector hears what the recogniser hears, at its rate.
        self._detector_decoder = options.make_decoder()
        self._end = EnergyVad(VadSettings(silence_s=END_SILENCE_S))
        self._eager_end = EnergyVad(VadSettings(silence_s=END_SILENCE_S / 2))
        self._has_begun = False
        self._may_be_over = False
        self._text = ""

    def configure(self, turn: dict[str, Any]) -> None:
        """Take settings from now on.

        Raises:
            CartesiaProblem: a value is out of its range.
        """
        timeout_ms = turn.get("end_timeout_ms")
        if timeout_ms is None:
            return
        if not MIN_TIMEOUT_MS <= timeout_ms <= MAX_TIMEOUT_MS:
            raise CartesiaProblem(400, "Invalid config", "end_timeout_ms is out of its range.")
        self._end.set_silence(min(timeout_ms / 1000, END_SILENCE_S))

    async def hear(self, audio: bytes) -> None:
        """Take the next audio."""
        await super().hear(audio)
        pcm = self._detector_decoder.decode(audio)
        is_over, may_be_over = self._end.hear(pcm), self._eager_end.hear(pcm)
        if is_over:
            await self._end_turn("turn.end")
        elif may_be_over and self._has_begun:
            self._may_be_over = True
            await self.send({"type": "turn.eager_end", "transcript": self._text})

    async def finish(self) -> None:
        """Transcribe all that was heard. A turn that has no end yet gets none."""
        if self._has_begun:
            await self._end_turn("turn.update")

    async def on_partial(self, text: str) -> None:
        """Tell what was heard so far of the turn."""
        if not self._has_begun:
            self._has_begun = True
            await self.send({"type": "turn.start"})
        if self._may_be_over:
            self._may_be_over = False
            await self.send({"type": "turn.resume"})
        self._text = written(text, complete=False)
        await self.send({"type": "turn.update", "transcript": self._text})

    async def _end_turn(self, kind: str) -> None:
        has_begun, self._has_begun, self._may_be_over = self._has_begun, False, False
        recognised = await self.end_utterance()
        if not recognised.text:
            return
        if not has_begun:
            await self.send({"type": "turn.start"})
        await self.send({"type": kind, "transcript": written(recognised.text, complete=True)})
