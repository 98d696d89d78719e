"""A feed gives everything to everyone, from its start, as it comes."""

from __future__ import annotations

import asyncio

from parley.aio.replay_queue import ReplayQueue


async def collected(feed: ReplayQueue[int]) -> list[int]:
    return [item async for item in feed]


async def test_items_come_as_they_are_put() -> None:
    feed: ReplayQueue[int] = ReplayQueue()
    reader = aiter(feed)
    waiting = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    assert not waiting.done()
    feed.put(1)
    assert await waiting == 1
    feed.put(2)
    assert await anext(reader) == 2
    feed.close()
    assert await anext(reader, None) is None


async def test_every_reader_gets_all_of_it_whenever_it_begins() -> None:
    feed: ReplayQueue[int] = ReplayQueue()
    early = [asyncio.create_task(collected(feed)) for _ in range(3)]
    for number in range(50):
        feed.put(number)
        await asyncio.sleep(0)
    late = asyncio.create_task(collected(feed))
    feed.close()
    again = await collected(feed)
    assert await asyncio.gather(*early, late) == [again] * 4
    assert again == list(range(50))


async def test_a_reader_that_leaves_takes_nothing_away() -> None:
    feed: ReplayQueue[int] = ReplayQueue()
    feed.put(1)
    leaver = asyncio.create_task(collected(feed))
    await asyncio.sleep(0)
    leaver.cancel()
    feed.put(2)
    feed.close()
    assert await collected(feed) == [1, 2]
    assert (len(feed), feed.closed) == (2, True)


async def test_an_empty_feed_ends() -> None:
    feed: ReplayQueue[int] = ReplayQueue()
    feed.close()
    assert await collected(feed) == []
