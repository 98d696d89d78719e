"""How the Lambda service runs functions. Light to import: the command's help shows the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from samwire.faults.latency import Latency

ACCOUNT_LIMIT = 1000
"""A new account's limit of concurrent invocations ("Lambda quotas")."""
RETRY_DELAY_S = 1.0
"""Lambda waits one minute before the first retry of an asynchronous invocation and two
before the second; here it waits a second, so that one can watch it."""


class Preload(StrEnum):
    """What is imported once for the environments of a function that run at the same time."""

    NONE = "none"
    """Nothing: each environment imports everything itself."""
    PACKAGES = "packages"
    """Installed packages."""
    DEFINITIONS = "definitions"
    """Modules of the function and its layers too, as far as they only define things."""


@dataclass(frozen=True)
class ServiceOptions:
    """How functions are run, besides their surroundings.

    Attributes:
        concurrency: of the account, shared by the functions that reserve none.
        reload: whether a changed source file ends the environments that run the old one.
        retry_delay_s: before an asynchronous invocation that failed is tried again.
        latency: that is added to invocations and cold starts.
        preload: what environments do not import themselves.
    """

    concurrency: int = ACCOUNT_LIMIT
    reload: bool = True
    retry_delay_s: float = RETRY_DELAY_S
    latency: Latency = field(default_factory=Latency)
    preload: Preload = Preload.DEFINITIONS
