"""Resolves CloudFormation's intrinsic functions, as far as one template by itself allows.

Plain data in, plain data out. What a resource's `Ref` and `GetAtt` give is decided by
the caller, who knows what the resources have become.
"""

from __future__ import annotations

import base64
import ipaddress
import itertools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

PARTITION = "aws"
ACCOUNT_ID = "123456789012"
URL_SUFFIX = "amazonaws.com"
STACK_NAME = "local"

_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
_MAX_CIDRS = 256
_MAX_SHOWN = 120


class TemplateError(Exception):
    """The template, or what it was given, is wrong; a sentence that says what and where."""


class _NoValue:
    """What `Ref: AWS::NoValue` gives; it takes away what it stands for, and is never text."""

    def __str__(self) -> str:
        raise TypeError("AWS::NoValue is no text")

    def __repr__(self) -> str:
        return "AWS::NoValue"


NO_VALUE = _NoValue()


def pseudo_parameters(region: str) -> dict[str, Any]:
    """Return CloudFormation's own parameters, as they are here ("Pseudo parameters reference")."""
    stack_id = f"arn:{PARTITION}:cloudformation:{region}:{ACCOUNT_ID}:stack/{STACK_NAME}/1"
    return {
        "AWS::AccountId": ACCOUNT_ID,
        "AWS::NotificationARNs": [],
        "AWS::Partition": PARTITION,
        "AWS::Region": region,
        "AWS::StackId": stack_id,
        "AWS::StackName": STACK_NAME,
        "AWS::URLSuffix": URL_SUFFIX,
    }


class Resolver:
    """Resolves values of one template.

    Args:
        parameters: pseudo parameters and parameters by name.
        conditions: the template's `Conditions`, unresolved.
        mappings: the template's `Mappings`.
        ref: what `Ref` of a resource gives.
        attribute: what `Fn::GetAtt` of a resource and attribute gives.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        conditions: Mapping[str, Any],
        mappings: Mapping[str, Any],
        ref: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
    ) -> None:
        self._parameters = parameters
        self._conditions = conditions
        self._mappings = mappings
        self._ref = ref
        self._attribute = attribute
        self._decided: dict[str, bool] = {}
        self._deciding: list[str] = []
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._resolve_ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::If": self._if,
            "Fn::Equals": self._equals,
            "Fn::Not": lambda items: not self._flags(items, 1, 1)[0],
            "Fn::And": lambda items: all(self._flags(items, 2, 10)),
            "Fn::Or": lambda items: any(self._flags(items, 2, 10)),
            "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": lambda text: base64.b64encode(self._text(text).encode()).decode(),
            "Fn::Cidr": self._cidr,
            "Fn::ImportValue": self._import,
            "Fn::Length": lambda items: len(self._list(items)),
            "Fn::ToJsonString": lambda value: json.dumps(self.resolve(value), default=str),
            "Fn::GetAZs": lambda _: [f"{self._parameters['AWS::Region']}{zone}" for zone in "abc"],
        }
        self.imports: set[str] = set()
        """What other stacks should export: it is not known here, its name stands for it."""

    def condition(self, name: object) -> bool:
        """Return whether a condition of the template holds.

        Raises:
            TemplateError: there is none, or it means itself.
        """
        if not isinstance(name, str) or name not in self._conditions:
            raise TemplateError(f"The template has no condition {name!r}.")
        if name in self._deciding:
            circle = " → ".join([*self._deciding, name])
            raise TemplateError(f"The condition {name} means itself: {circle}.")
        if name not in self._decided:
            self._deciding.append(name)
            try:
                self._decided[name] = self._flag(self._conditions[name])
            finally:
                self._deciding.pop()
        return self._decided[name]

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic function in it resolved.

        Raises:
            TemplateError: a function is unknown, or cannot be resolved.
        """
        if isinstance(value, list):
            found = [self.resolve(item) for item in value]
            return [item for item in found if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if name in self._functions:
                return self._called(name, argument)
            if name.startswith("Fn::"):
                raise TemplateError(f"The intrinsic function {name} is not supported.")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def chosen(self, value: Any) -> Any:
        """Return the value with every `Fn::If` replaced by what its condition chooses; else as it
        is."""
        if isinstance(value, list):
            return [self.chosen(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and "Fn::If" in value:
            name, then, otherwise = _items(value["Fn::If"], 3)
            return self.chosen(then if self.condition(name) else otherwise)
        return {key: self.chosen(item) for key, item in value.items()}

    def _called(self, name: str, argument: Any) -> Any:
        try:
            return self._functions[name](argument)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            reason = f" ({error})" if isinstance(error, ValueError) else ""
            raise TemplateError(
                f"{name} cannot be resolved with {_shown(argument)}{reason}."
            ) from None

    # --- what functions are given -----------------------------------------------------

    def _text(self, value: Any) -> str:
        """Return a value that must be text once it is resolved."""
        return text_of(self.resolve(value))

    def _list(self, value: Any) -> list[Any]:
        found = self.resolve(value)
        if not isinstance(found, list):
            raise ValueError("a list is wanted")
        return found

    def _flag(self, value: Any) -> bool:
        if isinstance(value, dict) and list(value) == ["Condition"]:
            inner = value["Condition"]  # SAM writes it twice where a condition is for an event
            return self._flag(inner) if isinstance(inner, dict) else self.condition(inner)
        found = self.resolve(value)
        if not isinstance(found, bool):
            raise TemplateError(f"{_shown(value)} is no condition.")
        return found

    def _flags(self, items: Any, least: int, most: int) -> list[bool]:
        if not isinstance(items, list) or not least <= len(items) <= most:
            raise ValueError(f"{least} to {most} conditions are wanted")
        return [self._flag(item) for item in items]

    # --- functions --------------------------------------------------------------------

    def _resolve_ref(self, given: Any) -> Any:
        name = self.resolve(given)  # with AWS::LanguageExtensions it may be a function
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._parameters:
            return self._parameters[name]
        if not isinstance(name, str):
            raise ValueError("a name is wanted")
        return self._ref(name)

    def _get_att(self, argument: Any) -> Any:
        if isinstance(argument, str):
            logical_id, found, attribute = argument.partition(".")
            if not found:
                raise ValueError("a logical id and an attribute are wanted")
        else:
            logical_id, attribute = (self._text(part) for part in _items(argument, 2))
        return self._attribute(logical_id, attribute)

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else _items(argument, 2)
        known = {name: self._text(item) for name, item in variables.items()}

        def replacement(match: re.Match[str]) -> str:
            literal, name = match[1], match[2].strip()
            if literal:
                return "${" + name + "}"
            if name in known:
                return known[name]
            if "." in name and not name.startswith("AWS::"):
                return text_of(self._get_att(name))
            return text_of(self._resolve_ref(name))

        return _PLACEHOLDER.sub(replacement, text)

    def _join(self, argument: Any) -> str:
        separator, items = _items(argument, 2)
        return self._text(separator).join(text_of(item) for item in self._list(items))

    def _split(self, argument: Any) -> list[str]:
        separator, text = _items(argument, 2)
        return self._text(text).split(self._text(separator))

    def _select(self, argument: Any) -> Any:
        position, items = _items(argument, 2)
        index, found = int(self._text(position)), self._list(items)
        if not 0 <= index < len(found):
            raise ValueError(f"there is no value {index} among {len(found)}")
        return found[index]

    def _if(self, argument: Any) -> Any:
        name, then, otherwise = _items(argument, 3)
        return self.resolve(then if self.condition(name) else otherwise)

    def _equals(self, argument: Any) -> bool:
        first, second = (self.resolve(item) for item in _items(argument, 2))
        if isinstance(first, (dict, list)) or isinstance(second, (dict, list)):
            return bool(first == second)
        return text_of(first) == text_of(second)

    def _import(self, name: Any) -> str:
        exported = self._text(name)
        self.imports.add(exported)
        return exported

    def _find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) not in (3, 4):
            raise ValueError("a mapping and two keys are wanted")
        name, first, second = (self._text(part) for part in argument[:3])
        found = ((self._mappings.get(name) or {}).get(first) or {}).get(second)
        if found is not None:
            return found
        if len(argument) > 3:
            return self.resolve(argument[3]["DefaultValue"])
        raise TemplateError(f"The mapping {name} has no entry {first}.{second}.")

    def _cidr(self, argument: Any) -> list[str]:
        block, count, *bits = (self._text(part) for part in argument)
        network = ipaddress.ip_network(block)
        if not 1 <= int(count) <= _MAX_CIDRS:
            raise ValueError(f"1 to {_MAX_CIDRS} blocks are wanted")
        prefix = network.max_prefixlen - int(bits[0] if bits else 8)
        parts = itertools.islice(network.subnets(new_prefix=prefix), int(count))
        found = [str(part) for part in parts]
        if len(found) < int(count):
            raise ValueError(f"{block} has no {count} such blocks")
        return found


def text_of(value: Any) -> str:
    """Return a value as text.

    Raises:
        ValueError: it is a map, a list, or nothing at all.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value is NO_VALUE or isinstance(value, (dict, list)):
        raise ValueError("text is wanted")
    return str(value)


def _items(argument: Any, count: int) -> list[Any]:
    if not isinstance(argument, list) or len(argument) != count:
        raise ValueError(f"a list of {count} is wanted")
    return argument


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
