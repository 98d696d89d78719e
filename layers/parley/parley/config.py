"""The deployment's configuration: environment variables as typed settings, read once.

`template.yaml` sets every variable. The defaults here are the template's. Secrets are not among
them: `parley.aws.api_keys` reads those.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, get_args

import msgspec

from parley.errors import ConfigurationError
from parley.limits.rules import LimitRules, Share
from parley.protocol.messages import (
    MAX_MESSAGE_BYTES,
    AudioFormat,
    SettingName,
    Settings,
    Stage,
    Voice,
)
from parley.providers import registry
from parley.sessions.settings_policy import (
    DEFAULT_CLIENT_SETTINGS,
    DEFAULT_LANGUAGES,
    SETTING_NAMES,
    SettingsPolicy,
)
from parley.sessions.silence import DEFAULT_PROMPT, SilencePolicy

DEFAULT_SYSTEM_PROMPT = (
    "You are a helpful voice assistant. Your words are spoken aloud: answer in one to three "
    "short, natural sentences, without lists, markdown, emoji or stage directions. Start with "
    "a short clause."
)

DEFAULT_SETTINGS = Settings(
    voice="21m00Tcm4TlvDq8ikWAM", language="en", speed=1.0, stability=0.5, style="", record=False
)

TOOLS_FILE = "tools.toml"
_TOML = re.compile(r"[A-Za-z0-9_-]{1,64}\.toml")
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The configuration of a deployment.

    Attributes:
        transcriber, responder, synthesizer: names of providers; see `parley.providers.registry`.
        fallback_transcriber, fallback_responder, fallback_synthesizer: of those that take over when
            the first one fails; empty for none.
        fallback_voice: of the second synthesizer; empty for the session's, which only another
            model or address of the same vendor knows.
        client_settings, voices, languages: what clients may choose; see
            `parley.sessions.settings_policy`.
        detects_language: whether a session's language follows what its user speaks.
        language_voices: voices for languages; where there is none, the session's voice speaks.
        stand_ins: the stages whose provider is a stand-in.
        provider_timeout_s: how long a provider may stay silent before its call fails.
        hedge_after_s: how long a provider may stay silent before a second call starts in parallel.
        preemptive_replies: whether a reply may begin before the end of an utterance is sure.
        listen_timeout_s: how long a spoken turn may go without audio before it is over.
        session_idle_s: how long a session can be resumed after its last turn.
        history_messages: how many earlier messages the responder is given.
        client_context: whether a client may tell facts that the next reply knows.
        silence: what is done about a user who is silent.
        max_session_s: how long a session may last; 0 for no limit.
        greeting: what the agent says before the user does; empty for nothing.
        limits: how much may be used.
        recording_bucket: the bucket for recordings of consenting users; empty for no recording.
        stack_name: the deployment's own name.
        tools_file: the name of the deployer's file of tools.
        tool_secret_arn: ARN of the secret with the tools' credentials; empty for none.
        private_tool_hosts: hosts, or hosts with their port, where tools may be although they are
            private or without TLS.
    """

    table: str
    turn_function: str = ""
    custom_domain: str = ""
    secret_arn: str = ""
    transcriber: str = "elevenlabs"
    responder: str = "openai_chat"
    synthesizer: str = "elevenlabs"
    fallback_transcriber: str = ""
    fallback_responder: str = ""
    fallback_synthesizer: str = ""
    fallback_voice: str = ""
    system_prompt: str = DEFAULT_SYSTEM_PROMPT
    reply_format: AudioFormat = "pcm_24000"
    defaults: Settings = DEFAULT_SETTINGS
    client_settings: frozenset[SettingName] = DEFAULT_CLIENT_SETTINGS
    voices: tuple[Voice, ...] = ()
    languages: tuple[str, ...] = DEFAULT_LANGUAGES
    detects_language: bool = False
    language_voices: Mapping[str, str] = field(default_factory=dict)
    stand_ins: tuple[Stage, ...] = ()
    provider_timeout_s: float = 8.0
    hedge_after_s: float = 2.0
    preemptive_replies: bool = True
    listen_timeout_s: float = 8.0
    session_idle_s: int = 24 * 3600
    history_messages: int = 40
    client_context: bool = False
    greeting: str = ""
    silence: SilencePolicy = field(default_factory=SilencePolicy)
    max_session_s: int = 0
    limits: LimitRules = field(default_factory=LimitRules)
    recording_bucket: str = ""
    stack_name: str = ""
    tools_file: str = TOOLS_FILE
    tool_secret_arn: str = ""
    private_tool_hosts: tuple[str, ...] = ()

    @property
    def settings_policy(self) -> SettingsPolicy:
        """The rules for which settings hold, and who may choose them."""
        return SettingsPolicy(
            self.defaults,
            self.client_settings,
            self.voices,
            self.languages,
            records=bool(self.recording_bucket),
            detects_language=self.detects_language,
            language_voices=self.language_voices,
            endpointing=registry.TRANSCRIBERS[self.transcriber].endpointing,
            speed=registry.SYNTHESIZERS[self.synthesizer].speed,
            has_stability=registry.SYNTHESIZERS[self.synthesizer].has_stability,
            takes_context=self.client_context,
            is_preemptive=self.preemptive_replies,
        )

    @property
    def providers(self) -> dict[Stage, tuple[str, str]]:
        """The names of each stage's provider, and of the one that takes over; empty for none."""
        return {
            "transcriber": (self.transcriber, self.fallback_transcriber),
            "responder": (self.responder, self.fallback_responder),
            "synthesizer": (self.synthesizer, self.fallback_synthesizer),
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Deployment:
        """Read and check the environment variables.

        Raises:
            ConfigurationError: a variable is missing or invalid.
        """
        read = _Reader(environment)
        standard = cls(table="")
        voice = str(standard.defaults.voice)
        language = str(standard.defaults.language)
        deployment = cls(
            table=read.required("TABLE_NAME"),
            turn_function=read.text("TURN_FUNCTION", ""),
            custom_domain=read.text("CUSTOM_DOMAIN", ""),
            secret_arn=read.text("SECRET_ARN", ""),
            transcriber=read.choice("TRANSCRIBER", registry.TRANSCRIBERS, standard.transcriber),
            responder=read.choice("RESPONDER", registry.RESPONDERS, standard.responder),
            synthesizer=read.choice("SYNTHESIZER", registry.SYNTHESIZERS, standard.synthesizer),
            fallback_transcriber=read.choice("FALLBACK_TRANSCRIBER", registry.TRANSCRIBERS, ""),
            fallback_responder=read.choice("FALLBACK_RESPONDER", registry.RESPONDERS, ""),
            fallback_synthesizer=read.choice("FALLBACK_SYNTHESIZER", registry.SYNTHESIZERS, ""),
            fallback_voice=_voice("FALLBACK_VOICE_ID", read.text("FALLBACK_VOICE_ID", "")),
            system_prompt=read.text("SYSTEM_PROMPT", standard.system_prompt),
            reply_format=read.audio_format("REPLY_FORMAT", standard.reply_format),
            defaults=_checked(
                Settings(
                    voice=read.text("VOICE_ID", voice),
                    language=read.text("LANGUAGE", language),
                    speed=read.number("VOICE_SPEED", 1.0),
                    stability=read.number("VOICE_STABILITY", 0.5),
                    style="",
                    record=False,
                )
            ),
            client_settings=frozenset(
                read.names("CLIENT_SETTINGS", SETTING_NAMES, tuple(DEFAULT_CLIENT_SETTINGS))
            ),
            voices=_voices(read),
            languages=_languages(read),
            detects_language=read.choice("LANGUAGE_DETECTION", ("on", "off"), "off") == "on",
            language_voices=_language_voices(read),
            stand_ins=read.names("STAND_INS", get_args(Stage), ()),
            provider_timeout_s=read.number("PROVIDER_TIMEOUT_SECONDS", 8.0),
            hedge_after_s=read.number("HEDGE_AFTER_SECONDS", 2.0),
            preemptive_replies=read.choice("PREEMPTIVE_REPLIES", ("on", "off"), "on") == "on",
            listen_timeout_s=read.number("LISTEN_TIMEOUT_SECONDS", 8.0),
            session_idle_s=int(read.number("SESSION_IDLE_HOURS", 24.0) * 3600),
            history_messages=int(read.number("HISTORY_MESSAGES", 40)),
            client_context=read.choice("CLIENT_CONTEXT", ("on", "off"), "off") == "on",
            greeting=read.text("GREETING", ""),
            silence=SilencePolicy(
                read.number("ASK_AFTER_SILENCE_SECONDS", 0),
                read.number("END_AFTER_SILENCE_SECONDS", 0),
                read.text("SILENCE_PROMPT", DEFAULT_PROMPT),
            ),
            max_session_s=round(read.number("MAX_SESSION_MINUTES", 0) * 60),
            limits=_limits(read),
            recording_bucket=read.text("RECORDING_BUCKET", ""),
            stack_name=read.text("STACK_NAME", ""),
            tools_file=read.matching("TOOLS_FILE", _TOML, "the name of a .toml file", TOOLS_FILE),
            tool_secret_arn=read.text("TOOL_SECRETS_ARN", ""),
            private_tool_hosts=_hosts(read),
        )
        _check_detection(deployment)
        return deployment


def _voices(read: _Reader) -> tuple[Voice, ...]:
    """Return a voice for each `id=Name`. A voice without a name has its id as its name."""
    voices = []
    for entry in read.entries("VOICES", ()):
        voice_id, _, name = (part.strip() for part in entry.partition("="))
        _convert("VOICES", {"voice": voice_id}, f"expected id=Name, got {entry!r}")
        voices.append(Voice(voice_id, name or voice_id))
    return tuple(voices)


def _voice(variable: str, voice: str) -> str:
    if voice:
        _convert(variable, {"voice": voice}, f"expected the id of a voice, got {voice!r}")
    return voice


def _hosts(read: _Reader) -> tuple[str, ...]:
    hosts = read.entries("PRIVATE_TOOL_HOSTS", ())
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ConfigurationError(
                "PRIVATE_TOOL_HOSTS: expected hosts such as crm.internal or 10.0.0.5:8080, "
                f"separated by commas; got {host!r}."
            )
    return hosts


def _languages(read: _Reader) -> tuple[str, ...]:
    languages = read.entries("LANGUAGES", DEFAULT_LANGUAGES)
    for code in languages:
        _convert("LANGUAGES", {"language": code}, f"expected ISO 639 codes, got {code!r}")
    return languages


def _language_voices(read: _Reader) -> dict[str, str]:
    """Return a voice for each `code=id`."""
    voices = {}
    for entry in read.entries("LANGUAGE_VOICES", ()):
        code, _, voice = (part.strip() for part in entry.partition("="))
        given = {"language": code, "voice": voice}
        _convert("LANGUAGE_VOICES", given, f"expected language=voice, got {entry!r}")
        voices[code] = voice
    return voices


def _check_detection(deployment: Deployment) -> None:
    """Refuse to detect languages with a transcriber that cannot."""
    if not deployment.detects_language:
        return
    able = [name for name, entry in registry.TRANSCRIBERS.items() if entry.detects_language]
    chosen = {
        "Transcriber": deployment.transcriber,
        "FallbackTranscriber": deployment.fallback_transcriber,
    }
    for parameter, name in chosen.items():
        if name and name not in able:
            raise ConfigurationError(
                f"LanguageDetection is on, and {parameter} {name} does not say which language it "
                f"hears: set LanguageDetection to off, or {parameter} to {' or '.join(able)}."
            )


def _convert(variable: str, settings: Mapping[str, str], rule: str) -> None:
    try:
        msgspec.convert(settings, Settings)
    except msgspec.ValidationError:
        raise ConfigurationError(f"{variable}: {rule}.") from None


def _limits(read: _Reader) -> LimitRules:
    standard = LimitRules()

    def share(whose: str, usual: Share) -> Share:
        return Share(
            connections=read.count(f"CONNECTIONS_{whose}", usual.connections),
            turns_per_minute=read.count(f"TURNS_PER_MINUTE_{whose}", usual.turns_per_minute),
            audio_s_per_day=read.count(f"AUDIO_SECONDS_PER_DAY_{whose}", usual.audio_s_per_day),
            speech_s_per_day=read.count(f"SPEECH_SECONDS_PER_DAY_{whose}", usual.speech_s_per_day),
            sessions_per_minute=read.count(
                f"SESSIONS_PER_MINUTE_{whose}", usual.sessions_per_minute
            ),
            reads_per_minute=read.count(f"READS_PER_MINUTE_{whose}", usual.reads_per_minute),
            tool_rounds_per_minute=read.count(
                f"TOOL_ROUNDS_PER_MINUTE_{whose}", usual.tool_rounds_per_minute
            ),
        )

    return LimitRules(
        subject=share("PER_SUBJECT", standard.subject),
        tenant=share("PER_TENANT", standard.tenant),
        messages_per_second=read.count("MESSAGES_PER_SECOND", standard.messages_per_second),
        message_bytes=read.count("MESSAGE_BYTES", standard.message_bytes) or MAX_MESSAGE_BYTES,
        utterance_s=read.count("UTTERANCE_SECONDS", standard.utterance_s),
        reply_chars=read.count("REPLY_CHARACTERS", standard.reply_chars),
    )


def _checked(defaults: Settings) -> Settings:
    """Check the defaults by the rules that hold for a client's settings."""
    try:
        return Settings().merged_with(defaults)
    except msgspec.ValidationError as invalid:
        raise ConfigurationError(
            f"VOICE_ID, LANGUAGE, VOICE_SPEED or VOICE_STABILITY: {invalid}."
        ) from None


Name = TypeVar("Name", bound=str)


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def required(self, name: str) -> str:
        """Return a variable that must be set."""
        value = self.text(name, "")
        if not value:
            raise ConfigurationError(f"The environment variable {name} is not set.")
        return value

    def text(self, name: str, default: str) -> str:
        """Return a variable without white space around it; the default if it is empty."""
        return self._environment.get(name, "").strip() or default

    def matching(self, name: str, pattern: re.Pattern[str], allowed: str, default: str) -> str:
        """Return a variable that a pattern bounds; the default if it is empty."""
        value = self.text(name, default)
        if not pattern.fullmatch(value):
            raise ConfigurationError(f"{name}: expected {allowed}, got {value!r}.")
        return value

    def entries(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return the entries that commas separate. A variable that is set and empty has none."""
        if name not in self._environment:
            return default
        return tuple(e.strip() for e in self._environment[name].split(",") if e.strip())

    def names(
        self, name: str, known: tuple[Name, ...], default: tuple[Name, ...]
    ) -> tuple[Name, ...]:
        """Return the entries, each of which must be in the closed list `known`."""
        found = self.entries(name, default)
        for entry in found:
            if entry not in known:
                raise ConfigurationError(
                    f"{name}: expected some of {', '.join(known)}, separated by commas; "
                    f"got {entry!r}."
                )
        return tuple(entry for entry in known if entry in found)

    def number(self, name: str, default: float) -> float:
        """Return a finite number of at least 0."""
        value = self.text(name, "")
        if not value:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0:
            raise ConfigurationError(f"{name}: expected a number from 0 on, got {value!r}.")
        return number

    def count(self, name: str, default: int) -> int:
        """Return a whole number of at least 0."""
        number = self.number(name, default)
        if number != int(number):
            raise ConfigurationError(f"{name}: expected a whole number, got {number}.")
        return int(number)

    def audio_format(self, name: str, default: AudioFormat) -> AudioFormat:
        """Return one of the protocol's audio formats."""
        value = self.text(name, default)
        for allowed in get_args(AudioFormat):
            if value == allowed:
                found: AudioFormat = allowed
                return found
        raise _not_one_of(name, get_args(AudioFormat), value)

    def choice(self, name: str, known: Iterable[str], default: str) -> str:
        """Return one of the `known` names; the default if there is none."""
        value = self.text(name, default)
        if value != default and value not in known:
            raise _not_one_of(name, known, value)
        return value


def _not_one_of(name: str, known: Iterable[str], value: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: expected one of {', '.join(known)}; got {value!r}.")
