"""Which of the template's parameters a choice of providers needs, and which it may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from parley.protocol.messages import Stage
from parley.providers.registry import STAGES

STAGE_OF = {stage.title(): stage for stage in STAGES}
"""The parameters that choose a provider, with their stages."""
FALLBACK = "Fallback"
"""What the parameters of the provider begin with that takes over when the first one fails."""
VOICE = "VoiceId"
OF_STAGE: Mapping[Stage, tuple[str, ...]] = {
    "transcriber": ("TranscriptionBaseUrl", "TranscriptionModel"),
    "responder": ("LlmBaseUrl", "LlmModel"),
    "synthesizer": ("SpeechBaseUrl", "SpeechModel", VOICE, "Voices", "LanguageVoices"),
}
"""Parameters whose values mean nothing to another provider of the stage."""
_MAY_HAVE: Mapping[tuple[Stage, str], tuple[str, ...]] = {
    ("transcriber", "whisper"): ("TranscriptionBaseUrl", "TranscriptionApiKey"),
    ("responder", "openai_chat"): ("LlmApiKey",),
    ("responder", "n8n"): ("N8nHeaderValue",),
    ("synthesizer", "openai_speech"): ("SpeechApiKey",),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The providers of a deployment.

    Attributes:
        values: of the template's parameters.
    """

    values: Mapping[str, str]

    def needed(self) -> list[str]:
        """Return the parameters without which the providers cannot work."""
        found: list[str] = []
        for prefix, stage, name in self._providers():
            entry = STAGES[stage].get(name)
            found += [self._of(prefix, need) for need in entry.needs] if entry else []
            if stage == "synthesizer" and self._has_other_voices(prefix, name):
                found.append(prefix + VOICE)
        return list(dict.fromkeys(found))

    def optional(self) -> list[str]:
        """Return the parameters that the providers may need, which their owner knows."""
        found: list[str] = []
        for prefix, stage, name in self._providers():
            found += [self._of(prefix, each) for each in _MAY_HAVE.get((stage, name), ())]
        return list(dict.fromkeys(found))

    def provider(self, parameter: str) -> str:
        """Return the name of the provider that a parameter such as `Transcriber` chooses."""
        return self.values.get(parameter, "")

    def _providers(self) -> Iterator[tuple[str, Stage, str]]:
        for prefix in ("", FALLBACK):
            for parameter, stage in STAGE_OF.items():
                if name := self.provider(prefix + parameter):
                    yield prefix, stage, name

    def _of(self, prefix: str, parameter: str) -> str:
        """Return the second provider's parameter; a vendor's own key is the same for both."""
        return prefix + parameter if prefix + parameter in self.values else parameter

    def _has_other_voices(self, prefix: str, name: str) -> bool:
        if prefix:
            return name != self.provider("Synthesizer")
        return name != "elevenlabs"  # the template's voice is one of theirs


def outdated(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the parameters of an update whose values belong to a provider that is not chosen any
    more: its address, its model and its voices.

    Args:
        before, after: values of the template's parameters.
    """
    found: list[str] = []
    for prefix in ("", FALLBACK):
        for parameter, stage in STAGE_OF.items():
            chooser = prefix + parameter
            if before.get(chooser) and before[chooser] != after.get(chooser):
                found += [prefix + each for each in OF_STAGE[stage] if prefix + each in before]
    return found
