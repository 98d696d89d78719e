"""Secrets that a template has generated (`GenerateSecretString` of Secrets Manager)."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping
from typing import Any

from samwire.template.intrinsics import TemplateError

DEFAULT_LENGTH = 32
_KINDS = (
    ("ExcludeLowercase", string.ascii_lowercase),
    ("ExcludeUppercase", string.ascii_uppercase),
    ("ExcludeNumbers", string.digits),
    ("ExcludePunctuation", string.punctuation),
)


def generated_secret(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return a new secret, as `AWS::SecretsManager::Secret GenerateSecretString` describes it.

    The second is what of the first has been made, without what the template says.

    Raises:
        TemplateError: nothing is left to make it of, or its template is no JSON object.
    """
    password = _password(settings)
    if "SecretStringTemplate" not in settings:
        return password, password
    try:
        template = json.loads(settings["SecretStringTemplate"])
        return json.dumps({**template, settings["GenerateStringKey"]: password}), password
    except (ValueError, TypeError, KeyError):
        raise TemplateError(
            "GenerateSecretString needs a SecretStringTemplate that is a JSON object, and a "
            "GenerateStringKey."
        ) from None


def _password(settings: Mapping[str, Any]) -> str:
    excluded = set(str(settings.get("ExcludeCharacters", "")))
    kinds = [
        [character for character in characters if character not in excluded]
        for name, characters in _KINDS
        if not _flag(settings, name)
    ]
    if _flag(settings, "IncludeSpace") and " " not in excluded:
        kinds.append([" "])
    kinds = [kind for kind in kinds if kind]
    if not kinds:
        raise TemplateError("GenerateSecretString excludes every character.")
    length = int(settings.get("PasswordLength", DEFAULT_LENGTH))
    alphabet = [character for kind in kinds for character in kind]
    characters = [secrets.choice(alphabet) for _ in range(length)]
    if _flag(settings, "RequireEachIncludedType", default=True) and length >= len(kinds):
        places = secrets.SystemRandom().sample(range(length), len(kinds))
        for place, kind in zip(places, kinds, strict=True):
            characters[place] = secrets.choice(kind)
    return "".join(characters)


def _flag(settings: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    return str(settings.get(name, default)).lower() == "true"
