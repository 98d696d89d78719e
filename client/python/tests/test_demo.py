"""The demo, with a synthesizer whose sound carries its text and a server that reads it."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import loads
from pathlib import Path

import pytest

from commands import Ended, running
from parley_client.audio_file import read_wav
from parley_client.terminal import Terminal, bar
from scripted_server import Json, Peer, ScriptedServer, reply_events, tone

KEY = "a-good-key"
SAMPLES_PER_CHARACTER = 160


def spoken(text: str) -> bytes:
    """Each character as 10 ms of its own amplitude."""
    return b"".join(
        (ord(c) * 200).to_bytes(2, "little", signed=True) * SAMPLES_PER_CHARACTER for c in text
    )


def understood(pcm: bytes) -> str:
    """The text that `spoken` made."""
    step = 2 * SAMPLES_PER_CHARACTER
    firsts = (pcm[i : i + 2] for i in range(0, len(pcm), step))
    return "".join(chr(int.from_bytes(first, "little", signed=True) // 200) for first in firsts)


class Synthesizer(BaseHTTPRequestHandler):
    """`POST /v1/text-to-speech/{voice}/stream`, as far as the demo uses it."""

    def do_POST(self) -> None:
        body = loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["xi-api-key"] != KEY:
            self.answer(401, b'{"detail": {"status": "invalid_api_key", "message": "Bad key."}}')
        elif self.path != "/v1/text-to-speech/voice-1/stream?output_format=pcm_16000":
            self.answer(404, b'{"detail": "No such voice"}')
        else:
            self.answer(200, spoken(body["text"]))

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def synthesizer_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Synthesizer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Assistant:
    """Understands what was spoken, and remembers it for the next turn."""

    def __init__(self, server: ScriptedServer) -> None:
        self.remembered = ""
        self._pcm: dict[str, bytes] = {}
        server.on("audio_chunk", self.hear)
        server.on("audio_end", self.reply)

    async def hear(self, peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        self._pcm[turn_id] = self._pcm.get(turn_id, b"") + base64.b64decode(message["audio"])

    async def reply(self, peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        text = understood(self._pcm[turn_id])
        events = reply_events(turn_id, f"Before, you said: {self.remembered or '(nothing)'}", 2)
        events[-1]["metrics"] = {
            "dispatch_ms": 3.0,
            "transcript_ms": 60.0,
            "prepare_ms": 9.0,
            "responder_ms": 150.0,
            "clause_ms": 30.0,
            "synthesizer_ms": 40.0,
            "delivery_ms": 8.0,
            "first_audio_ms": 300.0,
        }
        self.remembered = text
        await peer.send(
            {"type": "transcript", "turn_id": turn_id, "seq": 1, "text": text, "final": True},
            *events,
        )


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        Assistant(running)
        yield running


async def demo(*arguments: str, key: str = KEY) -> Ended:
    more = ["--voice", "voice-1", *arguments]
    async with running("parley_client.demo", *more, ELEVENLABS_API_KEY=key) as process:
        out, err = await process.communicate()
        code = await process.wait()
    ended = Ended(code, out.decode(), err.decode())
    assert "Traceback" not in ended.err
    return ended


async def test_a_spoken_conversation_is_shown_with_its_timings(
    server: ScriptedServer, synthesizer_url: str, tmp_path: Path
) -> None:
    questions = ["--question", "I am Bo.", "--question", "Who am I?"]
    ended = await demo(
        *("--url", server.url, "--elevenlabs-url", synthesizer_url),
        *("--save", str(tmp_path / "kept"), *questions),
    )
    assert (ended.code, ended.err) == (0, "")
    assert "1. I am Bo." in ended.out
    assert "heard   I am Bo." in ended.out
    assert "reply   Before, you said: (nothing)" in ended.out
    assert "heard   Who am I?" in ended.out
    assert "reply   Before, you said: I am Bo." in ended.out
    assert (
        "dispatch 3 + transcript 60 + prepare 9 + responder 150 + clause 30 + synthesizer 40 "
        "+ delivery 8 = 300 ms to the first audio" in ended.out
    )
    assert "\x1b" not in ended.out
    assert read_wav(tmp_path / "kept" / "question-2.wav")[0] == spoken("Who am I?")
    kept, _ = read_wav(tmp_path / "kept" / "reply-2.wav")
    assert kept == tone("Before, you said: I am Bo.")


async def test_the_default_questions_depend_on_each_other(
    server: ScriptedServer, synthesizer_url: str
) -> None:
    ended = await demo("--url", server.url, "--elevenlabs-url", synthesizer_url)
    assert ended.code == 0
    assert "reply   Before, you said: My name is Alice." in ended.out


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("wrong", "refused the key in ELEVENLABS_API_KEY (HTTP 401): Bad key."),
        (" \r", "Set ELEVENLABS_API_KEY"),
    ],
)
async def test_a_bad_key_names_the_variable(
    server: ScriptedServer, synthesizer_url: str, key: str, sentence: str
) -> None:
    ended = await demo("--url", server.url, "--elevenlabs-url", synthesizer_url, key=key)
    assert ended.code == 1
    assert sentence in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_white_space_around_the_key_is_not_part_of_it(
    server: ScriptedServer, synthesizer_url: str
) -> None:
    ended = await demo("--url", server.url, "--elevenlabs-url", synthesizer_url, key=f" {KEY}\r\n")
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("key", ["secret\r\nkey", "secret-schlüssel", "secret\x7fkey"])
async def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(
    server: ScriptedServer, synthesizer_url: str, key: str
) -> None:
    ended = await demo("--url", server.url, "--elevenlabs-url", synthesizer_url, key=key)
    assert ended.code == 1
    assert ended.err == "demo: The key in ELEVENLABS_API_KEY has characters that no key has.\n"


@pytest.mark.parametrize("url", ["http://[::1", f"http://{'a' * 64}.invalid", "ftp://host"])
async def test_what_is_no_url_of_a_synthesizer_is_said_to_be_none(
    server: ScriptedServer, url: str
) -> None:
    ended = await demo("--url", server.url, "--elevenlabs-url", url)
    assert ended.code == 1
    assert ended.err == f"demo: {url!r} is not the URL of an HTTP API.\n"


async def test_an_unknown_voice_and_a_dead_synthesizer_are_explained(
    server: ScriptedServer, synthesizer_url: str
) -> None:
    nobody = await demo("--url", server.url, "--elevenlabs-url", "http://127.0.0.1:9")
    assert nobody.code == 1
    assert "http://127.0.0.1:9 could not be asked to speak" in nobody.err
    voiceless = await demo(
        "--url", server.url, "--elevenlabs-url", synthesizer_url, "--voice", "x/y"
    )
    assert voiceless.code == 1
    assert "has no voice 'x/y' (HTTP 404): No such voice. Choose one with --voice." in voiceless.err


async def test_a_reply_without_sound_fails_the_demo(
    server: ScriptedServer, synthesizer_url: str
) -> None:
    async def mute(peer: Peer, message: Json) -> None:
        turn_id = message["turn_id"]
        await peer.send(
            {"type": "transcript", "turn_id": turn_id, "seq": 1, "text": "A", "final": True},
            *(e for e in reply_events(turn_id, "Yes.", 2) if e["type"] == "reply_text"),
            {**reply_events(turn_id, "Yes.", 2)[-1], "seq": 3},
        )

    server.on("audio_end", mute)
    ended = await demo("--url", server.url, "--elevenlabs-url", synthesizer_url)
    assert ended.code == 1
    assert "had no sound that can be heard" in ended.err


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_gives_every_part_its_share_and_at_least_a_cell() -> None:
    plain = bar(Terminal(io.StringIO()), [("dispatch", 1.0), ("responder", 99.0)], width=20)
    assert plain == "[d" + "r" * 20 + "]"


def test_parts_of_the_same_initial_are_told_apart() -> None:
    assert bar(Terminal(io.StringIO()), [("dispatch", 5), ("delivery", 5)], width=4) == "[ddDD]"


def test_colour_and_live_lines_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    outputs = []
    for stream in (Tty(), io.StringIO()):
        terminal = Terminal(stream)
        terminal.live("hears wor")
        terminal.live("hears words")
        terminal.line(terminal.paint("done", "1"))
        outputs.append(stream.getvalue())
    at_tty, to_file = outputs
    assert to_file == "done\n"
    assert at_tty.endswith("\r\x1b[2K\x1b[1mdone\x1b[0m\n")
    assert at_tty.count("\r\x1b[2K") == 3
