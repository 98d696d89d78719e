"""Every transcriber, responder and synthesizer that may be combined, and that is stood in for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dev.providers import STANDIN_KEY, Providers, variable
from dev.services import SERVICES
from parley.providers.registry import RESPONDERS, SYNTHESIZERS, TRANSCRIBERS
from parley_standins.vendors import VENDORS
from tests.e2e.stack import Control, Standins

STANDINS = {"elevenlabs", "llm", *VENDORS}
_OF_PROVIDERS = (
    "TRANSCRIPTION_BASE_URL",
    "LLM_BASE_URL",
    "LLM_MODEL",
    "SPEECH_BASE_URL",
    "VOICE_ID",
)
TOKEN_DELAYS: Mapping[str, Mapping[str, float]] = {
    **{name: {"llm_token_ms": 40} for name in ("llm", "anthropic", "bedrock")},
    "n8n": {"item_ms": 40},
}
"""What has a stand-in talk slowly enough to be interrupted, by its name."""


@dataclass(frozen=True)
class Combination:
    """One provider for each stage."""

    transcriber: str
    responder: str
    synthesizer: str

    def __str__(self) -> str:
        return f"{self.transcriber}-{self.responder}-{self.synthesizer}"

    def parameters(self, standins: Standins) -> dict[str, str]:
        """Values of the template's parameters, keys among them."""
        choice = {
            "Transcriber": self.transcriber,
            "Responder": self.responder,
            "Synthesizer": self.synthesizer,
        }
        urls = {"elevenlabs": standins.elevenlabs_url, "llm": standins.llm_url, **standins.urls}
        return Providers.chosen({}, choice).parameters(urls)

    def variables(self, standins: Standins) -> dict[str, str]:
        """The functions' variables; what belongs to a provider that is not chosen is empty."""
        cleared = dict.fromkeys(_OF_PROVIDERS, "")
        given = self.parameters(standins)
        return cleared | {
            variable(name): value for name, value in given.items() if value != STANDIN_KEY
        }


def all_keys() -> dict[str, str]:
    """The keys that stand-ins take, by the template's parameters."""
    return {service.key: STANDIN_KEY for service in SERVICES.values() if service.key}


def control_of(stage: str, name: str, standins: Standins) -> Control:
    """The control API of what stands in for a provider."""
    standin = SERVICES[stage, name].standin
    known = {"elevenlabs": standins.elevenlabs, "llm": standins.llm}
    return known.get(standin) or standins.control(standin)


def _stood_in_for(stage: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if SERVICES[stage, name].standin in STANDINS]


TRANSCRIBER_NAMES = _stood_in_for("transcriber", list(TRANSCRIBERS))
RESPONDER_NAMES = _stood_in_for("responder", list(RESPONDERS))
SYNTHESIZER_NAMES = _stood_in_for("synthesizer", list(SYNTHESIZERS))
ALL = [
    Combination(*names)
    for names in itertools.product(TRANSCRIBER_NAMES, RESPONDER_NAMES, SYNTHESIZER_NAMES)
]


def cover() -> list[Combination]:
    """So few combinations that every provider is in one of them."""
    count = max(len(TRANSCRIBER_NAMES), len(RESPONDER_NAMES), len(SYNTHESIZER_NAMES))
    return [
        Combination(
            TRANSCRIBER_NAMES[number % len(TRANSCRIBER_NAMES)],
            RESPONDER_NAMES[number % len(RESPONDER_NAMES)],
            SYNTHESIZER_NAMES[number % len(SYNTHESIZER_NAMES)],
        )
        for number in range(count)
    ]
