"""What a provider is built from: the deployment's variables, its keys, and what is shared."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parley.protocol.messages import Settings, Stage
from parley.providers.diagnosis import Endpoint
from parley.providers.errors import ProviderErrorCode

if TYPE_CHECKING:
    import httpx  # half of a small function's import time

ApiKey = Callable[[], Awaitable[str]]
"""Gives a key when one is needed; a rotated one after some minutes."""


_CODES: dict[Stage, ProviderErrorCode] = {
    "transcriber": "transcription_failed",
    "responder": "reply_failed",
    "synthesizer": "speech_failed",
}
_NAMES: dict[Stage, str] = {
    "transcriber": "TRANSCRIPTION",
    "responder": "LLM",
    "synthesizer": "SPEECH",
}
"""What the variables of a stage begin with."""


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider is built from.

    A stage has variables that every provider may have: `SPEECH_BASE_URL` and `SPEECH_MODEL`,
    `TRANSCRIPTION_…`, `LLM_…`. Those of the provider that takes over when the first one fails begin
    with `FALLBACK_`. What belongs to a vendor, such as its key, is the same in both places.

    Attributes:
        variables: the function's environment variables; those of a provider are its own to read.
        read_key: reads a key of the deployment's secret by its name; empty if it is not there.
        http_client: shared by all providers of an environment, so that connections stay open.
        defaults: the settings of a session that chooses none.
        timeout_s: how long a provider may stay silent before its call has failed.
        log: gets what costs time or money; takes an event name and fields.
        is_fallback: whether the provider takes over when another one fails.
    """

    variables: Mapping[str, str]
    read_key: Callable[[str], Awaitable[str]]
    http_client: httpx.AsyncClient
    defaults: Settings
    timeout_s: float
    log: Callable[[str, dict[str, Any]], None]
    is_fallback: bool = False

    def text(self, name: str, default: str = "") -> str:
        """Return a variable; `default` for one that is not set or empty."""
        return self.variables.get(name, "").strip() or default

    def key(self, name: str) -> ApiKey:
        """Return what gives a vendor's key, by its name in the secret."""
        return functools.partial(self.read_key, name)

    def stage_text(self, stage: Stage, name: str, default: str = "") -> str:
        """Return a variable that every stage has, e.g. `MODEL`."""
        return self.text(self._stage_name(stage, name), default)

    def stage_key(self, stage: Stage) -> ApiKey:
        """Return what gives the key of a stage whose provider is any that speaks a protocol.

        Its name in the secret is e.g. `speech_api_key`, or `fallback_speech_api_key`: the key of
        one host is never sent to another.
        """
        return self.key(self._stage_name(stage, "API_KEY").lower())

    def stage_parameter(self, stage: Stage, name: str) -> str:
        """Return the template's parameter for a variable that every stage has, e.g.
        `FallbackSpeechModel`."""
        return "".join(part.title() for part in self._stage_name(stage, name).split("_"))

    def endpoint(
        self, stage: Stage, *, called: str, base_url: str, model: str, key_parameter: str = ""
    ) -> Endpoint:
        """Return whom the calls of a stage go to.

        Args:
            called: within a sentence, e.g. `the chat endpoint`.
            base_url, model: where the deployment names none.
            key_parameter: of the vendor; without one, the stage's.
        """
        return Endpoint(
            code=_CODES[stage],
            called=called,
            base_url=self.stage_text(stage, "BASE_URL", base_url).rstrip("/"),
            model=self.stage_text(stage, "MODEL", model),
            key_parameter=key_parameter or self.stage_parameter(stage, "API_KEY"),
            url_parameter=self.stage_parameter(stage, "BASE_URL"),
            model_parameter=self.stage_parameter(stage, "MODEL"),
            voice_parameter="FallbackVoiceId" if self.is_fallback else "VoiceId",
        )

    def _stage_name(self, stage: Stage, name: str) -> str:
        return f"{'FALLBACK_' if self.is_fallback else ''}{_NAMES[stage]}_{name}"
