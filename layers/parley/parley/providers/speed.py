"""A session's speed, brought into what a synthesizer speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from parley.protocol.messages import AudioFormat, Settings

if TYPE_CHECKING:  # the functions that do not speak import the registry too
    from parley.providers.rules import CallRules
    from parley.providers.tts import SpeechStream, Synthesizer


def bring_into_range(settings: Settings, speed: tuple[float, float]) -> Settings:
    """Return the settings with a speed that the synthesizer speaks.

    Args:
        speed: the slowest and the fastest.
    """
    slowest, fastest = speed
    if settings.speed is msgspec.UNSET or slowest <= settings.speed <= fastest:
        return settings
    return msgspec.structs.replace(settings, speed=min(max(settings.speed, slowest), fastest))


class WithinRange:
    """A synthesizer that is never asked for a speed that it does not speak.

    Args:
        speed: the slowest and the fastest.
    """

    def __init__(self, synthesizer: Synthesizer, speed: tuple[float, float]) -> None:
        self._synthesizer = synthesizer
        self._speed = speed

    @property
    def rules(self) -> CallRules:
        """See `parley.providers.tts.Synthesizer`."""
        return self._synthesizer.rules

    async def warm_up(self) -> None:
        """See `parley.providers.tts.Synthesizer`."""
        await self._synthesizer.warm_up()

    async def open(self, audio_format: AudioFormat, settings: Settings) -> SpeechStream:
        """See `parley.providers.tts.Synthesizer`."""
        return await self._synthesizer.open(audio_format, bring_into_range(settings, self._speed))
