"""An outbox leaves one post at a time, in order, early, and as few as it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from parley.aws.management_api import Address
from parley.errors import ConnectionGone, ParleyError, PostRefused
from parley.protocol.messages import Audio, Metrics, ReplyText
from parley.turn.output import sender as sender_module
from parley.turn.output.outbox import TEXT_INTERVAL_S, Numbered, Outbox
from parley.turn.output.sender import Post, Sender
from tests.unit.fakes import DEADLINE_S, Wire, until

HERE, THERE = Address("https://x", "here"), Address("https://x", "there")


class Office:
    """An outbox, its sender at work, and the connection."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.outbox = Outbox("t", "pcm_24000")
        self.posted: list[Numbered] = []
        self.sender = Sender(self.outbox, self.wire.post, HERE, self.posted.append)

    def text(self, delta: str) -> None:
        self.outbox.add_text(delta, asyncio.get_running_loop().time())
        self.sender.wake()

    def audio(self, pcm: bytes) -> None:
        self.outbox.add_audio(pcm, [], asyncio.get_running_loop().time())
        self.sender.wake()

    async def drain(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.sender.drain()


async def moves(
    post: Post, when: Callable[[Sender], bool], moved: asyncio.Event | None = None
) -> Sender:
    """A sender with one text to post, which moves at some time and then posts all of it."""
    outbox = Outbox("t", "pcm_24000")
    sender = Sender(outbox, post, HERE, lambda event: None)
    running = asyncio.create_task(sender.run())
    outbox.add_text("a", asyncio.get_running_loop().time())
    sender.wake()
    await until(lambda: when(sender))
    sender.move(THERE, 0)
    if moved is not None:
        moved.set()
    async with asyncio.timeout(DEADLINE_S):
        await sender.drain()
    running.cancel()
    return sender


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    found = Office()
    running = asyncio.create_task(found.sender.run())
    yield found
    running.cancel()


async def test_what_is_put_in_is_posted_in_order(office: Office) -> None:
    office.outbox.add_transcript("Hello?", final=True)
    office.text("Hi.")
    office.audio(bytes(96_000))
    office.outbox.add_error(ParleyError("speech_failed", "No."))
    office.outbox.add_end("completed", "Hi.", Metrics())
    await office.drain()
    assert office.wire.end.text == "Hi."
    assert office.posted == office.wire.events
    assert office.sender.posts == len(office.posted)
    assert sum(len(event.audio) for event in office.wire.of(Audio)) == 96_000


async def test_what_gathers_while_a_post_is_under_way_leaves_as_one(office: Office) -> None:
    office.wire.open.clear()
    office.text("a")
    await until(lambda: office.wire.posting)
    for delta in "bcdefgh":
        office.text(delta)
    office.wire.open.set()
    await office.drain()
    assert [event.delta for event in office.wire.of(ReplyText)] == ["a", "bcdefgh"]


async def test_text_that_was_held_back_leaves_by_itself(office: Office) -> None:
    office.text("a")
    await until(lambda: office.posted)
    office.text("b")
    await until(lambda: len(office.posted) == 2)
    first, second = office.wire.at_s
    assert second - first >= TEXT_INTERVAL_S - 0.02


async def test_draining_holds_nothing_back(office: Office) -> None:
    office.text("a")
    await until(lambda: office.posted)
    office.text("b")
    office.audio(bytes(100))
    await office.drain()
    assert office.outbox.is_empty()
    assert len(office.posted) == 3


async def test_draining_waits_for_the_post_that_is_under_way(office: Office) -> None:
    office.wire.open.clear()
    office.text("a")
    await until(lambda: office.wire.posting)
    draining = asyncio.create_task(office.drain())
    await asyncio.sleep(0.05)
    assert not draining.done()
    office.wire.open.set()
    await draining
    assert len(office.wire.events) == 1


async def test_an_empty_outbox_is_drained_at_once(office: Office) -> None:
    await office.drain()
    await office.drain()
    assert office.wire.events == []


async def test_a_connection_that_is_gone_is_not_posted_to_again(office: Office) -> None:
    office.wire.gone_after = 1
    office.text("a")
    await until(lambda: office.posted)
    for _ in range(3):
        office.audio(bytes(9600))
        await office.drain()
    assert office.sender.gone
    assert (office.sender.posts, len(office.wire.frames)) == (1, 1)


async def test_a_client_that_moved_gets_what_it_has_not_received(office: Office) -> None:
    office.text("a")
    await until(lambda: len(office.posted) == 1)
    office.audio(bytes(96_000))
    await office.drain()
    before = len(office.wire.events)
    office.sender.move(THERE, 2)
    office.outbox.add_end("completed", "a", Metrics())
    await office.drain()
    again = office.wire.events[before:]
    assert [event.seq for event in again] == [*range(3, before + 2)]  # type: ignore[attr-defined]  # numbered
    assert set(office.wire.addresses[before:]) == {THERE}
    assert again[:-1] == office.wire.events[2:before]


async def test_what_came_while_a_connection_was_gone_leaves_over_the_next(office: Office) -> None:
    office.wire.gone_after = 1
    office.text("a")
    await until(lambda: office.posted)
    office.text("b")
    await until(lambda: office.sender.gone)
    office.text("c")
    office.wire.gone_after = None
    office.sender.move(THERE, 1)
    await office.drain()
    assert "".join(event.delta for event in office.wire.of(ReplyText)) == "abc"
    assert [event.seq for event in office.wire.of(ReplyText)] == [1, 2, 3]


async def test_a_post_that_fails_after_the_client_moved_does_not_lose_the_new_connection() -> None:
    tried: list[Address] = []
    moved = asyncio.Event()

    async def post(address: Address, _frame: bytes) -> None:
        tried.append(address)
        if address == HERE:
            await moved.wait()
            raise ConnectionGone

    sender = await moves(post, lambda _: tried == [HERE], moved)
    assert (tried, sender.gone, sender.posts) == ([HERE, THERE], False, 1)


async def test_a_busy_connection_is_as_patiently_tried_after_a_move_as_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sender_module, "REFUSED_PAUSE_S", 0.01)
    monkeypatch.setattr(sender_module, "REFUSED_GIVE_UP_S", 0.05)
    taken: list[Address] = []
    busy_there = [True, False]

    async def post(address: Address, _frame: bytes) -> None:
        if address == HERE or busy_there.pop(0):
            raise PostRefused(429)
        taken.append(address)

    sender = await moves(post, lambda sender: sender.gone)
    assert (taken, sender.gone) == ([THERE], False)


async def test_a_connection_that_was_left_says_nothing_about_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sender_module, "REFUSED_PAUSE_S", 0.0)
    monkeypatch.setattr(sender_module, "REFUSED_GIVE_UP_S", 0.0)
    moved, tried = asyncio.Event(), list[Address]()

    async def post(address: Address, _frame: bytes) -> None:
        tried.append(address)
        if address == HERE:
            await moved.wait()
        if len(tried) < 3:
            await asyncio.sleep(0.001)  # so that the clock moves
            raise PostRefused(429)

    sender = await moves(post, lambda _: tried == [HERE], moved)
    assert (tried, sender.gone) == ([HERE, THERE, THERE], False)
