"""What a token says of the one who shows it."""

from __future__ import annotations

from dataclasses import dataclass

from parley.principal import Principal
from parley.protocol.messages import NO_SETTINGS, Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """What a token says of whoever shows it.

    Attributes:
        settings: those that it sets for its user's sessions.
    """

    principal: Principal
    settings: Settings = NO_SETTINGS
