"""The `talk` command as a process: what it prints, saves and exits with."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pty
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from commands import Command, Ended, running
from parley_client.audio_file import read_wav, write_wav
from scripted_server import (
    DEADLINE_S,
    READY,
    Json,
    Peer,
    ScriptedServer,
    answer,
    answer_to,
    audio_event,
    fail,
    reply_events,
    tone,
    turn_end,
)


def talking(
    *arguments: str, url: str | None = None, stdin: int | None = None
) -> AbstractAsyncContextManager[Command]:
    """A running `talk`."""
    environment = {"PARLEY_URL": url} if url is not None else {}
    return running("parley_client.talk", *arguments, stdin=stdin, **environment)


async def talk(*arguments: str, url: str | None = None, typed: str = "") -> Ended:
    async with talking(*arguments, url=url) as process:
        out, err = await process.communicate(typed.encode())
        code = await process.wait()
    ended = Ended(code, out.decode(), err.decode())
    assert "Traceback" not in ended.err
    return ended


async def test_a_question_prints_the_reply_alone_on_standard_output(
    server: ScriptedServer,
) -> None:
    ended = await talk("how", "are", "you?", url=server.url)
    assert (ended.code, ended.out) == (0, answer_to("how are you?") + "\n")
    assert "first text" in ended.err
    assert "first sound" in ended.err


@pytest.mark.parametrize(
    ("stand_ins", "note"),
    [
        (["synthesizer"], "(voice is a stand-in for development)"),
        (["responder"], "(answers are stand-ins for development)"),
        (
            ["responder", "transcriber", "synthesizer"],
            "(voice, ears and answers are stand-ins for development)",
        ),
        (["of-tomorrow"], "(parts of this are stand-ins for development)"),
    ],
)
@pytest.mark.parametrize("arguments", [["hi"], []], ids=["one question", "typed"])
async def test_a_stand_in_is_called_one_in_the_first_line(
    stand_ins: list[str], note: str, arguments: list[str], server: ScriptedServer
) -> None:
    async def ready(peer: Peer, message: Json) -> None:
        await peer.send({**READY, "stand_ins": stand_ins})

    server.on("init", ready)
    ended = await talk(*arguments, url=server.url, typed="" if arguments else "hi\nhi\n")
    assert ended.err.splitlines()[0] == note
    assert ended.err.count("stand-in") == 1
    assert "stand-in" not in ended.out


async def test_without_stand_ins_nothing_is_said_of_them(server: ScriptedServer) -> None:
    assert "stand-in" not in (await talk("hi", url=server.url)).err


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("init.settings.voice", "does not allow that for --voice"),
        ("init.settings.style", "does not allow that for --style"),
        ("init.settings", "does not allow these options"),
    ],
)
async def test_a_setting_that_is_refused_is_named_as_it_was_given(
    field: str, sentence: str, server: ScriptedServer
) -> None:
    async def refuse(peer: Peer, message: Json) -> None:
        text = f"{field}: expected one of those that `ready` lists"
        error = {"type": "error", "code": "bad_request", "message": text, "retryable": False}
        await peer.send({**error, "field": field})

    server.on("init", refuse)
    ended = await talk("hi", "--voice", "v1", url=server.url)
    assert ended.code == 1
    assert sentence in ended.err
    assert "expected" not in ended.err


async def test_the_reply_can_be_saved_and_settings_be_chosen(
    server: ScriptedServer, tmp_path: Path
) -> None:
    wav = tmp_path / "reply.wav"
    settings = ["--voice", "v1", "--language", "de", "--speed", "0.8", "--stability", "0.4"]
    ended = await talk(
        "hi", "--url", server.url, "--save", str(wav), "--style", "Short.", "--record", *settings
    )
    assert ended.code == 0
    assert read_wav(wav) == (tone(answer_to("hi")), "pcm_16000")
    assert server.messages("init")[0]["settings"] == {
        "voice": "v1",
        "language": "de",
        "speed": 0.8,
        "stability": 0.4,
        "style": "Short.",
        "record": True,
    }


async def test_json_has_one_object_per_turn(server: ScriptedServer) -> None:
    ended = await talk("--json", url=server.url, typed="one\n\ntwo\n")
    turns = [json.loads(line) for line in ended.out.splitlines()]
    assert [turn["asked"] for turn in turns] == ["one", "two"]
    assert [turn["text"] for turn in turns] == [answer_to("one"), answer_to("two")]
    assert turns[0]["metrics"]["first_audio_ms"] == 12.5
    assert turns[0]["timings"]["total_ms"] > 0
    assert turns[0]["audio"]["duration_ms"] == len(tone(answer_to("one"))) // 32


async def test_a_wav_is_sent_as_speech_and_its_transcript_shown(
    server: ScriptedServer, tmp_path: Path
) -> None:
    pcm = tone("sound", rate_hz=24_000)
    write_wav(tmp_path / "question.wav", pcm, 24_000)
    heard = bytearray()

    async def hear(peer: Peer, message: Json) -> None:
        heard.extend(base64.b64decode(message["audio"]))

    async def reply(peer: Peer, message: Json) -> None:
        turn_id, text = message["turn_id"], f"{len(heard)} bytes"
        await peer.send(
            {"type": "transcript", "turn_id": turn_id, "seq": 1, "text": text, "final": True},
            *reply_events(turn_id, "Understood.", first_seq=2),
        )

    server.on("audio_chunk", hear)
    server.on("audio_end", reply)
    ended = await talk(str(tmp_path / "question.wav"), url=server.url)
    assert (ended.code, ended.out) == (0, "Understood.\n")
    assert f"you: {len(pcm)} bytes" in ended.err
    assert bytes(heard) == pcm
    assert server.messages("audio_start")[0]["format"] == "pcm_24000"


async def test_control_characters_of_a_reply_do_not_reach_the_terminal(
    server: ScriptedServer,
) -> None:
    async def sneaky(peer: Peer, message: Json) -> None:
        await peer.send(*reply_events(message["turn_id"], "a\x1b]0;owned\x07b\x9bc"))

    server.on("user_message", sneaky)
    ended = await talk("hi", url=server.url)
    assert ended.out == "a]0;ownedbc\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.wav"], "none.wav cannot be read: No such file or directory."),
        (["hi", "--url", "http://localhost/dev"], "is not a WebSocket URL"),
        (["hi", "--save", "no/such/folder/a.wav"], "There is no folder no/such/folder"),
        (["hi", "--speed", "fast"], "--speed: expected a number, got 'fast'"),
        (["   "], "the text is empty"),
    ],
)
async def test_a_wrong_command_exits_with_2_and_a_sentence(
    server: ScriptedServer, arguments: list[str], sentence: str
) -> None:
    ended = await talk(*arguments, url=server.url)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err


async def test_nobody_there_exits_with_1_and_a_sentence() -> None:
    ended = await talk("hi", "--url", "ws://127.0.0.1:9/dev")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "talk: Nothing answers at ws://127.0.0.1:9/dev (connection refused). Is it running there?\n"
    )


async def test_a_failed_turn_exits_with_1_after_what_came_of_it(server: ScriptedServer) -> None:
    server.on("user_message", fail)
    ended = await talk("time?", url=server.url)
    assert (ended.code, ended.out) == (1, "It is\n")
    assert ended.err.endswith("talk: The model went away.\n")


async def test_a_failed_turn_in_json_is_an_object_with_the_code(server: ScriptedServer) -> None:
    server.on("user_message", fail)
    ended = await talk("time?", "--json", url=server.url)
    assert json.loads(ended.out) == {
        "error": {"code": "reply_failed", "message": "The model went away.", "retryable": True}
    }


async def test_a_failed_turn_does_not_end_a_typed_conversation(server: ScriptedServer) -> None:
    async def fail_first(peer: Peer, message: Json) -> None:
        await (fail if message["text"] == "one" else answer)(peer, message)

    server.on("user_message", fail_first)
    ended = await talk(url=server.url, typed="one\ntwo")
    assert (ended.code, ended.out) == (1, f"It is\n{answer_to('two')}\n")


async def test_a_line_that_is_too_long_does_not_end_a_typed_conversation(
    server: ScriptedServer,
) -> None:
    ended = await talk(url=server.url, typed=f"{'x' * 8_001}\ntwo\n")
    assert (ended.code, ended.out) == (1, f"{answer_to('two')}\n")
    assert "talk: The text has 8,001 characters; at most 8,000 can be said at once.\n" in ended.err


WITHOUT_SIGNALS = """
import asyncio, sys

def add_signal_handler(*_):
    raise NotImplementedError

asyncio.SelectorEventLoop.add_signal_handler = add_signal_handler
from parley_client.talk import main
sys.exit(main())
"""


async def test_where_no_loop_hears_signals_the_command_works(server: ScriptedServer) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WITHOUT_SIGNALS, "hi", "--url", server.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    assert (process.returncode, out.decode()) == (0, answer_to("hi") + "\n"), err.decode()


class Rambler:
    """Replies word by word until it is interrupted."""

    def __init__(self, server: ScriptedServer) -> None:
        self.stopped = asyncio.Event()
        server.on("user_message", self.ramble)
        server.on("interrupt", self.stop)

    async def stop(self, peer: Peer, message: Json) -> None:
        self.stopped.set()

    async def ramble(self, peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        if message["text"] == "short":
            await answer(peer, message)
            return
        seq = 0
        while not self.stopped.is_set():
            seq += 1
            await peer.send(
                {"type": "reply_text", "turn_id": turn_id, "seq": seq, "delta": f"word{seq} "}
            )
            await asyncio.sleep(0.005)
        await peer.send(turn_end(turn_id, seq + 1, "word1", reason="interrupted", heard="word1"))


async def test_ctrl_c_interrupts_the_reply_and_the_conversation_goes_on(
    server: ScriptedServer,
) -> None:
    Rambler(server)
    async with talking(url=server.url) as process:
        assert process.stdin is not None
        process.stdin.write(b"tell me everything\n")
        begun = await process.stdout.readuntil(b"word3 ")
        process.send_signal(signal.SIGINT)
        process.stdin.write(b"short\n")
        process.stdin.close()
        rest = await process.stdout.read()
        code = await process.wait()
    assert code == 0
    assert begun == b"word1 word2 word3 "
    assert rest.endswith(f"\n{answer_to('short')}\n".encode())
    assert len(server.messages("interrupt")) == 1
    assert len(server.messages("end")) == 1


async def test_ctrl_c_during_one_question_exits_with_130(server: ScriptedServer) -> None:
    Rambler(server)
    async with talking("everything", url=server.url) as process:
        await process.stdout.readuntil(b"word2 ")
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert "(interrupted; heard: 'word1')" in err.decode()


async def test_a_second_ctrl_c_leaves_a_reply_that_will_not_stop(server: ScriptedServer) -> None:
    rambler = Rambler(server)

    async def ignore(peer: Peer, message: Json) -> None:
        return

    server.on("interrupt", ignore)
    async with talking("everything", url=server.url) as process:
        await process.stdout.readuntil(b"word2 ")
        process.send_signal(signal.SIGINT)
        await server.wait_for("interrupt")
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        rambler.stopped.set()
    assert process.returncode == 130
    assert "Traceback" not in err.decode()


async def test_at_a_terminal_ctrl_c_at_the_prompt_hints_and_ctrl_d_ends(
    server: ScriptedServer,
) -> None:
    keyboard, terminal = pty.openpty()
    try:
        async with talking(url=server.url, stdin=terminal) as process:
            greeting = await process.stderr.readuntil(b"> ")
            process.send_signal(signal.SIGINT)
            hint = await process.stderr.readuntil(b"> ")
            os.write(keyboard, b"hello\n")
            await server.wait_for("ack")
            await process.stderr.readuntil(b"> ")
            os.write(keyboard, b"\x04")
            out, _ = await process.communicate()
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert process.returncode == 0
    assert b"Ctrl-D ends" in greeting
    assert b"(Ctrl-D ends)" in hint
    assert out.decode() == answer_to("hello") + "\n"


async def test_what_is_called_is_told_and_a_goodbye_ends_the_conversation(
    server: ScriptedServer,
) -> None:
    async def book(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        tool = {"type": "tool", "turn_id": turn_id, "call_id": "c", "name": "book"}
        booking = {**tool, "title": "Book a table"}
        cart = {"type": "custom", "turn_id": turn_id, "name": "cart", "data": {"items": 2}}
        await peer.send(
            {**booking, "seq": 1, "state": "running", "arguments": {"people": 2}},
            {**cart, "seq": 2},
            {**booking, "seq": 3, "state": "done", "ms": 1_140, "result": "at\x1b seven"},
            {"type": "reply_text", "turn_id": turn_id, "seq": 4, "delta": "Goodbye."},
            audio_event(turn_id, 5, bytes(32 * 20_000)),
            turn_end(turn_id, 6, "Goodbye.", ends_session=True),
        )

    server.on("user_message", book)
    async with talking(url=server.url) as process:
        assert process.stdin is not None
        process.stdin.write(b"Book it.\n")  # and the keyboard stays open
        code = await process.wait()
        out, err = await process.communicate()
    assert (code, out) == (0, b"Goodbye.\n")
    shown = err.decode().splitlines()
    assert shown[:3] == [
        '(Book a table {"people": 2} …)',
        '(cart: {"items": 2})',
        "(Book a table: done after 1.1 s: at seven)",
    ]
    assert shown[-1] == "(The agent has ended the conversation.)"
    assert len(server.messages("end")) == 1


async def test_what_the_agent_says_by_itself_is_shown_and_silence_ends_the_conversation(
    server: ScriptedServer,
) -> None:
    async def greet(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        greeting = {"type": "agent_turn", "turn_id": "a", "seq": 1, "cause": "greeting"}
        await peer.send(greeting, *reply_events("a", "Good day.", first_seq=2))

    async def end(peer: Peer, message: Json) -> None:
        await peer.send({"type": "session_ended", "session_id": "s", "reason": "silence"})

    server.on("init", greet)
    server.on("ack", end)
    async with talking("--json", url=server.url) as process:
        code = await process.wait()
        out, err = await process.communicate()
    turn = json.loads(out)
    assert (code, turn["asked"], turn["cause"], turn["text"]) == (0, None, "greeting", "Good day.")
    assert err.decode() == "(The session has ended: nothing was said for too long.)\n"


async def test_a_connection_lost_for_good_ends_the_conversation(
    server: ScriptedServer,
) -> None:
    async def leave(peer: Peer, message: Json) -> None:
        await peer.close(1008, "Not you")

    server.on("user_message", leave)
    ended = await talk(url=server.url, typed="one\ntwo\n")
    assert ended.code == 1
    assert ended.err == "talk: The connection was closed (1008: Not you).\n"


async def test_a_lost_connection_is_told_and_the_reply_comes_all_the_same(
    server: ScriptedServer,
) -> None:
    async def cut_first(peer: Peer, message: Json) -> None:
        await (peer.cut() if peer.number == 1 else answer(peer, message))

    server.on("user_message", cut_first)
    ended = await talk("hello", url=server.url)
    assert (ended.code, ended.out) == (0, answer_to("hello") + "\n")
    assert ended.err.startswith("(the connection is lost; coming back …)\n(back)\n")
