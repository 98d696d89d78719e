"""One permission that a call needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from samwire.permissions.patterns import Context


def no_keys() -> Context:
    """Return no condition keys of its own."""
    return {}


@dataclass(frozen=True, slots=True)
class Access:
    """An action on a resource.

    Attributes:
        action: `service:Operation`, as it is compared with policies.
        keys: the service's own condition keys; asked for only if they matter.
        shown: the action as this service writes it in messages, if otherwise.
    """

    action: str
    resource: str
    keys: Callable[[], Context] = no_keys
    shown: str = ""
