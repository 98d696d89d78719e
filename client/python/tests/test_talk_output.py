"""The `talk` command and what it cannot print, save or send: a sentence or a substitute, never a
traceback."""

from __future__ import annotations

import json
import os
import sys
from asyncio import subprocess, timeout
from pathlib import Path

import pytest

from parley_client import BadInput, Settings
from parley_client.audio_file import write_wav
from parley_client.encoder import encode
from parley_client.talk import main
from parley_client.terminal import printable
from scripted_server import DEADLINE_S, Json, Peer, ScriptedServer, reply_events

SAID = "Grüße, 世界 😀 \N{EM DASH} “ok”"


async def talk(*arguments: str | bytes, encoding: str = "utf-8") -> tuple[int | None, bytes, str]:
    """Run `talk` with an output of this encoding; returns code, output and complaints."""
    process = await subprocess.create_subprocess_exec(
        sys.executable,
        "-m",
        "parley_client.talk",
        *arguments,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with timeout(DEADLINE_S):
        out, err = await process.communicate()
    complaints = err.decode(errors="backslashreplace")
    assert "Traceback" not in complaints
    assert "Exception ignored" not in complaints
    return process.returncode, out, complaints


def says(server: ScriptedServer, text: str) -> None:
    """Every question is answered with this text."""

    async def answer(peer: Peer, message: Json) -> None:
        for event in reply_events(message["turn_id"], text):
            await peer.send(event)

    server.on("user_message", answer)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8:strict"])
async def test_a_reply_is_printed_whatever_the_output_can_hold(
    encoding: str, server: ScriptedServer
) -> None:
    says(server, SAID)
    code, out, _ = await talk("hi", "--url", server.url, encoding=encoding)
    name = encoding.partition(":")[0]
    assert (code, out.decode(name).strip()) == (0, _as_printed(SAID, name))


def _as_printed(text: str, encoding: str) -> str:
    return text.encode(encoding, "backslashreplace").decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8:strict"])
async def test_json_stays_json_whatever_the_output_can_hold(
    encoding: str, server: ScriptedServer, tmp_path: Path
) -> None:
    says(server, SAID)
    wav = os.fsencode(tmp_path) + b"/\xff.wav"
    code, out, _ = await talk("hi", "--json", "--save", wav, "--url", server.url, encoding=encoding)
    told = json.loads(out.decode(encoding.partition(":")[0]))
    assert (code, told["text"]) == (0, SAID)
    assert os.path.exists(wav) == (told["audio"]["saved"] is not None)


@pytest.mark.parametrize("url", [b"ws://127.0.0.1:9/\xff", b"ws://a..b/"])
def test_a_url_that_cannot_be_is_told_in_a_sentence(
    url: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hi", "--url", os.fsdecode(url)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("talk: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("option", ["--speed", "--stability"])
@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "fast", ""])
def test_what_is_no_number_is_refused_before_anything_is_sent(
    option: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["hi", f"{option}={number}", "--url", "ws://127.0.0.1:9/nobody"])
    assert exited.value.code == 2
    assert option in capsys.readouterr().err


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_message_holds_only_numbers_that_json_has(number: float) -> None:
    with pytest.raises(BadInput, match="finite"):
        encode({"type": "config", "settings": {"speed": number}})
    assert Settings(speed=1.1).speed == 1.1


def test_a_folder_to_save_in_is_told_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hi", "--save", str(tmp_path), "--url", "ws://127.0.0.1:9/nobody"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{tmp_path} is a folder" in err


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_sound_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        write_wav(tmp_path, bytes(200), 16_000)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\u202eb\u202c", "ab"),
        ("a\u2066b\u2069\u2067c\u2068", "abc"),
        ("\u202aa\u202bb\u202d", "ab"),
        ("one\u2028two\u2029three", "one\ntwo\nthree"),
        ("a\x1b[31mb\x9bc\rd\x00e\x85f", "a[31mbcdef"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("👩\u200d👩\u200d👧 क\u094d\u200dष", "👩\u200d👩\u200d👧 क\u094d\u200dष"),
        ("שלום\u200f!", "שלום\u200f!"),
    ],
)
def test_what_a_server_sends_reorders_and_breaks_no_lines(said: str, shown: str) -> None:
    assert printable(said) == shown
