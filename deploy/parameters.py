"""The template's parameters, and what may be given for them."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.errors import DeployError
from samwire.template.intrinsics import TemplateError
from samwire.template.loader import parse
from samwire.template.parameters import parameter_values

SECRETS = {
    "ElevenLabsApiKey": "ELEVENLABS_API_KEY",
    "CartesiaApiKey": "CARTESIA_API_KEY",
    "DeepgramApiKey": "DEEPGRAM_API_KEY",
    "AnthropicApiKey": "ANTHROPIC_API_KEY",
    "LlmApiKey": "LLM_API_KEY",
    "SpeechApiKey": "SPEECH_API_KEY",
    "TranscriptionApiKey": "TRANSCRIPTION_API_KEY",
    "N8nHeaderValue": "N8N_HEADER_VALUE",
    "FallbackLlmApiKey": "FALLBACK_LLM_API_KEY",
    "FallbackSpeechApiKey": "FALLBACK_SPEECH_API_KEY",
    "FallbackTranscriptionApiKey": "FALLBACK_TRANSCRIPTION_API_KEY",
    "AuthSecret": "AUTH_SECRET",
}
"""Parameters that nobody may see, and the variables of the environment that give them."""
NOT_TOLD = "****"
"""What CloudFormation tells of a secret."""
_PAIR = re.compile(r"(?:ParameterKey=)?([A-Za-z0-9]+)(?:=|,ParameterValue=)(.*)", re.DOTALL)
_FILE = "file://"
_SOURCE = re.compile(r" \[[^\]]*\]$", re.MULTILINE)
"""Which rule a value breaks, at the end of a sentence: whoever is asked for it need not know."""
_ITEM = ("ParameterKey", "ParameterValue")


class Parameters:
    """What a template declares.

    Args:
        path: of the template.
    """

    def __init__(self, path: Path) -> None:
        try:
            template = parse(path, path.read_text())
        except FileNotFoundError:
            raise DeployError(f"There is no {path}: run `make build` first.") from None
        self.declared: dict[str, dict[str, Any]] = template.get("Parameters") or {}

    def default(self, name: str) -> str:
        """Return a parameter's default, empty if it has none."""
        return str(self.declared.get(name, {}).get("Default", ""))

    def is_secret(self, name: str) -> bool:
        """Return whether its value must not be seen."""
        return str(self.declared[name].get("NoEcho", "")).lower() == "true"

    def visible(self, stored: Mapping[str, str]) -> dict[str, str]:
        """Return those of a stack's values that CloudFormation tells, and that the template still
        has."""
        hidden = self.hidden(stored)
        return {n: v for n, v in stored.items() if n in self.declared and n not in hidden}

    def hidden(self, stored: Mapping[str, str]) -> list[str]:
        """Return the parameters of a stack whose values CloudFormation tells nobody."""
        return [
            name
            for name, value in stored.items()
            if name in self.declared and (self.is_secret(name) or value == NOT_TOLD)
        ]

    def wrong(self, name: str, value: str) -> str | None:
        """Return what is wrong with a value, None if nothing is."""
        definition = self.declared[name]
        if any("\ud800" <= char <= "\udfff" for char in value):  # bytes that are no UTF-8
            return "Wanted: text in UTF-8."
        try:
            parameter_values({name: definition}, {name: value})
        except TemplateError as error:
            wanted = definition.get("ConstraintDescription")
            if wanted and "AllowedValues" not in definition:
                return f"Wanted: {wanted}."
            return _SOURCE.sub("", str(error))
        except re.error:
            return None  # a pattern of Java's: CloudFormation tells
        return None

    def checked(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the values, if all of them are allowed.

        Raises:
            DeployError: a parameter is unknown, or its value is not allowed.
        """
        for name, value in given.items():
            if name not in self.declared:
                alike = difflib.get_close_matches(name, self.declared, 1, 0.5)
                hint = f" Did you mean {alike[0]}?" if alike else ""
                raise DeployError(f"There is no parameter {name}.{hint}")
            wrong = self.wrong(name, value)
            if wrong:
                raise DeployError(f"{name}: {wrong}")
        return dict(given)

    def overrides(self, words: Iterable[str], folder: Path) -> dict[str, str]:
        """Return what `Name=value` and `file://values.yaml` give; the last one of a name counts.

        Args:
            words: as they are written after SAM's `--parameter-overrides`.
            folder: where files are looked for.

        Raises:
            DeployError: one cannot be read, or shows a secret.
        """
        given: dict[str, str] = {}
        for word in words:
            if word.startswith(_FILE):
                given |= self._of_file(folder / word.removeprefix(_FILE))
                continue
            pair = _PAIR.fullmatch(word)
            if pair is None:
                raise DeployError(f"{word!r} is no Name=value and no file://values.yaml.")
            name, value = pair.groups()
            if name in self.declared and self.is_secret(name):
                raise DeployError(
                    f"{name} is a secret, and other programs can read a command line and "
                    f"samconfig.toml: set {SECRETS.get(name, 'it in a file')} in the environment, "
                    "or have it asked for."
                )
            given[name] = value
        return given

    def _of_file(self, path: Path) -> dict[str, str]:
        try:
            # Every value as it is written: `off` and `no` are words here.
            found = yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506  # nosec B506
        except OSError as error:
            raise DeployError(f"{path} cannot be read: {error.strerror}.") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DeployError(f"{path} is neither YAML nor JSON: {_first_line(error)}") from None
        if isinstance(found, list):  # as SAM and the AWS CLI have them
            found = dict(
                _item(f"{path}, item {number}", each) for number, each in enumerate(found, 1)
            )
        if not isinstance(found, dict):
            raise DeployError(f"{path} has no lines such as `Language: de`.")
        if isinstance(found.get("Parameters"), dict) and "Parameters" not in self.declared:
            raise DeployError(
                f"{path}: Parameters holds the values: leave it out, and write lines such as "
                "`Language: de`."
            )
        given = {str(name): _text(path, name, value) for name, value in found.items()}
        secrets = [name for name in given if name in self.declared and self.is_secret(name)]
        if secrets and path.stat().st_mode & 0o077:
            raise DeployError(
                f"{path} holds {secrets[0]}, and others can read it: chmod 600 {path}"
            )
        return given


def words_of(value: Any, where: str) -> list[str]:
    """Return `parameter_overrides` of samconfig.toml as words: a text, a list or a table.

    Raises:
        DeployError: it is none of them.
    """
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise DeployError(f"{where}: {error} in {value!r}") from None
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return list(value)
    if isinstance(value, dict):
        return [f"{name}={_plain(each)}" for name, each in value.items()]
    raise DeployError(f"{where} must be a text, a list or a table.")


def _item(where: str, item: Any) -> tuple[str, Any]:
    """Name and value of an item of a list. A refusal never shows it: it may hold a secret."""
    if isinstance(item, str) and (pair := _PAIR.fullmatch(item)):
        return pair[1], pair[2]
    if not isinstance(item, dict):
        raise DeployError(f"{where} is no Name=value.")
    name = item.get("ParameterKey")
    if name is not None and not isinstance(name, str):
        raise DeployError(f"{where}: ParameterKey must be a text.")
    if "UsePreviousValue" in item:
        raise DeployError(
            f"{where}: leave {name or 'it'} out to keep its value; UsePreviousValue is not read."
        )
    if set(item) != set(_ITEM):
        has = ", ".join(map(str, item)) or "nothing"
        raise DeployError(f"{where} has {has}: wanted are {' and '.join(_ITEM)}.")
    return str(name), item["ParameterValue"]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(path: Path, name: str, value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if not isinstance(value, str):
        raise DeployError(f"{path}: {name} must be a text or a list.")
    return value


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
