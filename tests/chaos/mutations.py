"""Mistakes that the soak has to find: each breaks what keeps a write from being done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Patch = Callable[[Any, str, Any], None]
"""Sets an attribute."""


def apply(name: str, patch: Patch = setattr) -> None:
    """Make a mistake in this process; none if the name is empty."""
    if name:
        MUTATIONS[name](patch)


def _record_without_fence(patch: Patch) -> None:
    """A round is recorded whoever has the lease, and whoever has recorded it before."""
    from parley.storage.table import Table

    def transact(self: Table, _update: Any, item: Any) -> None:
        self.put(item)

    patch(Table, "transact", transact)


def _ignore_recorded_rounds(patch: Patch) -> None:
    """A later attempt asks the model again, and runs what it wants."""
    from parley.storage.rounds import Recorded, RoundStore
    from parley.turn.tools.rounds import ToolRounds

    record_round = RoundStore.record_round

    def record(self: RoundStore, *given: Any) -> Recorded:
        found = record_round(self, *given)
        return Recorded("ours", given[-1]) if found.outcome == "theirs" else found

    async def load(self: ToolRounds) -> None:
        """Read nothing."""

    patch(RoundStore, "record_round", record)
    patch(ToolRounds, "load", load)


def _send_calls_again(patch: Patch) -> None:
    """A call without an answer is sent again, whatever it does."""
    from parley.aws import clients
    from parley.tools.kinds.webhook_repeats import Repeats

    init = Repeats.__init__

    def tool_lambda(_timeout_s: float) -> Any:
        again = {"mode": "standard", "total_max_attempts": 4}
        config = clients._config(read_timeout=0.4, retries=again)
        return clients.botocore_session().create_client("lambda", config=config)

    def harmless(self: Repeats, **_: Any) -> None:
        init(self, harmless=True)

    patch(clients, "tool_lambda", tool_lambda)
    patch(Repeats, "__init__", harmless)


MUTATIONS: dict[str, Callable[[Patch], None]] = {
    "fence": _record_without_fence,
    "replay": _ignore_recorded_rounds,
    "repeat": _send_calls_again,
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Make a mistake for a while."""
    before: list[tuple[Any, str, Any]] = []

    def patch(owner: Any, attribute: str, value: Any) -> None:
        before.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, value)

    try:
        apply(name, patch)
        yield
    finally:
        for owner, attribute, value in reversed(before):
            setattr(owner, attribute, value)
