"""Decides which settings hold in a session, and which of them its client may choose.

The style is part of the system message, and a voice has a price. So a visitor of a page may choose
them only if the deployment allows it. The application's backend may choose anything: it signs a
token, whose settings override the client's.

Where the deployment detects languages, a session's language is the one that its user was heard to
speak last. A token's language stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import msgspec

from parley.errors import ParleyError
from parley.protocol.messages import (
    MAX_SPEED,
    MIN_SPEED,
    Choices,
    Endpointing,
    SettingName,
    Settings,
    Voice,
)
from parley.text.languages import find_language

SETTING_NAMES: tuple[SettingName, ...] = ("language", "speed", "voice", "stability", "style")
"""What a deployment may let its clients set. `record` is the user's consent: only the user gives it
and takes it back, and no token can."""
DEFAULT_CLIENT_SETTINGS: frozenset[SettingName] = frozenset({"language", "speed", "voice"})
DEFAULT_LANGUAGES: tuple[str, ...] = (
    *("ar", "bg", "cs", "da", "de", "el", "en", "es", "fi", "fil", "fr", "hi", "hr", "hu", "id"),
    *("it", "ja", "ko", "ms", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sv", "ta", "tr", "uk"),
    *("vi", "zh"),
)
"""What `eleven_flash_v2_5` speaks (ElevenLabs, "Models")."""
NAMED_VALUES = 40
"""How many allowed values an error names; `ready` has them all."""


@dataclass(frozen=True, slots=True)
class SettingsPolicy:
    """Decides about settings.

    Attributes:
        defaults: the deployment's own; every field is set.
        client_settings: what a client may set.
        voices: those that a client may choose, besides the default one.
        languages: those that a client may choose, besides the default one; ISO 639 codes.
        records: whether the deployment records users who consent.
        detects_language: whether a session's language follows what its user speaks.
        language_voices: voices for languages, in place of the default one.
        endpointing: who may find the end of an utterance, of this deployment's transcriber.
        speed: the slowest and the fastest that its synthesizer speaks.
        has_stability: whether its synthesizer knows the setting `stability`.
        takes_context: whether a client may tell facts.
        is_preemptive: whether a reply may begin at a pause.
        has_own_voice: whether the default voice is an agent's own, whatever the language.
    """

    defaults: Settings
    client_settings: frozenset[SettingName] = DEFAULT_CLIENT_SETTINGS
    voices: tuple[Voice, ...] = ()
    languages: tuple[str, ...] = DEFAULT_LANGUAGES
    records: bool = False
    detects_language: bool = False
    language_voices: Mapping[str, str] = field(default_factory=dict)
    endpointing: tuple[Endpointing, ...] = get_args(Endpointing)
    speed: tuple[float, float] = (MIN_SPEED, MAX_SPEED)
    has_stability: bool = True
    takes_context: bool = False
    is_preemptive: bool = False
    has_own_voice: bool = False

    def with_agent(self, settings: Settings) -> SettingsPolicy:
        """Return the rules for an agent that has settings of its own, in place of the defaults."""
        return replace(
            self,
            defaults=self.defaults.merged_with(settings),
            has_own_voice=settings.voice is not msgspec.UNSET,
        )

    def check_settings(self, chosen: Settings, signed: Settings, path: str) -> None:
        """Refuse settings that a client may not choose.

        Args:
            signed: those of the client's token.
            path: where the settings are in the message, e.g. `config.settings.`.

        Raises:
            ParleyError: `bad_request`, naming the first such field and what is allowed.
        """
        choices = self.list_choices(signed)
        fixed = _set_fields(signed)
        for name, value in _set_fields(chosen).items():
            if name == "record":
                continue  # a deployment that records nobody answers `false`, whatever is asked
            if name in fixed:
                raise _error(path + name, "the token sets it for this user")
            if name not in choices.settings:
                raise _error(path + name, _describe_names(choices.settings))
            if (allowed := _allowed_values(name, choices)) is not None and value not in allowed:
                raise _error(path + name, _describe_values(allowed))

    def merge_settings(self, chosen: Settings, signed: Settings, heard: str = "") -> Settings:
        """Return every setting that holds: of the deployment, the agent, the client, the token.

        A client's choice that the deployment no longer allows does not hold. A language may have a
        voice of its own, in place of the deployment's default: one that was chosen stays.

        Args:
            chosen: what the client chose, as the session stores it.
            signed: what the client's token sets.
            heard: the language that the user was heard to speak; empty if none was.
        """
        choices = self.list_choices(signed)
        held = {
            name: value
            for name, value in _set_fields(chosen).items()
            if name in choices.settings
            and ((allowed := _allowed_values(name, choices)) is None or value in allowed)
        }
        settings = self.defaults.merged_with(msgspec.convert(held, Settings)).merged_with(signed)
        if language := self.find_heard(heard, signed):
            settings = settings.merged_with(Settings(language=language))
        voice = self.language_voices.get(str(settings.language))
        chosen_voice = "voice" in held or signed.voice is not msgspec.UNSET or self.has_own_voice
        if voice is None or chosen_voice:
            return settings
        return settings.merged_with(Settings(voice=voice))

    def follows_speech(self, signed: Settings) -> bool:
        """Return whether a session's language is found out from what its user speaks."""
        return self.detects_language and signed.language is msgspec.UNSET

    def find_heard(self, code: str, signed: Settings) -> str:
        """Return the language that a user was heard to speak, as this deployment spells it.

        Empty if it does not count: it is none of the deployment's, or the session's does not
        follow.

        Args:
            code: as the transcriber spells it; empty if it does not know.
        """
        if not code or not self.follows_speech(signed):
            return ""
        return find_language(code, self.list_choices(signed).languages)

    def list_choices(self, signed: Settings) -> Choices:
        """Return what a client with such a token may choose."""
        fixed = _set_fields(signed)
        names = [
            name for name in SETTING_NAMES if name in self.client_settings and name not in fixed
        ]
        if self.records:
            names.append("record")
        voices, languages = list(self.voices), list(self.languages)
        default = str(self.defaults.voice)
        if default not in {voice.id for voice in voices}:
            voices.insert(0, Voice(default, "Default"))
        if self.defaults.language not in languages:
            languages.insert(0, str(self.defaults.language))
        slowest, fastest = max(self.speed[0], MIN_SPEED), min(self.speed[1], MAX_SPEED)
        return Choices(
            names,
            voices,
            languages,
            list(self.endpointing),
            min_speed=slowest,
            max_speed=fastest,
            stability=self.has_stability,
            detects_language=self.detects_language,
            context=self.takes_context,
            preemptive_replies=self.is_preemptive,
        )

    def check_endpointing(
        self, endpointing: Endpointing, path: str, turn_id: str | None = None
    ) -> None:
        """Refuse to leave the end of an utterance to whom this deployment's transcriber does not.

        Args:
            path: the field in the message, e.g. `audio_start.endpointing`.
            turn_id: the turn that does not begin.

        Raises:
            ParleyError: `bad_request`, naming the field and what is allowed.
        """
        if endpointing not in self.endpointing:
            rule = f"this deployment's transcriber takes {' or '.join(self.endpointing)} only"
            raise ParleyError("bad_request", f"{path}: {rule}.", field=path, turn_id=turn_id)


def _set_fields(settings: Settings) -> dict[SettingName, Any]:
    values = {name: getattr(settings, name) for name in (*SETTING_NAMES, "record")}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def _allowed_values(name: SettingName, choices: Choices) -> list[str] | None:
    """Return the closed list of a setting's values; None if it has none."""
    if name == "voice":
        return [voice.id for voice in choices.voices]
    return choices.languages if name == "language" else None


def _error(field: str, rule: str) -> ParleyError:
    return ParleyError("bad_request", f"{field}: {rule}.", field=field)


def _describe_names(names: Iterable[str]) -> str:
    return f"this deployment lets a client set {', '.join(names) or 'nothing'} (ClientSettings)"


def _describe_values(allowed: list[str]) -> str:
    named, more = allowed[:NAMED_VALUES], len(allowed) - NAMED_VALUES
    others = f" and {more} others, which ready.choices names" if more > 0 else ""
    return f"expected one of {', '.join(named)}{others}"
