"""The identity that a token proves."""

from __future__ import annotations

from dataclasses import dataclass

from parley.principal import Principal
from parley.protocol.messages import NO_SETTINGS, Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """The user whom a token names.

    Attributes:
        settings: those that the token sets for the user's sessions.
    """

    principal: Principal
    settings: Settings = NO_SETTINGS
