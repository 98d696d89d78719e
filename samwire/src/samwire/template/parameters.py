"""Values of a template's parameters: defaults, what was given, and whether it is allowed.

Checks what CloudFormation checks before it creates anything ("Parameters" in its user
guide). Values of `NoEcho` parameters are never part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from samwire.template import java_patterns
from samwire.template.intrinsics import TemplateError

Value = str | list[str]

_PAGE = 'AWS, "CloudFormation template Parameters syntax"'
_STORED = re.compile(r"AWS::SSM::Parameter::Value<(?P<kind>.+)>")
_STORED_NAME = "AWS::SSM::Parameter::Name"
_LISTS = ("List<", "CommaDelimitedList")


def parameter_values(
    declared: Mapping[str, Mapping[str, Any]],
    overrides: Mapping[str, str],
    stored: Mapping[str, str] | None = None,
    notice: Callable[[str], None] = lambda _sentence: None,
) -> dict[str, Value]:
    """Return the value of every declared parameter; lists as lists.

    Args:
        stored: what SSM's parameter store holds, by name: parameters of the type
            `AWS::SSM::Parameter::Value<…>` take their values from there.
        notice: takes a sentence about what is not checked.

    Raises:
        TemplateError: some are missing, unknown or not allowed; a line for each.
    """
    wrong = [
        f"The template has no parameter {name}. It has: {', '.join(declared) or 'none'}."
        for name in overrides
        if name not in declared
    ]
    missing = [
        name
        for name, definition in declared.items()
        if name not in overrides and definition.get("Default") is None
    ]
    if missing:
        wrong.append(_missing(missing))
    values: dict[str, Value] = {}
    for name, definition in declared.items():
        if name in missing:
            continue
        text = overrides[name] if name in overrides else _text(definition["Default"])
        try:
            for sentence in _checked(name, definition, text):
                notice(sentence)
            values[name] = _value(name, str(definition.get("Type", "String")), text, stored or {})
        except TemplateError as error:
            wrong.append(f"{error} [{_PAGE}]")
    if wrong:
        raise TemplateError("\n".join(wrong))
    return values


def _value(name: str, kind: str, text: str, stored: Mapping[str, str]) -> Value:
    """Return the value that `Ref` gives."""
    found = _STORED.fullmatch(kind)
    if found or kind == _STORED_NAME:
        if text not in stored:
            raise TemplateError(
                f"The parameter {name} names {text} of SSM's parameter store, where nothing of "
                f'that name is. Give it a value: --ssm-parameters \'{{"{text}": "…"}}\''
            )
        kind = found["kind"] if found else kind
        text = stored[text] if found else text
    return _parts(text) if kind.startswith(_LISTS) else text


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _missing(names: list[str]) -> str:
    given = " ".join(f"{name}=…" for name in names)
    if len(names) == 1:
        return f"The parameter {names[0]} has no value. Give it one: --parameter-overrides {given}"
    return (
        f"The parameters {', '.join(names)} have no value. "
        f"Give them one: --parameter-overrides {given}"
    )


def _text(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _checked(name: str, definition: Mapping[str, Any], text: str) -> Iterator[str]:
    """Yield what cannot be checked.

    Raises:
        TemplateError: the value is not allowed.
    """
    kind = str(definition.get("Type", "String"))
    hidden = str(definition.get("NoEcho", "")).lower() == "true"
    for value in _parts(text) if kind.startswith(_LISTS) else [text]:
        shown = "its value" if hidden else repr(value)
        _check_choice(name, definition, value)
        yield from _check_pattern(name, definition, value, shown)
        _check_length(name, definition, value)
        if kind in ("Number", "List<Number>"):
            _check_number(name, definition, shown, value)


def _check_choice(name: str, definition: Mapping[str, Any], value: str) -> None:
    allowed = definition.get("AllowedValues")
    if allowed is None:
        return
    if not isinstance(allowed, list):
        raise TemplateError(f"The parameter {name}: AllowedValues must be a list.")
    if value not in [_text(item) for item in allowed]:
        raise TemplateError(
            f"The parameter {name} must be one of {', '.join(map(_text, allowed))}."
        )


def _check_pattern(
    name: str, definition: Mapping[str, Any], value: str, shown: str
) -> Iterator[str]:
    pattern = definition.get("AllowedPattern")
    if not pattern:
        return
    try:
        matches = java_patterns.matches(str(pattern), value)
    except java_patterns.NotChecked as reason:
        yield f"{name}: its AllowedPattern {pattern} is not checked: {reason}."
        return
    if not matches:
        wanted = definition.get("ConstraintDescription") or f"what matches {pattern}"
        raise TemplateError(f"The parameter {name} cannot be {shown}; wanted: {wanted}.")


def _check_length(name: str, definition: Mapping[str, Any], value: str) -> None:
    least, most = _bound(name, definition, "MinLength"), _bound(name, definition, "MaxLength")
    if least is not None and len(value) < least:
        raise TemplateError(f"The parameter {name} must have at least {least:g} characters.")
    if most is not None and len(value) > most:
        raise TemplateError(f"The parameter {name} must have at most {most:g} characters.")


def _check_number(name: str, definition: Mapping[str, Any], shown: str, value: str) -> None:
    number = _number(value)
    if number is None:
        raise TemplateError(f"The parameter {name} must be a number, not {shown}.")
    least, most = _bound(name, definition, "MinValue"), _bound(name, definition, "MaxValue")
    if least is not None and number < least:
        raise TemplateError(f"The parameter {name} must be at least {definition['MinValue']}.")
    if most is not None and number > most:
        raise TemplateError(f"The parameter {name} must be at most {definition['MaxValue']}.")


def _bound(name: str, definition: Mapping[str, Any], which: str) -> float | None:
    if which not in definition:
        return None
    number = _number(definition[which])
    if number is None:
        raise TemplateError(f"The parameter {name}: {which} must be a number.")
    return number


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if abs(number) != float("inf") and number == number else None
