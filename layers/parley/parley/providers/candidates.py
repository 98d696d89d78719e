"""Who may be asked in a stage of a turn: its provider, and the one that takes over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from parley.providers.circuit_breaker import CircuitBreaker
from parley.providers.rules import CallRules


class Provider(Protocol):
    """A provider, of whichever stage."""

    @property
    def rules(self) -> CallRules:
        """How it may be called."""


P = TypeVar("P", bound=Provider)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate(Generic[P]):
    """A provider that may be asked.

    Attributes:
        breaker: says whether it is called at all.
        voice: the one that it speaks with; empty for the session's.
    """

    provider: P
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    voice: str = ""

    @property
    def rules(self) -> CallRules:
        """How it may be called."""
        return self.provider.rules


Candidates = Sequence[Candidate[P]]
"""Those of a stage, the one that is preferred first."""
