"""Decides about a call: who makes it, what it needs, whether that is allowed.

No I/O. A caller that is not known, which is the developer, is the account's administrator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from samwire.permissions.calls.access import Access
from samwire.permissions.calls.http import HttpCall
from samwire.permissions.evaluation import Evaluator, Verdict
from samwire.permissions.identities import Directory, Role, Session
from samwire.permissions.patterns import Context
from samwire.permissions.policies import parsed_policy


@dataclass(frozen=True, slots=True)
class Denial:
    """A call that is not allowed."""

    session: Session
    access: Access
    verdict: Verdict

    def sentence(self, resource: str = "") -> str:
        """Return AWS's sentence ("Troubleshoot access denied error messages").

        Args:
            resource: as the service writes it, if otherwise.
        """
        action = self.access.shown or self.access.action
        return (
            f"User: {self.session.arn} is not authorized to perform: {action} "
            f"on resource: {resource or self.access.resource} {self.verdict.reason(action)}"
        )


class Guard:
    """Knows the callers and what each of them may do."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._evaluators = {name: _evaluator(role) for name, role in directory.roles.items()}

    @property
    def directory(self) -> Directory:
        """The callers and their roles."""
        return self._directory

    def replace(self, roles: dict[str, Role]) -> None:
        """Give roles other policies, from the next call on.

        Raises:
            PolicyError: one of them is no policy; nothing has changed then.
        """
        evaluators = {name: _evaluator(role) for name, role in roles.items()}
        self._directory.roles.update(roles)
        self._evaluators.update(evaluators)

    def session(self, call: HttpCall) -> Session | None:
        """Return who calls; None for the administrator."""
        return self._directory.sessions.get(call.scope[0])

    def denial(self, call: HttpCall, session: Session, accesses: Iterable[Access]) -> Denial | None:
        """Return the first permission that a call lacks; None if it has them all."""
        evaluator = self._evaluators[session.role]
        common = cache(lambda: _common(call, session))
        for access in accesses:
            verdict = evaluator.decide(
                access.action, access.resource, _together(common, access.keys)
            )
            if verdict is not Verdict.ALLOWED:
                return Denial(session, access, verdict)
        return None


def _evaluator(role: Role) -> Evaluator:
    boundary = None if role.boundary is None else parsed_policy(role.boundary)
    return Evaluator([parsed_policy(each) for each in role.policies.values()], boundary)


def _together(common: Callable[[], Context], own: Callable[[], Context]) -> Callable[[], Context]:
    return lambda: {**common(), **own()}


def _common(call: HttpCall, session: Session) -> Context:
    """Return the global condition keys of a request."""
    now = time.time()
    keys = {
        "aws:CurrentTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now)),
        "aws:PrincipalAccount": session.account_id,
        "aws:PrincipalArn": session.role_arn,
        "aws:PrincipalIsAWSService": "false",
        "aws:PrincipalType": "AssumedRole",
        "aws:RequestedRegion": call.scope[1],
        "aws:ResourceAccount": call.account_id,
        "aws:SecureTransport": "true",  # on AWS it would be; here plain HTTP stands for it
        "aws:SourceIp": call.source_ip,
        "aws:UserAgent": call.headers.get("user-agent", ""),
        "aws:ViaAWSService": "false",
        "aws:userid": session.user_id,
        "lambda:SourceFunctionArn": session.function_arn,
    }
    return {name.lower(): (value,) for name, value in keys.items()}
