"""Policy documents, read into statements; what cannot be understood is said, not guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samwire.permissions.conditions import Condition, parsed_operator
from samwire.permissions.known_keys import is_checked, is_known
from samwire.permissions.patterns import Context, Pattern

CURRENT_VERSION = "2012-10-17"
_ELEMENTS = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


class PolicyError(Exception):
    """A policy document that IAM would not take; a sentence that says what is wrong."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of an identity-based policy.

    Attributes:
        allow: its effect; False denies.
        other_actions: whether it is about all actions but these (`NotAction`).
        other_resources: likewise `NotResource`.
    """

    allow: bool
    actions: tuple[Pattern, ...]
    other_actions: bool
    resources: tuple[Pattern, ...]
    other_resources: bool
    conditions: tuple[Condition, ...]

    def is_about_action(self, action: str) -> bool:
        """Return whether its action element matches."""
        return any(p.matches(action, dict) for p in self.actions) != self.other_actions

    def is_about_resource(self, resource: str, context: Context) -> bool:
        """Return whether its resource element matches."""
        hit = any(pattern.matches(resource, lambda: context) for pattern in self.resources)
        return hit != self.other_resources

    @property
    def depends(self) -> bool:
        """Whether more than action and resource decides if it applies."""
        return bool(self.conditions) or any(pattern.depends for pattern in self.resources)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document.

    Attributes:
        notices: a sentence for everything that is known not to be as on AWS.
    """

    statements: tuple[Statement, ...]
    notices: tuple[str, ...] = ()


def parsed_policy(document: object) -> Policy:
    """Read a policy document.

    Raises:
        PolicyError: it is no policy.
    """
    if not isinstance(document, Mapping):
        raise PolicyError("The policy must be an object with a Statement.")
    found = document.get("Statement")
    statements = [found] if isinstance(found, Mapping) else found
    if not isinstance(statements, list) or not statements:
        raise PolicyError("The policy must have a Statement: an object or a list of them.")
    variables = str(document.get("Version", "")) == CURRENT_VERSION
    notices: list[str] = []
    read = [
        _statement(each, _where(each, place), variables, notices)
        for place, each in enumerate(statements, 1)
    ]
    return Policy(tuple(read), tuple(notices))


def _where(statement: object, place: int) -> str:
    sid = statement.get("Sid") if isinstance(statement, Mapping) else None
    return f"Statement {sid or place}"


def _statement(found: object, where: str, variables: bool, notices: list[str]) -> Statement:
    if not isinstance(found, Mapping):
        raise PolicyError(f"{where} must be an object.")
    unknown = [str(name) for name in found if name not in _ELEMENTS]
    if unknown:
        raise PolicyError(f"{where} has the unknown element {unknown[0]}.")
    effect = found.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"{where} must have the Effect Allow or Deny, not {effect!r}.")
    actions, other_actions = _either(found, "Action", where)
    resources, other_resources = _either(found, "Resource", where)
    for action in actions:
        if action != "*" and ":" not in action:
            raise PolicyError(f"{where}: the action {action!r} must be service:Operation.")
    matters = other_actions or any(map(is_checked, actions))
    return Statement(
        allow=effect == "Allow",
        actions=tuple(Pattern(text, variables=False, ignore_case=True) for text in actions),
        other_actions=other_actions,
        resources=tuple(Pattern(text, variables=variables, arn=True) for text in resources),
        other_resources=other_resources,
        conditions=tuple(
            _conditions(found.get("Condition") or {}, where, variables, notices if matters else [])
        ),
    )


def _either(found: Mapping[Any, Any], name: str, where: str) -> tuple[list[str], bool]:
    """Return `Action` or `NotAction`, and which; likewise resources."""
    if (name in found) == (f"Not{name}" in found):
        raise PolicyError(f"{where} must have either {name} or Not{name}.")
    other = name not in found
    return _texts(found[f"Not{name}" if other else name], f"{where}: its {name}"), other


def _conditions(found: object, where: str, variables: bool, notices: list[str]) -> list[Condition]:
    if not isinstance(found, Mapping) or not all(isinstance(v, Mapping) for v in found.values()):
        raise PolicyError(f"{where}: its Condition must be operators with keys with values.")
    conditions = []
    for text, keys in found.items():
        operator = parsed_operator(str(text))
        if operator is None:
            raise PolicyError(f"{where}: {text} is no condition operator.")
        name, quantifier, if_exists = operator
        for key, wanted in keys.items():
            if not is_known(str(key).lower()):
                notices.append(
                    f"{where}: the condition key {key} is not known here; no request has it."
                )
            values = _texts(wanted, f"{where}: the values of {key}")
            conditions.append(
                Condition(
                    name,
                    str(key).lower(),
                    tuple(Pattern(value, variables=variables) for value in values),
                    quantifier,
                    if_exists,
                )
            )
    return conditions


def _texts(value: object, what: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or any(isinstance(each, (list, Mapping)) or each is None for each in values):
        raise PolicyError(f"{what} must be text or a list of texts.")
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in values]
