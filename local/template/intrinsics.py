"""Resolves CloudFormation's intrinsic functions, as far as one template by itself allows.

Plain data in, plain data out. What a resource's `Ref` and `GetAtt` give is decided by
the caller, who knows what the resources have become.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

PARTITION = "aws"
ACCOUNT_ID = "123456789012"
URL_SUFFIX = "amazonaws.com"
NO_VALUE = object()

_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(Exception):
    """The template, or what it was given, is wrong; a sentence that says what and where."""


class Resolver:
    """Resolves values of one template.

    Args:
        pseudo: pseudo parameters and parameters by name.
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
        self.imports: set[str] = set()
        """What other stacks should export: it is not known here, its name stands for it."""

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds."""
        if name not in self._conditions:
            raise TemplateError(f"The template has no condition {name!r}.")
        return bool(self.resolve(self._conditions[name]))

    def resolve(self, value: Any) -> Any:
        """The value with every intrinsic function in it resolved."""
        if isinstance(value, list):
            found = (self.resolve(item) for item in value)
            return [item for item in found if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            function = self._functions().get(name)
            if function is not None:
                return function(argument)
            if name.startswith("Fn::"):
                raise TemplateError(f"The intrinsic function {name} is not supported.")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def _functions(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "Ref": self._resolve_ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::If": self._if,
            "Fn::Equals": lambda pair: self.resolve(pair[0]) == self.resolve(pair[1]),
            "Fn::Not": lambda items: not self.resolve(items[0]),
            "Fn::And": lambda items: all(self.resolve(item) for item in items),
            "Fn::Or": lambda items: any(self.resolve(item) for item in items),
            "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": lambda text: base64.b64encode(str(self.resolve(text)).encode()).decode(),
            "Fn::ImportValue": self._import,
            "Fn::Length": lambda items: len(self.resolve(items)),
            "Fn::ToJsonString": lambda value: json.dumps(self.resolve(value)),
            "Fn::GetAZs": lambda _: [f"{self._parameters['AWS::Region']}{zone}" for zone in "abc"],
        }

    def _resolve_ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._parameters:
            return self._parameters[name]
        return self._ref(name)

    def _get_att(self, argument: Any) -> Any:
        logical_id, attribute = (
            argument.split(".", 1) if isinstance(argument, str) else (argument[0], argument[1])
        )
        return self._attribute(logical_id, str(self.resolve(attribute)))

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument
        known = {name: self.resolve(item) for name, item in variables.items()}

        def replacement(match: re.Match[str]) -> str:
            literal, name = match[1], match[2]
            if literal:
                return "${" + name + "}"
            if name in known:
                return str(known[name])
            if "." in name and not name.startswith("AWS::"):
                return str(self._get_att(name))
            return str(self._resolve_ref(name))

        return _PLACEHOLDER.sub(replacement, text)

    def _join(self, argument: Any) -> str:
        separator, items = argument
        return str(separator).join(str(item) for item in self.resolve(items))

    def _split(self, argument: Any) -> list[str]:
        separator, text = argument
        return str(self.resolve(text)).split(separator)

    def _select(self, argument: Any) -> Any:
        index, items = argument
        return self.resolve(items)[int(self.resolve(index))]

    def _if(self, argument: Any) -> Any:
        name, then, otherwise = argument
        return self.resolve(then if self.condition(name) else otherwise)

    def _import(self, name: Any) -> str:
        exported = str(self.resolve(name))
        self.imports.add(exported)
        return exported

    def _find_in_map(self, argument: Any) -> Any:
        name, first, second = (self.resolve(part) for part in argument[:3])
        try:
            return self._mappings[name][first][second]
        except KeyError:
            if len(argument) > 3:
                return self.resolve(argument[3]["DefaultValue"])
            raise TemplateError(f"The mapping {name} has no entry {first}.{second}.") from None
