"""A speed that a synthesizer does not speak is brought into what it does."""

from __future__ import annotations

import msgspec
import pytest

from parley.config import DEFAULT_SETTINGS
from parley.protocol.messages import MAX_SPEED, MIN_SPEED, Settings
from parley.providers import registry
from parley.providers.speed import WithinRange, bring_into_range
from tests.unit.fakes import FakeSynthesizer
from tests.unit.provider_context import build_context


@pytest.mark.parametrize(
    ("asked", "speed", "spoken"),
    [
        (0.7, (0.9, 1.1), 0.9),
        (1.2, (0.9, 1.1), 1.1),
        (1.0, (0.9, 1.1), 1.0),
        (0.9, (0.9, 1.1), 0.9),
        (1.2, (1.0, 1.0), 1.0),
        (0.7, (1.5, 2.0), 1.5),
        (0.7, (0.25, 4.0), 0.7),
    ],
)
def test_a_speed_is_brought_into_the_range(
    asked: float, speed: tuple[float, float], spoken: float
) -> None:
    settings = msgspec.structs.replace(DEFAULT_SETTINGS, speed=asked)
    assert bring_into_range(settings, speed) == msgspec.structs.replace(settings, speed=spoken)


def test_no_speed_stays_none() -> None:
    assert bring_into_range(Settings(voice="v"), (0.9, 1.1)) == Settings(voice="v")


async def test_a_synthesizer_is_asked_for_what_it_speaks() -> None:
    inner = FakeSynthesizer()
    synthesizer = WithinRange(inner, (0.9, 1.1))
    await synthesizer.open("pcm_24000", msgspec.structs.replace(DEFAULT_SETTINGS, speed=0.7))
    ((_, settings),) = inner.opened
    assert settings.speed == 0.9
    assert synthesizer.rules is inner.rules


def test_every_synthesizer_is_built_so() -> None:
    assert isinstance(registry.build_synthesizer("elevenlabs", build_context()), WithinRange)


@pytest.mark.parametrize("name", registry.SYNTHESIZERS)
def test_every_synthesizer_has_a_speed_that_clients_may_choose(name: str) -> None:
    slowest, fastest = registry.SYNTHESIZERS[name].speed
    assert max(slowest, MIN_SPEED) <= min(fastest, MAX_SPEED)
