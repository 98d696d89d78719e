"""Decides about one request: a deny beats every allow, and what nobody allows is denied.

See "Policy evaluation logic" in the IAM user guide. Identity-based policies and the
permissions boundary of one account; nothing else is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

from samwire.permissions.patterns import Context
from samwire.permissions.policies import Policy, Statement

_MAX_REMEMBERED = 4096


class Verdict(Enum):
    """What was decided; the value says why, as AWS's messages end."""

    ALLOWED = ""
    DENIED = "with an explicit deny in an identity-based policy"
    NOT_ALLOWED = "because no identity-based policy allows the {action} action"
    DENIED_BY_BOUNDARY = "with an explicit deny in a permissions boundary"
    NOT_ALLOWED_BY_BOUNDARY = "because no permissions boundary allows the {action} action"

    def reason(self, action: str) -> str:
        """Return the end of AWS's sentence."""
        return self.value.format(action=action)


class Evaluator:
    """The permissions of one role.

    Remembers which statements are about an action on a resource: those are few, and a warm
    decision costs microseconds.
    """

    def __init__(self, policies: Iterable[Policy], boundary: Policy | None = None) -> None:
        self._statements = [s for policy in policies for s in policy.statements]
        self._boundary = None if boundary is None else list(boundary.statements)
        self._remembered: dict[tuple[str, str], Verdict | None] = {}

    def decide(self, action: str, resource: str, context: Callable[[], Context]) -> Verdict:
        """Decide about one action on one resource.

        Args:
            context: the request's condition keys; asked for only if they matter.
        """
        key = (action, resource)
        if key in self._remembered:
            known = self._remembered[key]
            return known if known is not None else self._verdict(action, resource, context())
        about = [s for s in self._all() if s.is_about_action(action)]
        if any(statement.depends for statement in about):
            verdict, known = self._verdict(action, resource, context()), None
        else:
            verdict = known = self._verdict(action, resource, {})
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = known
        return verdict

    def _all(self) -> Iterable[Statement]:
        return [*self._statements, *(self._boundary or ())]

    def _verdict(self, action: str, resource: str, context: Context) -> Verdict:
        effects = _effects(self._statements, action, resource, context)
        if False in effects:
            return Verdict.DENIED
        limits = {True}
        if self._boundary is not None:
            limits = _effects(self._boundary, action, resource, context)
        if False in limits:
            return Verdict.DENIED_BY_BOUNDARY
        if True not in effects:
            return Verdict.NOT_ALLOWED
        return Verdict.ALLOWED if True in limits else Verdict.NOT_ALLOWED_BY_BOUNDARY


def _effects(
    statements: Iterable[Statement], action: str, resource: str, context: Context
) -> set[bool]:
    """Return the effects of all statements that apply: True allows, False denies."""
    return {
        statement.allow
        for statement in statements
        if statement.is_about_action(action)
        and statement.is_about_resource(resource, context)
        and all(condition.holds(context) for condition in statement.conditions)
    }
