"""`talk --microphone`, with a stand-in for PortAudio, and what it shares with threads."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parley_client.devices import Playing, Recording
from scripted_server import (
    DEADLINE_S,
    Json,
    Peer,
    ScriptedServer,
    audio_event,
    reply_events,
    tone,
    turn_end,
)

FAKE = Path(__file__).parent / "fake_sounddevice"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        yield running


# --- shared with the audio thread -------------------------------------------------


def from_a_thread(*calls: tuple[object, ...]) -> None:
    def run() -> None:
        for function, *arguments in calls:
            assert callable(function)
            function(*arguments)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


async def test_a_recording_ends_after_everything_that_was_heard_before() -> None:
    recording = Recording()
    from_a_thread((recording.feed, b"one"), (recording.feed, b"two"))
    recording.stop()
    assert [pcm async for pcm in recording] == [b"one", b"two"]


async def test_a_speaker_gets_silence_for_what_is_not_there_and_it_does_not_count() -> None:
    sound = Playing(1_000)
    sound.add(b"\1\1" * 3)
    assert sound.take(4) == b"\1\1" * 2
    assert sound.take(4) == b"\1\1\0\0"
    assert sound.take(4) == bytes(4)
    assert sound.played_ms == 3.0


async def test_a_reply_has_been_played_when_the_speaker_has_taken_it_all() -> None:
    sound = Playing(1_000)
    sound.add(b"\1\1" * 4)
    played = asyncio.create_task(sound.played())
    from_a_thread((sound.take, 6))
    await asyncio.sleep(0)
    assert not played.done()
    from_a_thread((sound.take, 6))
    async with asyncio.timeout(DEADLINE_S):
        await played


async def test_sound_that_comes_just_after_the_last_was_taken_is_waited_for() -> None:
    sound = Playing(1_000)
    sound.add(b"\1\1")
    from_a_thread((sound.take, 2))
    sound.add(b"\2\2")  # before the loop has heard that there was nothing left
    played = asyncio.create_task(sound.played())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not played.done()
    sound.cut()
    await played


# --- the command ------------------------------------------------------------------


@contextlib.asynccontextmanager
async def talking(
    url: str, *arguments: str, sounddevice: Path = FAKE, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running `talk --microphone` that finds `sounddevice` in that folder."""
    folders = filter(None, [str(sounddevice), os.environ.get("PYTHONPATH")])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "parley_client.talk",
        "--microphone",
        "--url",
        url,
        *arguments,
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(folders)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate(b"")


def press_enter(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def written(path: Path, sound: bytes) -> bytes:
    """What the speaker has played, once `sound` is in it."""
    while not path.exists() or sound not in path.read_bytes():
        await asyncio.sleep(0.01)
    return path.read_bytes()


async def test_what_is_spoken_from_enter_to_enter_is_heard_and_the_reply_played(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async def reply(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        await peer.send(
            {"type": "transcript", "turn_id": turn_id, "seq": 1, "text": "Beep", "final": True},
            *reply_events(turn_id, "I heard you.", first_seq=2),
        )

    server.on("audio_end", reply)
    speaker = tmp_path / "speaker.pcm"
    async with talking(server.url, FAKE_SPEAKER=str(speaker)) as process:
        press_enter(process)
        await server.wait_for("audio_chunk", 2)
        press_enter(process)
        sound = tone("I heard you.").strip(b"\0")
        await written(speaker, sound)
        out, err = await process.communicate(b"")
    assert (process.returncode, out) == (0, b"I heard you.\n")
    assert b"you: Beep" in err
    heard = b"".join(base64.b64decode(m["audio"]) for m in server.messages("audio_chunk"))
    assert heard == b"\x10\x27" * (len(heard) // 2)
    assert server.messages("audio_end")[0]["chunks"] == len(server.messages("audio_chunk"))


async def test_enter_during_the_reply_interrupts_it_at_what_was_played(
    server: ScriptedServer, tmp_path: Path
) -> None:
    pcm = b"\1\1" * 16_000 * 5  # 5 s

    async def reply(peer: Peer, message: Json) -> None:
        await peer.send(audio_event(message["turn_id"], 1, pcm))

    async def stop(peer: Peer, message: Json) -> None:
        # more of what the user does not want to hear, then the end
        await peer.send(
            audio_event(message["turn_id"], 2, b"\7\7" * 1_600, start_ms=5_000),
            turn_end(message["turn_id"], 3, "Endless", reason="interrupted", heard="End"),
        )

    server.on("audio_end", reply)
    server.on("interrupt", stop)
    speaker = tmp_path / "speaker.pcm"
    async with talking(server.url, FAKE_SPEAKER=str(speaker)) as process:
        press_enter(process)
        await server.wait_for("audio_chunk")
        press_enter(process)
        played = await written(speaker, pcm[:9_600])  # 300 ms
        press_enter(process)
        interrupt = await server.wait_for("interrupt")
        _, err = await process.communicate(b"")
    assert process.returncode == 0
    assert b"(interrupted; heard: 'End')" in err
    assert len(played) / 32 - 20 - 100 <= interrupt["played_ms"] < 4_000
    assert b"\7\7" not in speaker.read_bytes()


async def test_what_the_agent_says_by_itself_is_played_until_enter(
    server: ScriptedServer, tmp_path: Path
) -> None:
    pcm = b"\1\1" * 16_000 * 5  # 5 s

    async def greet(peer: Peer, message: Json) -> None:
        await server.ready(peer, message)
        greeting = {"type": "agent_turn", "turn_id": "a", "seq": 1, "cause": "greeting"}
        await peer.send(greeting, audio_event("a", 2, pcm))

    async def stop(peer: Peer, message: Json) -> None:
        await peer.send(turn_end(message["turn_id"], 3, "Welcome", reason="interrupted", heard="W"))

    server.on("init", greet)
    server.on("interrupt", stop)
    speaker = tmp_path / "speaker.pcm"
    async with talking(server.url, FAKE_SPEAKER=str(speaker)) as process:
        await written(speaker, pcm[:9_600])  # 300 ms
        press_enter(process)
        interrupt = await server.wait_for("interrupt")
        await server.wait_for("audio_chunk")
        process.send_signal(signal.SIGINT)
        await server.wait_for("interrupt", 2)
        await server.peers[0].send(
            turn_end(server.messages("audio_start")[0]["turn_id"], 1, "", reason="interrupted")
        )
        _, err = await process.communicate(b"")
    assert process.returncode == 0
    assert b"(interrupted; heard: 'W')" in err
    assert interrupt["turn_id"] == "a"
    assert 0 < interrupt["played_ms"] < 4_000
    assert len(speaker.read_bytes()) < len(pcm)


async def test_ctrl_c_while_the_microphone_records_stops_the_turn(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async def stop(peer: Peer, message: Json) -> None:
        await peer.send(turn_end(message["turn_id"], 1, "", reason="interrupted"))

    server.on("interrupt", stop)
    async with talking(server.url, FAKE_SPEAKER=str(tmp_path / "speaker.pcm")) as process:
        press_enter(process)
        await server.wait_for("audio_chunk")
        process.send_signal(signal.SIGINT)
        interrupt = await server.wait_for("interrupt")
        _, err = await process.communicate(b"")
    assert (process.returncode, interrupt["played_ms"]) == (0, 0)
    assert b"(interrupted; heard: '')" in err


@pytest.fixture
def without_sounddevice(tmp_path: Path) -> Path:
    (tmp_path / "sounddevice.py").write_text("raise ImportError('no such package')\n")
    return tmp_path


async def test_without_the_package_there_is_a_sentence(
    server: ScriptedServer, without_sounddevice: Path
) -> None:
    async with talking(server.url, sounddevice=without_sounddevice) as process:
        _, err = await process.communicate(b"")
    assert (process.returncode, server.handshakes) == (2, 0)
    assert err.decode().endswith(
        "talk: The microphone needs the package sounddevice: pip install sounddevice.\n"
    )


async def test_without_a_microphone_there_is_a_sentence(server: ScriptedServer) -> None:
    async with talking(server.url, FAKE_NO_DEVICE="1") as process:
        press_enter(process)
        _, err = await process.communicate(b"")
    assert process.returncode == 1
    assert "talk: The microphone cannot be used: Error querying device -1." in err.decode()
    assert server.messages("audio_start") == []


async def test_a_question_beside_the_microphone_is_refused(server: ScriptedServer) -> None:
    async with talking(server.url, "hello") as process:
        _, err = await process.communicate(b"")
    assert process.returncode == 2
    assert b"leave it out" in err
