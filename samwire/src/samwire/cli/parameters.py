"""Values that options hold as text or in a file: parameters, variables, SSM's parameter store."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from samwire.template.intrinsics import TemplateError

_PAIR = re.compile(r"[A-Za-z0-9]+=", re.DOTALL)
_LONG_PAIR = re.compile(r"ParameterKey=([A-Za-z0-9]+),ParameterValue=(.*)", re.DOTALL)
_FILE = "file://"


def template_parameters(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the values of `--parameter-file`, and over them those of `--parameter-overrides`.

    Raises:
        TemplateError: one of the options is not as it should be.
    """
    given: dict[str, str] = {}
    if arguments.parameter_file is not None:
        given.update(_values_of_file("--parameter-file", arguments.parameter_file))
    for word in arguments.parameter_overrides:
        if word.startswith(_FILE):
            given.update(_values_of_file("--parameter-overrides", word.removeprefix(_FILE)))
        else:
            given.update(map(_pair, _words(word)))
    return given


def stored_parameters(text: str) -> dict[str, str]:
    """Return what `--ssm-parameters` holds, JSON or a file.

    Raises:
        TemplateError: it is neither.
    """
    option = "--ssm-parameters"
    if text.lstrip().startswith("{"):
        return _values(option, text, "its value")
    return _values_of_file(option, text)


def environment_variables(path: Path | None) -> dict[str, dict[str, str]]:
    """Return what `--env-vars` holds: variables by logical id of the function.

    Raises:
        TemplateError: the file is not as it should be.
    """
    if path is None:
        return {}
    option = "--env-vars"
    found = _object(option, _text(option, str(path)), str(path))
    for name, variables in found.items():
        if not isinstance(variables, dict):
            raise TemplateError(
                f"{option}: {name} in {path} must be an object, variables by name, as in "
                f'{{"{name}": {{"NAME": "value"}}}}.'
            )
    return {name: {str(k): str(v) for k, v in vs.items()} for name, vs in found.items()}


def _words(text: str) -> list[str]:
    """Return the pairs of one word of the shell: `'A=1 B=2'` holds two, as sam reads it.

    A value may have spaces: only where every part is a pair are there several.
    """
    try:
        parts = shlex.split(text)
    except ValueError:
        return [text]
    return parts if len(parts) > 1 and all(map(_PAIR.match, parts)) else [text]


def _pair(text: str) -> tuple[str, str]:
    if long := _LONG_PAIR.fullmatch(text):
        return long[1], long[2]
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise TemplateError(
            "--parameter-overrides: expected KEY=VALUE, ParameterKey=KEY,ParameterValue=VALUE or "
            f"file://FILE, got {text!r}."
        )
    return key, value


def _values_of_file(option: str, path: str) -> dict[str, str]:
    return _values(option, _text(option, path), path)


def _values(option: str, text: str, where: str) -> dict[str, str]:
    return {name: str(value) for name, value in _object(option, text, where).items()}


def _object(option: str, text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise TemplateError(f"{option}: {where} is not valid JSON: {error}.") from None
    if not isinstance(found, dict):
        raise TemplateError(f"{option}: expected an object, values by name, in {where}.")
    return found


def _text(option: str, path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        raise TemplateError(f"{option}: {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise TemplateError(f"{option}: {path} is not text in UTF-8.") from None
