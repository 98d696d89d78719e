"""The providers that a deployment may choose, by the names in its template.

A provider is a module with `build_transcriber`, `build_responder` or `build_synthesizer`, which
takes a `ProviderContext`. It is imported when it is chosen: nobody's cold start pays for another.
Its entry here says what it can do, so that every function can refuse at its start what it cannot.
A provider that can be checked has a module with `build_check`; see `parley.providers.checks`.

Every function imports this. A Struct is made in a tenth of the time of a dataclass.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from msgspec import Struct

from parley.protocol.messages import AudioFormat, Endpointing, Stage
from parley.providers.speed import WithinRange

if TYPE_CHECKING:
    from parley.providers.checks import ProviderCheck
    from parley.providers.context import ProviderContext
    from parley.providers.llm import Responder
    from parley.providers.stt import Transcriber
    from parley.providers.tts import Synthesizer


class Entry(Struct, frozen=True):
    """What is known of a provider before it is imported.

    Attributes:
        module: builds it.
        check: the module that checks it; empty if none does.
        needs: the template's parameters without which it cannot work.
    """

    module: str
    check: str = ""
    needs: tuple[str, ...] = ()


class TranscriberEntry(Entry, frozen=True):
    """A transcriber.

    Attributes:
        endpointing: who may decide where an utterance ends.
        detects_language: whether it says which language it heard.
        tells_turns: whether it says, where it finds the end of an utterance, that one is likely.
    """

    endpointing: tuple[Endpointing, ...] = get_args(Endpointing)
    detects_language: bool = False
    tells_turns: bool = False


class ResponderEntry(Entry, frozen=True):
    """A responder.

    Attributes:
        calls_tools: whether it can call the deployment's tools. One that cannot is asked without.
    """

    calls_tools: bool = True


class SynthesizerEntry(Entry, frozen=True):
    """A synthesizer.

    Attributes:
        formats: of the audio that it can make.
        speed: the slowest and the fastest; a session's speed is brought into this range.
        has_stability: whether it knows the setting `stability`; otherwise it is ignored.
        has_times: whether it says when words sound; otherwise that is estimated.
    """

    formats: tuple[AudioFormat, ...] = get_args(AudioFormat)
    speed: tuple[float, float] = (0.7, 1.2)
    has_stability: bool = False
    has_times: bool = False


_ROOM = "parley.providers"

TRANSCRIBERS: dict[str, TranscriberEntry] = {
    "elevenlabs": TranscriberEntry(
        f"{_ROOM}.elevenlabs.transcriber",
        f"{_ROOM}.elevenlabs.checks",
        ("ElevenLabsApiKey",),
        detects_language=True,
    ),
    "cartesia": TranscriberEntry(
        f"{_ROOM}.cartesia.transcriber",
        f"{_ROOM}.cartesia.checks",
        ("CartesiaApiKey",),
        tells_turns=True,
    ),
    "deepgram": TranscriberEntry(
        f"{_ROOM}.deepgram.transcriber",
        f"{_ROOM}.deepgram.checks",
        ("DeepgramApiKey",),
        detects_language=True,
        tells_turns=True,
    ),
    "whisper": TranscriberEntry(
        f"{_ROOM}.openai_audio.transcriber",
        f"{_ROOM}.openai_audio.checks",
        endpointing=("manual",),
        detects_language=True,
    ),
}
RESPONDERS: dict[str, ResponderEntry] = {
    "openai_chat": ResponderEntry(f"{_ROOM}.openai_chat.responder", f"{_ROOM}.openai_chat.checks"),
    "openai_chat_bedrock": ResponderEntry(
        f"{_ROOM}.bedrock.openai_chat", f"{_ROOM}.bedrock.openai_chat", ("LlmModel",)
    ),
    "anthropic": ResponderEntry(
        f"{_ROOM}.anthropic.responder", f"{_ROOM}.anthropic.checks", ("AnthropicApiKey",)
    ),
    "anthropic_bedrock": ResponderEntry(f"{_ROOM}.bedrock.anthropic", f"{_ROOM}.bedrock.anthropic"),
    "n8n": ResponderEntry(
        f"{_ROOM}.n8n.responder", f"{_ROOM}.n8n.checks", ("LlmBaseUrl",), calls_tools=False
    ),
}
SYNTHESIZERS: dict[str, SynthesizerEntry] = {
    "elevenlabs": SynthesizerEntry(
        f"{_ROOM}.elevenlabs.synthesizer",
        f"{_ROOM}.elevenlabs.checks",
        ("ElevenLabsApiKey",),
        has_stability=True,
        has_times=True,
    ),
    "cartesia": SynthesizerEntry(
        f"{_ROOM}.cartesia.synthesizer",
        f"{_ROOM}.cartesia.checks",
        ("CartesiaApiKey",),
        speed=(0.6, 1.5),
        has_times=True,
    ),
    "openai_speech": SynthesizerEntry(
        f"{_ROOM}.openai_audio.synthesizer",
        f"{_ROOM}.openai_audio.checks",
        ("SpeechBaseUrl",),
        speed=(0.25, 4.0),
    ),
}
STAGES: dict[Stage, Mapping[str, Entry]] = {
    "transcriber": TRANSCRIBERS,
    "responder": RESPONDERS,
    "synthesizer": SYNTHESIZERS,
}


def build_transcriber(name: str, context: ProviderContext) -> Transcriber:
    """Build the transcriber of that name.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    transcriber: Transcriber = _module(TRANSCRIBERS, name).build_transcriber(context)
    return transcriber


def build_responder(name: str, context: ProviderContext) -> Responder:
    """Build the responder of that name.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    responder: Responder = _module(RESPONDERS, name).build_responder(context)
    return responder


def build_synthesizer(name: str, context: ProviderContext) -> Synthesizer:
    """Build the synthesizer of that name.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    synthesizer: Synthesizer = _module(SYNTHESIZERS, name).build_synthesizer(context)
    return WithinRange(synthesizer, SYNTHESIZERS[name].speed)


def build_check(stage: Stage, name: str, context: ProviderContext) -> ProviderCheck | None:
    """Build the check of the provider of that name in a stage; None if it has none.

    Raises:
        ConfigurationError: the deployment's variables do not suit it.
    """
    module = STAGES[stage][name].check
    if not module:
        return None
    check: ProviderCheck = importlib.import_module(module).build_check(stage, context)
    return check


def _module(table: Mapping[str, Entry], name: str) -> Any:
    return importlib.import_module(table[name].module)
