"""The client's way back: when it tries, when it stops, and what it tells meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from parley_client import (
    ConnectFailed,
    ConnectionLost,
    Conversation,
    ConversationClosed,
    HandshakeRefused,
    Notice,
    ParleyClientError,
    QueueFull,
    Reconnect,
    ReconnectFailed,
    ServerError,
    SessionReplaced,
    Settings,
    StateChanged,
    Timeouts,
)
from parley_client.heartbeat import Heartbeat
from scripted_server import (
    DEADLINE_S,
    QUICK,
    READY,
    Json,
    Peer,
    ScriptedServer,
    answer,
    answer_to,
)


class Notices:
    """What a conversation told."""

    def __init__(self) -> None:
        self.all: list[Notice] = []
        self._changed = asyncio.Condition()

    def __call__(self, notice: Notice) -> None:
        self.all.append(notice)

    @property
    def states(self) -> list[str]:
        return [notice.state for notice in self.all if isinstance(notice, StateChanged)]


async def until_closed(conversation: Conversation) -> ParleyClientError:
    """Why it closed, once it has."""
    async with asyncio.timeout(DEADLINE_S):
        while not conversation.closed:
            await asyncio.sleep(0.005)
    with pytest.raises(ParleyClientError) as closed:
        conversation.say("anyone?")
    return closed.value


async def test_a_cut_connection_is_come_back_from_and_the_states_are_told(
    server: ScriptedServer,
) -> None:
    notices = Notices()
    async with Conversation.connect(server.url, reconnect=QUICK, on_notice=notices) as conversation:
        await conversation.say("one")
        await server.peers[0].cut()
        assert (await conversation.say("two")).text == answer_to("two")
        assert conversation.state == "ready"
    assert notices.states == ["connecting", "ready", "reconnecting", "ready", "closed"]
    lost = notices.all[2]
    assert isinstance(lost, StateChanged)
    assert isinstance(lost.reason, ConnectionLost)
    assert lost.attempt == 1
    assert 0 <= lost.retry_in_s <= QUICK.base_s


async def test_coming_back_shows_the_latest_token_and_what_has_arrived(
    server: ScriptedServer,
) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        turn = conversation.say("one")
        await turn
        for number in (1, 2):
            await server.peers[-1].cut()
            await server.wait_for("init", connection=number + 1)
            await conversation.configure({"speed": 1.0})
    received = {"turn_id": turn.turn_id, "seq": turn.received_seq}
    assert server.messages("init")[1:] == [
        {
            "type": "init",
            "protocol": 1,
            "session_id": READY["session_id"],
            "resume_token": f"token-{number}",
            "received": received,
        }
        for number in (1, 2)
    ]


async def test_a_connection_that_breaks_before_ready_keeps_the_last_token(
    server: ScriptedServer,
) -> None:
    async def break_second(peer: Peer, message: Json) -> None:
        await (peer.cut() if peer.number == 2 else server.ready(peer, message))

    server.on("init", break_second)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await server.peers[0].cut()
        await conversation.say("hello")
    assert [init.get("resume_token") for init in server.messages("init")] == [
        None,
        "token-1",
        "token-1",
    ]
    assert "received" not in server.messages("init")[1]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 4000])
async def test_a_close_that_may_pass_is_come_back_from(server: ScriptedServer, code: int) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await server.peers[0].close(code)
        assert (await conversation.say("still here")).text == answer_to("still here")


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003])
async def test_a_close_that_would_happen_again_is_final(server: ScriptedServer, code: int) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await server.peers[0].close(code, "No")
        closed = await until_closed(conversation)
        assert isinstance(closed, ConnectionLost)
        assert (closed.close_code, closed.retryable) == (code, False)
    assert server.handshakes == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_handshake_that_may_succeed_later_is_tried_again(
    server: ScriptedServer, status: int
) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        server.refusals = [status, status]
        await server.peers[0].cut()
        await conversation.say("hello")
    assert server.handshakes == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 426])
async def test_a_handshake_that_is_refused_for_good_is_final(
    server: ScriptedServer, status: int
) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        server.refusals = [status] * 9
        await server.peers[0].cut()
        closed = await until_closed(conversation)
        assert isinstance(closed, HandshakeRefused)
        assert closed.status == status
    assert server.handshakes == 2


async def test_when_every_attempt_fails_the_turn_says_so(server: ScriptedServer) -> None:
    async def vanish(peer: Peer, message: Json) -> None:
        server.refusals = [503] * 9
        await peer.cut()

    server.on("user_message", vanish)
    three = Reconnect(attempts=3, base_s=0.01, cap_s=0.02, stable_s=0.0)
    async with Conversation.connect(server.url, reconnect=three) as conversation:
        with pytest.raises(ReconnectFailed, match="3 attempts to come back failed") as failed:
            await conversation.say("hello")
        assert isinstance(failed.value.last, HandshakeRefused)
        assert failed.value.retryable
        assert conversation.state == "closed"
    assert server.handshakes == 4


async def test_a_connection_that_never_lasts_does_not_count_as_a_return(
    server: ScriptedServer,
) -> None:
    async def cut_after_ready(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        await peer.cut()

    server.on("init", cut_after_ready)
    policy = Reconnect(attempts=3, base_s=0.01, cap_s=0.02, stable_s=60.0)
    conversation = await Conversation.connect(server.url, reconnect=policy)
    assert isinstance(await until_closed(conversation), ReconnectFailed)
    await conversation.close()
    assert server.handshakes == 4


async def test_a_session_taken_over_elsewhere_is_left_to_the_other(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        ended = {"type": "session_ended", "session_id": "session-1", "reason": "replaced"}
        await server.peers[0].send(ended)
        await server.peers[0].close(1000)
        assert isinstance(await until_closed(conversation), SessionReplaced)
    assert server.handshakes == 1


async def test_a_session_ended_elsewhere_is_over(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await server.peers[0].send({"type": "session_ended", "session_id": "session-1"})
        assert isinstance(await until_closed(conversation), ConversationClosed)
    assert server.handshakes == 1


async def test_the_first_connection_is_not_tried_again(server: ScriptedServer) -> None:
    server.refusals = [503]
    told: list[Notice] = []
    with pytest.raises(ConnectFailed) as failed:
        await Conversation.connect(server.url, reconnect=QUICK, on_notice=told.append)
    assert server.handshakes == 1
    assert told == [StateChanged("connecting"), StateChanged("closed", failed.value)]


async def test_what_is_said_while_there_is_no_connection_is_sent_in_order(
    server: ScriptedServer,
) -> None:
    back = asyncio.Event()

    async def slow(peer: Peer, message: Json) -> None:
        if peer.number > 1:
            await back.wait()
        await server.ready(peer, message)

    server.on("init", slow)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        await server.peers[0].cut()
        await server.wait_for("init", connection=2)
        turns = [conversation.say(text) for text in ("one", "two")]
        configuring = asyncio.create_task(conversation.configure(Settings(speed=0.9)))
        await asyncio.sleep(0)
        assert conversation.state == "reconnecting"
        assert server.kinds(2) == ["init"]
        back.set()
        assert [(await turn).text for turn in turns] == [answer_to("one"), answer_to("two")]
        assert (await configuring).speed == 0.9
    sent = [m["text"] for m in server.messages("user_message")]
    assert sent == ["one", "two"]
    assert len(server.messages("config")) == 1


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        ({"queue_messages": 2}, "2 messages"),
        ({"queue_bytes": 1_500}, "at most 1,000 messages and 1,500 bytes"),
    ],
)
async def test_too_much_said_without_a_connection_is_refused(
    server: ScriptedServer, bounds: dict[str, int], sentence: str
) -> None:
    server_gone = asyncio.Event()

    async def never_ready(peer: Peer, message: Json) -> None:
        if peer.number == 1:
            await server.ready(peer, message)
        else:
            await server_gone.wait()
            await server.ready(peer, message)

    server.on("init", never_ready)
    policy = Reconnect(base_s=0.01, cap_s=0.02, **bounds)  # type: ignore[arg-type]  # ints only
    async with Conversation.connect(server.url, reconnect=policy) as conversation:
        await server.peers[0].cut()
        await server.wait_for("init", connection=2)
        kept = [conversation.say("x" * 500) for _ in range(2)]
        refused = conversation.say("y" * 500)
        with pytest.raises(QueueFull, match=sentence) as full:
            await refused
        assert full.value.retryable
        server_gone.set()
        assert [(await turn).text for turn in kept] == [answer_to("x" * 500)] * 2
    assert len(server.messages("user_message")) == 2


async def test_a_server_that_forgot_the_connection_is_greeted_again(
    server: ScriptedServer,
) -> None:
    async def forget(peer: Peer, message: Json) -> None:
        if peer.number > 1:
            await answer(peer, message)
            return
        error = {"code": "not_initialised", "message": "Send init first.", "retryable": False}
        await peer.send({"type": "error", **error})

    server.on("user_message", forget)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        assert (await conversation.say("hello")).text == answer_to("hello")


@pytest.mark.parametrize("retryable", [True, False])
async def test_a_return_that_is_refused_is_tried_again_if_that_may_help(
    server: ScriptedServer, retryable: bool
) -> None:
    async def refuse_second(peer: Peer, message: Json) -> None:
        if peer.number != 2:
            await server.ready(peer, message)
            return
        error = {"code": "internal", "message": "Oops.", "retryable": retryable}
        await peer.send({"type": "error", "retry_after_ms": 100, **error})

    server.on("init", refuse_second)
    async with Conversation.connect(server.url, reconnect=QUICK) as conversation:
        started_s = time.monotonic()
        await server.peers[0].cut()
        if retryable:
            await conversation.say("hello")
            assert time.monotonic() - started_s >= 0.1
        else:
            assert isinstance(await until_closed(conversation), ServerError)


async def test_closing_while_coming_back_leaves_nothing_running(server: ScriptedServer) -> None:
    before = asyncio.all_tasks()
    conversation = await Conversation.connect(
        server.url, reconnect=Reconnect(base_s=60.0, cap_s=60.0)
    )
    turn = conversation.say("one")
    await turn
    await server.peers[0].cut()
    async with asyncio.timeout(DEADLINE_S):
        while conversation.state != "reconnecting":
            await asyncio.sleep(0.001)
    waiting = conversation.say("two")
    await conversation.close()
    with pytest.raises(ConversationClosed):
        await waiting
    ours = {task for task in asyncio.all_tasks() - before if "client" in repr(task.get_coro())}
    assert ours == set()


async def test_an_application_that_fails_at_a_notice_does_not_stop_the_conversation(
    server: ScriptedServer,
) -> None:
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))

    def broken(notice: Notice) -> None:
        raise RuntimeError("mine")

    async with Conversation.connect(server.url, reconnect=QUICK, on_notice=broken) as conversation:
        await server.peers[0].cut()
        await conversation.say("hello")
    assert told == ["mine"] * 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (lambda: Reconnect(attempts=-1), r"Reconnect\.attempts must not be negative"),
        (lambda: Reconnect(base_s=0), r"Reconnect\.base_s must be above 0"),
        (lambda: Reconnect(base_s=2.0, cap_s=1.0), "at most cap_s"),
        (lambda: Reconnect(rotate_after_s=0), r"Reconnect\.rotate_after_s must be above 0"),
        (lambda: Timeouts(gap_s=0), r"Timeouts\.gap_s must be above 0"),
        (lambda: Timeouts(silence_s=2.0), r"Timeouts\.silence_s must be above ask_s"),
        (lambda: Conversation.connect("ws://x", heartbeat_s=0), "heartbeat_s must be above 0"),
    ],
)
def test_figures_out_of_range_are_named(options: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        options()


async def test_a_fault_of_the_client_ends_the_conversation_instead_of_hanging_it(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Heartbeat, "check", broken)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(ParleyClientError, match="client itself failed: ZeroDivisionError"):
            await conversation.say("hello")
