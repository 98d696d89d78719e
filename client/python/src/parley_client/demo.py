"""One spoken conversation with a Parley API, from questions synthesised on the spot.

    python -m parley_client.demo --url ws://localhost:3001/dev

Each question becomes speech, goes through the real WebSocket as a microphone
would send it, and its transcript, reply and timings are shown. The later
questions depend on the earlier ones. Exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parley_client import elevenlabs
from parley_client.audio_file import write_wav
from parley_client.conversation import Conversation
from parley_client.errors import BadInput, ParleyClientError
from parley_client.messages import Metrics, ReplyText, ToolUpdate, Transcript
from parley_client.output import parts_of, tool_note
from parley_client.pcm import SAMPLE_RATES_HZ, duration_ms
from parley_client.reply import Reply
from parley_client.terminal import BOLD, CYAN, DIM, RED, Terminal, bar, printable
from parley_client.turn import Turn

QUESTIONS = ("My name is Alice.", "What is my name?")
BAR = 40
"""Cells: with what stands around it, it has room in 80 columns."""
SUM_TOLERANCE_MS = 1.0
"""What rounding each part may add up to."""


class DemoFailed(ParleyClientError):
    """A turn went through, but not as it should."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, in words and in sound."""

    text: str
    pcm: bytes


async def synthesise_all(texts: Sequence[str], arguments: argparse.Namespace) -> list[Question]:
    """Speech for every question, before the conversation starts."""
    key = os.environ.get(elevenlabs.KEY_VARIABLE, "").strip()
    if not key:
        raise BadInput(f"Set {elevenlabs.KEY_VARIABLE} to the key for {arguments.elevenlabs_url}.")
    questions = []
    for text in texts:
        pcm = await asyncio.to_thread(
            elevenlabs.synthesise,
            text,
            url=arguments.elevenlabs_url,
            key=key,
            voice=arguments.voice,
        )
        questions.append(Question(text, pcm))
    return questions


async def converse(arguments: argparse.Namespace, screen: Terminal) -> None:
    """Ask every question and show what comes of it.

    Raises:
        ParleyClientError: whatever went wrong.
    """
    questions = await synthesise_all(arguments.question or QUESTIONS, arguments)
    token = os.environ.get("PARLEY_TOKEN") or None
    async with Conversation.connect(arguments.url, token=token) as conversation:
        screen.line(screen.paint(f"session {conversation.session_id} at {arguments.url}", DIM))
        for number, question in enumerate(questions, 1):
            length_s = duration_ms(len(question.pcm), SAMPLE_RATES_HZ[elevenlabs.FORMAT]) / 1000
            screen.line()
            screen.line(
                screen.paint(f"{number}. {question.text}", BOLD)
                + screen.paint(f"  ({length_s:.1f} s of speech)", DIM)
            )
            turn = conversation.speak(question.pcm, format=elevenlabs.FORMAT)
            await _show(turn, screen)
            reply = await turn
            _check(question, reply)
            _show_timings(reply, screen)
            if arguments.save is not None:
                _save(arguments.save, number, question, reply)
            if reply.ends_session:
                screen.line(screen.paint("The agent has ended the conversation.", DIM))
                return


async def _show(turn: Turn, screen: Terminal) -> None:
    replying = False
    async for event in turn:
        match event:
            case Transcript(text=text, final=False):
                screen.live(f"   hears   {printable(text)} …")
            case Transcript(text=text):
                screen.line(f"   heard   {printable(text)}")
            case ReplyText(delta=delta):
                if not replying:
                    screen.write(screen.paint("   reply   ", DIM))
                    replying = True
                screen.write(screen.paint(printable(delta), CYAN))
            case ToolUpdate():
                screen.line(screen.paint(f"   calls   {tool_note(event)}", DIM))
    screen.end_line()


def _check(question: Question, reply: Reply) -> None:
    if reply.errors:
        raise DemoFailed(f"{question.text!r} met an error: {reply.errors[0].message}")
    if reply.reason != "completed":
        raise DemoFailed(f"The reply to {question.text!r} ended as {reply.reason}.")
    if not reply.transcript:
        raise DemoFailed(f"Nothing was understood of {question.text!r}.")
    if reply.timings.first_sound_ms is None:
        raise DemoFailed(f"The reply to {question.text!r} had no sound that can be heard.")


def _show_timings(reply: Reply, screen: Terminal) -> None:
    columns = [
        ("transcript", _ms(reply.timings.transcript_ms)),
        ("first text", _ms(reply.timings.first_text_ms)),
        ("first sound", _ms(reply.timings.first_sound_ms)),
        ("total", _ms(reply.timings.total_ms)),
        ("audio", f"{reply.audio_ms / 1000:.1f} s"),
    ]
    screen.line(screen.paint("   client  " + "".join(f"{name:>13}" for name, _ in columns), DIM))
    screen.line("           " + "".join(f"{value:>13}" for _, value in columns))
    _show_parts(reply.metrics, screen)


def _show_parts(metrics: Metrics, screen: Terminal) -> None:
    parts = parts_of(metrics)
    if not parts:
        return
    total_ms = sum(ms for _, ms in parts)
    cold = " (cold start)" if metrics.cold else ""
    screen.line(
        f"   {screen.paint('server', DIM)}  {bar(screen, parts, BAR)} {total_ms:,.0f} ms{cold}"
    )
    named = " + ".join(f"{name} {ms:,.0f}" for name, ms in parts)
    first_audio_ms = metrics.first_audio_ms
    if first_audio_ms is None or abs(first_audio_ms - total_ms) <= SUM_TOLERANCE_MS:
        sum_ = f" = {total_ms:,.0f} ms to the first audio"
    else:
        sum_ = f" = {total_ms:,.0f} ms, but the first audio took {first_audio_ms:,.0f} ms"
    for line in screen.fold(f"{named}{sum_}", indent=" " * 11).splitlines():
        screen.line(screen.paint(line, DIM))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"


def _save(folder: Path, number: int, question: Question, reply: Reply) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_wav(folder / f"question-{number}.wav", question.pcm, SAMPLE_RATES_HZ[elevenlabs.FORMAT])
    if reply.audio_format is not None:
        write_wav(folder / f"reply-{number}.wav", reply.audio, SAMPLE_RATES_HZ[reply.audio_format])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m parley_client.demo",
        description="Hold one spoken conversation with a Parley API, from synthesised questions.",
        epilog=f"The key for ElevenLabs is read from {elevenlabs.KEY_VARIABLE}.",
    )
    parser.add_argument("--url", required=True, metavar="WS", help="WebSocket URL of the API")
    parser.add_argument(
        "--elevenlabs-url",
        default=os.environ.get("ELEVENLABS_BASE_URL") or elevenlabs.DEFAULT_URL,
        metavar="URL",
        help="who speaks the questions (default: $ELEVENLABS_BASE_URL, else ElevenLabs)",
    )
    parser.add_argument(
        "--voice", default=elevenlabs.DEFAULT_VOICE, metavar="ID", help="the questioner's voice"
    )
    parser.add_argument(
        "--question", action="append", metavar="TEXT", help="what to ask instead; may be repeated"
    )
    parser.add_argument("--save", type=Path, metavar="DIR", help="keep every question and reply")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns its exit code."""
    arguments = _parser().parse_args(argv)
    screen = Terminal(sys.stdout)
    errors = Terminal(sys.stderr)
    try:
        asyncio.run(converse(arguments, screen))
    except ParleyClientError as failed:
        sentence = failed.message
    except OSError as failed:
        sentence = f"{failed.filename or 'Writing'}: {failed.strerror or failed}."
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    screen.end_line()
    for line in errors.fold(f"demo: {printable(sentence)}").splitlines():
        errors.line(errors.paint(line, RED))
    return 1


if __name__ == "__main__":
    sys.exit(main())
