"""Values of a template's parameters: defaults, what was given, and whether it is allowed.

Checks what CloudFormation checks before it creates anything ("Parameters" in its user
guide). Values of `NoEcho` parameters are never part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from local.template.intrinsics import TemplateError

Value = str | list[str]


def parameter_values(
    declared: Mapping[str, Mapping[str, Any]], overrides: Mapping[str, str]
) -> dict[str, Value]:
    """The value of every declared parameter; lists as lists.

    Raises:
        TemplateError: one is missing, unknown or not allowed.
    """
    unknown = [name for name in overrides if name not in declared]
    if unknown:
        raise TemplateError(
            f"The template has no parameter {unknown[0]}. It has: {', '.join(declared) or 'none'}."
        )
    missing = [n for n, d in declared.items() if n not in overrides and "Default" not in d]
    if missing:
        raise TemplateError(_missing(missing))
    values: dict[str, Value] = {}
    for name, definition in declared.items():
        text = overrides[name] if name in overrides else _text(definition["Default"])
        kind = str(definition.get("Type", "String"))
        is_list = kind == "CommaDelimitedList" or kind.startswith("List<")
        parts = [part.strip() for part in text.split(",")] if is_list and text else []
        for part in parts if is_list else [text]:
            _check(name, definition, kind, part)
        values[name] = parts if is_list else text
    return values


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


def _check(name: str, definition: Mapping[str, Any], kind: str, value: str) -> None:
    hidden = str(definition.get("NoEcho", "")).lower() == "true"
    shown = "its value" if hidden else repr(value)
    allowed = definition.get("AllowedValues")
    if allowed and value not in [_text(item) for item in allowed]:
        raise TemplateError(
            f"The parameter {name} must be one of {', '.join(map(_text, allowed))}."
        )
    pattern = definition.get("AllowedPattern")
    if pattern and not re.fullmatch(str(pattern), value):
        wanted = definition.get("ConstraintDescription") or f"what matches {pattern}"
        raise TemplateError(f"The parameter {name} cannot be {shown}; wanted: {wanted}.")
    if "MinLength" in definition and len(value) < int(definition["MinLength"]):
        least = definition["MinLength"]
        raise TemplateError(f"The parameter {name} must have at least {least} characters.")
    if "MaxLength" in definition and len(value) > int(definition["MaxLength"]):
        most = definition["MaxLength"]
        raise TemplateError(f"The parameter {name} must have at most {most} characters.")
    if kind in ("Number", "List<Number>"):
        _check_number(name, definition, shown, value)


def _check_number(name: str, definition: Mapping[str, Any], shown: str, value: str) -> None:
    try:
        number = float(value)
    except ValueError:
        raise TemplateError(f"The parameter {name} must be a number, not {shown}.") from None
    if "MinValue" in definition and number < float(definition["MinValue"]):
        raise TemplateError(f"The parameter {name} must be at least {definition['MinValue']}.")
    if "MaxValue" in definition and number > float(definition["MaxValue"]):
        raise TemplateError(f"The parameter {name} must be at most {definition['MaxValue']}.")
