"""The client's memory through a long conversation, in little time."""

from __future__ import annotations

from benchmarks.client_memory import growth_of, python_client


async def test_a_conversation_of_minutes_leaves_memory_as_it_was() -> None:
    measured = [each async for each in python_client(turns=40, every=10)]
    assert measured[-1].minutes > 2
    assert growth_of(measured).ratio < 1.05, measured


async def test_a_client_that_kept_its_turns_would_be_noticed() -> None:
    measured = [each async for each in python_client(turns=20, every=5, keep=True)]
    assert growth_of(measured).is_growth, measured
