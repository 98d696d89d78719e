"""The providers that a deployment may choose, by the names in its template.

A provider is a module with `build_transcriber`, `build_responder` or `build_synthesizer`, which
takes a `ProviderContext`. It is imported when it is chosen: nobody's cold start pays for another.
A provider that can be checked has a module with `build_checks`; see `parley.providers.checks`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parley.providers.checks import ProviderChecks
    from parley.providers.context import ProviderContext
    from parley.providers.llm import Responder
    from parley.providers.stt import Transcriber
    from parley.providers.tts import Synthesizer

TRANSCRIBERS = {
    "elevenlabs": "parley.providers.elevenlabs.transcriber",
}
RESPONDERS = {
    "openai_chat": "parley.providers.openai_chat.responder",
}
SYNTHESIZERS = {
    "elevenlabs": "parley.providers.elevenlabs.synthesizer",
}
CHECKS = {
    "elevenlabs": "parley.providers.elevenlabs.checks",
    "openai_chat": "parley.providers.openai_chat.checks",
}
"""Of the providers that `GET /health?deep=1` can look at."""


def build_transcriber(name: str, context: ProviderContext) -> Transcriber:
    """Build the transcriber of that name."""
    transcriber: Transcriber = _module(TRANSCRIBERS, name).build_transcriber(context)
    return transcriber


def build_responder(name: str, context: ProviderContext) -> Responder:
    """Build the responder of that name."""
    responder: Responder = _module(RESPONDERS, name).build_responder(context)
    return responder


def build_synthesizer(name: str, context: ProviderContext) -> Synthesizer:
    """Build the synthesizer of that name."""
    synthesizer: Synthesizer = _module(SYNTHESIZERS, name).build_synthesizer(context)
    return synthesizer


def build_checks(names: Iterable[str], context: ProviderContext) -> list[ProviderChecks]:
    """Build the checks of the providers of these names, each once, where there are some."""
    chosen = [name for name in dict.fromkeys(names) if name in CHECKS]
    return [_module(CHECKS, name).build_checks(context) for name in chosen]


def _module(table: Mapping[str, str], name: str) -> Any:
    return importlib.import_module(table[name])
