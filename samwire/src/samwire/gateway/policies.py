"""What a policy that an authorizer returns says of one action and resource.

As far as API Gateway's own policies go: effects, actions and resources with `*` and `?`.
An explicit deny beats an allow, and what is not allowed is denied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def allows(policy: Any, action: str, resource: str) -> bool | None:
    """Return whether a policy allows an action on a resource; None if it is no policy.

    A statement with conditions is taken as it is without them if it denies, and not at all
    if it allows: nothing is known here that could meet them.
    """
    if not isinstance(policy, Mapping):
        return None
    statements = policy.get("Statement")
    if isinstance(statements, Mapping):
        statements = [statements]
    if not isinstance(statements, list) or not all(map(_is_statement, statements)):
        return None
    effects = {
        statement["Effect"]
        for statement in statements
        if _applies(statement, "Action", action.lower(), lower=True)
        and _applies(statement, "Resource", resource)
        and not (statement["Effect"] == "Allow" and statement.get("Condition"))
    }
    return effects == {"Allow"}


def _is_statement(statement: Any) -> bool:
    return (
        isinstance(statement, Mapping)
        and statement.get("Effect") in ("Allow", "Deny")
        and any(name in statement for name in ("Action", "NotAction"))
        and any(name in statement for name in ("Resource", "NotResource"))
    )


def _applies(statement: Mapping[str, Any], name: str, value: str, *, lower: bool = False) -> bool:
    negated = f"Not{name}" in statement
    patterns = statement.get(f"Not{name}" if negated else name)
    listed = patterns if isinstance(patterns, list) else [patterns]
    matching = any(
        _matches(str(pattern).lower() if lower else str(pattern), value) for pattern in listed
    )
    return matching != negated


def _matches(pattern: str, value: str) -> bool:
    """Match literally, but for `*` and `?`: `…/prod/*/*` is not `…/prod/$connect`."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None
