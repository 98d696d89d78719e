"""How a deployment names a server that speaks OpenAI's audio API: its parameters and defaults."""

from __future__ import annotations

from urllib.parse import urlsplit

from parley.errors import ConfigurationError
from parley.protocol.messages import Stage
from parley.providers.context import ProviderContext
from parley.providers.diagnosis import Endpoint
from parley.providers.rules import STANDARD, CallRules

OPENAI_HOST = "api.openai.com"
GROQ_HOST = "api.groq.com"
HOSTED = (OPENAI_HOST, GROQ_HOST)
"""Services that need a key, and answer many callers at once."""

TRANSCRIPTION_MODELS = {OPENAI_HOST: "gpt-transcribe", GROQ_HOST: "whisper-large-v3-turbo"}
"""OpenAI switches off whisper-1 and gpt-4o-(mini-)transcribe on 2027-02-26
(developers.openai.com, Deprecations)."""
TRANSCRIPTION_MODEL = "whisper-1"
"""What other servers take for their own: LocalAI and speaches have it as an alias, and whisper.cpp
does not look."""
SPEECH_MODELS = {OPENAI_HOST: "gpt-4o-mini-tts", GROQ_HOST: "canopylabs/orpheus-v1-english"}
"""OpenAI switches off all of `/audio/speech` on 2027-01-06 (likewise)."""
SPEECH_MODEL = "kokoro"
"""Kokoro-FastAPI's, and LocalAI's name for the same voices."""
SPEECH_VOICE = "af_heart"
"""Kokoro's, of a session and a deployment that choose none."""

PATIENT_TRANSCRIPTION = CallRules(hedge_after_s=60.0, timeout_s=30.0)
"""Of a server that may have one model and one lock (whisper.cpp has): asked a second time, it would
answer twice, one after the other. So it is never hedged. Whisper large-v3 needs up to 20 s for an
utterance on eight cores of a CPU."""
HOSTED_TRANSCRIPTION = CallRules(hedge_after_s=4.0, timeout_s=15.0)
"""The whole utterance is uploaded and understood after its end: 1 to 3 s is usual."""
PATIENT_SPEECH = CallRules(hedge_after_s=60.0, timeout_s=15.0)
"""Likewise. Kokoro on a CPU begins a sentence within 1 to 4 s."""

SPEECH_ADVICE = {
    "compressed": "{host} sends compressed sound, whatever it is asked for, and only WAV and PCM "
    "can be played: set its format to WAV, or check {model}.",
    "no_sound": "{host} sends no sound, or none that can be played: check {base_url}, {model} and "
    "{voice}.",
    # Many a server has no name of its own for a voice that is not there.
    "request": "{called} refused the request{status}: check {voice}, which voice the session "
    "chose, {model} and {base_url}.",
}
TRANSCRIPTION_ADVICE = {
    "utterance": "The utterance is longer than {called_there} takes (25 MB): choose fewer "
    "UtteranceSeconds.",
}

_REALTIME_ONLY = ("gpt-live-transcribe", "gpt-realtime-whisper")


def transcription_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is transcribed, and with which model.

    Raises:
        ConfigurationError: the model cannot do what the deployment asks of it.
    """
    base_url = f"https://{OPENAI_HOST}/v1"
    host = _host(context.stage_text("transcriber", "BASE_URL", base_url))
    endpoint = context.endpoint(
        "transcriber",
        called="the transcription endpoint",
        base_url=base_url,
        model=TRANSCRIPTION_MODELS.get(host, TRANSCRIPTION_MODEL),
    )
    model, parameter = endpoint.model, endpoint.model_parameter
    if model.lower() in _REALTIME_ONLY:
        raise ConfigurationError(
            f"{parameter}: {model} is only in OpenAI's realtime API, which whisper does not speak: "
            f"choose {TRANSCRIPTION_MODELS[OPENAI_HOST]}."
        )
    if _is_english_only(model.lower()):
        language = context.defaults.language or "en"
        problem = f"Language is {language}" if language != "en" else ""
        if context.text("LANGUAGE_DETECTION") == "on":
            problem = "LanguageDetection is on"
        if problem:
            raise ConfigurationError(
                f"{parameter}: {model} understands English only, and {problem}: choose a model "
                "whose name does not end in en."
            )
    return endpoint


def speech_endpoint(context: ProviderContext) -> Endpoint:
    """Return where speech is made, and with which model.

    Raises:
        ConfigurationError: no address is given.
    """
    base_url = context.stage_text("synthesizer", "BASE_URL")
    if not base_url:
        parameter = context.stage_parameter("synthesizer", "BASE_URL")
        raise ConfigurationError(
            f"openai_speech needs {parameter}: the address of a server that speaks OpenAI's audio "
            "API, up to and without /audio/speech."
        )
    return context.endpoint(
        "synthesizer",
        called="the speech endpoint",
        base_url="",
        model=SPEECH_MODELS.get(_host(base_url), SPEECH_MODEL),
    )


def transcription_rules(endpoint: Endpoint) -> CallRules:
    """Return how a transcription endpoint may be called."""
    return HOSTED_TRANSCRIPTION if is_hosted(endpoint) else PATIENT_TRANSCRIPTION


def speech_rules(endpoint: Endpoint) -> CallRules:
    """Return how a speech endpoint may be called."""
    return STANDARD if is_hosted(endpoint) else PATIENT_SPEECH


def key_names(stage: Stage, context: ProviderContext, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the keys of the deployment's secret without which an endpoint cannot work."""
    if not is_hosted(endpoint):
        return ()
    prefix = "fallback_" if context.is_fallback else ""
    return (f"{prefix}{'transcription' if stage == 'transcriber' else 'speech'}_api_key",)


def _is_english_only(model: str) -> bool:
    # tiny.en and the like are Whisper's own; distil-whisper-large-v3-en was Groq's.
    return model.endswith(".en") or ("whisper" in model and model.endswith("-en"))


def is_hosted(endpoint: Endpoint) -> bool:
    """Return whether it is one of the `HOSTED` services."""
    return _host(endpoint.base_url) in HOSTED


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
