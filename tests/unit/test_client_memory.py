"""The client's memory through a long conversation, in little time."""

from __future__ import annotations

from benchmarks.client_memory import python_client

NOISE_BYTES = 500_000
"""What a few turns more or less in flight, and the interpreter's own stores, make up; a turn that
was kept would add 300,000 by itself."""


async def grown(turns: int, every: int, *, keep: bool = False) -> int:
    """By how many bytes memory has grown since the first measurement."""
    measured = [each async for each in python_client(turns=turns, every=every, keep=keep)]
    assert measured[-1].turns == turns
    return measured[-1].bytes - measured[0].bytes


async def test_a_conversation_of_minutes_leaves_memory_as_it_was() -> None:
    assert await grown(turns=40, every=10) < NOISE_BYTES


async def test_a_client_that_kept_its_turns_would_be_noticed() -> None:
    assert await grown(turns=20, every=5, keep=True) > 4 * NOISE_BYTES
