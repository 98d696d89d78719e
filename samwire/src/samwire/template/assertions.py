"""Evaluates the `Rules` of a template: what AWS asserts of its parameters.

See "CloudFormation template Rules syntax" and "Rule-specific intrinsic functions" in
CloudFormation's user guide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from samwire.template.intrinsics import TemplateError, text_of
from samwire.template.problems import Problem

_PAGE = 'AWS, "CloudFormation template Rules syntax"'
_OF_AN_ACCOUNT = ("Fn::ValueOf", "Fn::ValueOfAll")


class _NotKnown(Exception):
    """It depends on what is in an account."""


def rule_problems(
    rules: Any,
    values: Mapping[str, Any],
    kinds: Mapping[str, str],
    notice: Callable[[str], None],
) -> Iterator[Problem]:
    """Yield what the rules of a template refuse; no value is part of a problem.

    Args:
        rules: the section `Rules`.
        values: pseudo parameters and parameters by name.
        kinds: the `Type` of each parameter.
        notice: takes a sentence about a rule that cannot be evaluated here.
    """
    if not isinstance(rules, dict):
        yield Problem("Rules", "it must be a map.", _PAGE)
        return
    evaluation = _Evaluation(values, kinds)
    for name, rule in rules.items():
        try:
            yield from evaluation.problems(name, rule)
        except _NotKnown as function:
            notice(f"The rule {name} is not checked: {function} asks what an account has.")
        except (TemplateError, TypeError, ValueError, AttributeError, LookupError) as error:
            reason = f": {error}" if isinstance(error, TemplateError) else "."
            yield Problem(name, f"the rule cannot be evaluated{reason}", _PAGE)


class _Evaluation:
    def __init__(self, values: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
        self._values = values
        self._kinds = kinds
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::And": lambda items: all(self._flag(item) for item in _several(items)),
            "Fn::Or": lambda items: any(self._flag(item) for item in _several(items)),
            "Fn::Not": lambda items: not self._flag(*items),
            "Fn::Equals": lambda items: self._equals(*items),
            "Fn::Contains": lambda items: self._contains(*items),
            "Fn::EachMemberEquals": lambda items: self._each_equals(*items),
            "Fn::EachMemberIn": lambda items: self._each_in(*items),
            "Fn::RefAll": self._ref_all,
        }

    def problems(self, name: str, rule: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the assertions of one rule that do not hold."""
        if "RuleCondition" in rule and not self._flag(rule["RuleCondition"]):
            return
        for number, assertion in enumerate(rule["Assertions"], 1):
            if not self._flag(assertion["Assert"]):
                said = (
                    assertion.get("AssertDescription") or f"its assertion {number} does not hold."
                )
                yield Problem(name, str(said), _PAGE)

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        if not isinstance(value, dict):
            return value
        ((function, argument),) = value.items()
        if function in _OF_AN_ACCOUNT:
            raise _NotKnown(function)
        if function not in self._functions:
            allowed = ", ".join([*self._functions, *_OF_AN_ACCOUNT])
            raise TemplateError(f"{function} is no function of a rule. There are: {allowed}.")
        return self._functions[function](argument)

    def _flag(self, value: Any) -> bool:
        found = self._resolved(value)
        if not isinstance(found, bool):
            raise TemplateError("a condition is wanted.")
        return found

    def _texts(self, value: Any) -> list[str]:
        found = self._resolved(value)
        return [text_of(item) for item in (found if isinstance(found, list) else [found])]

    def _ref(self, name: Any) -> Any:
        if name not in self._values:
            raise TemplateError(f"the template has no parameter {name}.")
        return self._values[name]

    def _ref_all(self, kind: Any) -> list[str]:
        """Return the values of all parameters of a type."""
        found = [self._values[name] for name, each in self._kinds.items() if each == kind]
        return [text for value in found for text in self._texts(value)]

    def _equals(self, first: Any, second: Any) -> bool:
        return self._texts(first) == self._texts(second)

    def _contains(self, among: Any, wanted: Any) -> bool:
        return set(self._texts(wanted)) <= set(self._texts(among))

    def _each_equals(self, members: Any, wanted: Any) -> bool:
        (text,) = self._texts(wanted)
        return all(member == text for member in self._texts(members))

    def _each_in(self, members: Any, among: Any) -> bool:
        return set(self._texts(members)) <= set(self._texts(among))


def _several(items: Any) -> list[Any]:
    if not isinstance(items, list) or not 2 <= len(items) <= 10:
        raise TemplateError("2 to 10 conditions are wanted.")
    return items
