"""The `talk` command: one typed or spoken question, or a conversation by keyboard.

    talk "What is the tallest mountain?"
    talk question.wav --save reply.wav
    talk
    talk --microphone

The reply goes to standard output; transcripts, timings and errors go to
standard error. Exit codes: 0, 1 when the conversation failed, 2 when the
command was wrong, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import math
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from parley_client.audio_file import read_wav, write_wav
from parley_client.channel import HUNG_UP
from parley_client.conversation import Conversation, PendingConversation
from parley_client.devices import check_sounddevice
from parley_client.errors import BadInput, ConversationClosed, ParleyClientError
from parley_client.events import Restarted, TurnEvent
from parley_client.keyboard import TypedLines
from parley_client.messages import (
    Audio,
    AudioFormat,
    Custom,
    Error,
    ReplyText,
    Settings,
    ToolUpdate,
    Transcript,
)
from parley_client.notices import Notice, SessionRenewed, StateChanged
from parley_client.output import (
    as_json,
    custom_note,
    encodable,
    error_as_json,
    person_sentence,
    stand_ins_note,
    timing_line,
    tool_note,
)
from parley_client.pcm import SAMPLE_RATES_HZ
from parley_client.reply import Reply
from parley_client.terminal import CYAN, DIM, RED, Terminal, printable
from parley_client.turn import Turn
from parley_client.voice import Voice

DEFAULT_URL = "ws://localhost:3001/dev"
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Typed:
    """A question in words."""

    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A question in sound."""

    path: str
    pcm: bytes
    format: AudioFormat


class Talk:
    """A conversation shown on the terminal."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._url: str = arguments.url
        self._token: str | None = arguments.token
        self._json: bool = arguments.json
        self._save: Path | None = arguments.save
        self._settings = Settings(**{f.name: getattr(arguments, f.name) for f in fields(Settings)})
        self._out = Terminal(sys.stdout)
        self._notes = Terminal(sys.stderr)
        self._running: Turn | None = None
        self._voice: Voice | None = None
        self._agents_voice: Voice | None = None
        """Plays what the agent says by itself."""
        self._floor = asyncio.Lock()
        """Whose turn is shown: one at a time."""
        self._parted = asyncio.Event()
        """Set when the agent, or the deployment, has ended the conversation."""
        self._prompting = False
        self._interrupted = False
        self._away = False
        self._saved = 0

    async def once(self, question: Typed | Spoken) -> int:
        """Ask one question; returns the exit code."""
        async with self._connect() as conversation:
            self._say_what_stands_in(conversation)
            self._on_ctrl_c()
            try:
                await self._ask(conversation, question)
            except ConversationClosed as closed:
                if closed.ending is None:
                    raise
        return EXIT_INTERRUPTED if self._interrupted else 0

    async def by_keyboard(self) -> int:
        """Ask every line that is typed; returns the exit code."""
        code = 0
        async with self._connect() as conversation:
            self._say_what_stands_in(conversation)
            self._on_ctrl_c()
            typed = TypedLines(sys.stdin.fileno())
            if sys.stdin.isatty():
                self._notes.line(self._notes.paint("Ctrl-C interrupts a reply, Ctrl-D ends.", DIM))
            while (line := await self._prompt(typed)) is not None:
                if line.strip() and not await self._told(self._ask(conversation, Typed(line))):
                    code = EXIT_FAILED
                    if conversation.closed:
                        return code
        return code

    async def by_microphone(self) -> int:
        """Ask what is spoken, from Enter to Enter; returns the exit code.

        Raises:
            BadInput, NoDevice: sound is not to be had here at all.
        """
        check_sounddevice()
        code = 0
        async with self._connect() as conversation:
            self._say_what_stands_in(conversation)
            self._on_ctrl_c()
            typed = TypedLines(sys.stdin.fileno())
            voice = Voice(conversation, typed)
            self._agents_voice = Voice(conversation, typed)
            hint = "Enter begins and ends what you say, and interrupts a reply. Ctrl-D ends."
            self._notes.line(self._notes.paint(hint, DIM))
            while not voice.ended and await self._prompt(typed) is not None:
                if not await self._told(self._ask_aloud(voice)):
                    code = EXIT_FAILED
                    if conversation.closed:
                        return code
        return code

    def _connect(self) -> PendingConversation:
        return Conversation.connect(
            self._url,
            self._settings,
            token=self._token,
            on_notice=self._notice,
            on_agent_turn=self._agent_begins,
        )

    def _notice(self, notice: Notice) -> None:
        match notice:
            case StateChanged(state="reconnecting", attempt=1):
                self._remark("(the connection is lost; coming back …)")
            case StateChanged(state="ready") if self._away:
                self._remark("(back)")
            case SessionRenewed():
                self._remark("(this is a new session: what was said before is forgotten)")
            case StateChanged(reason=ConversationClosed(ending=ending) as closed) if ending:
                self._part(closed.message)
        self._away = isinstance(notice, StateChanged) and notice.state == "reconnecting"

    def _say_what_stands_in(self, conversation: Conversation) -> None:
        """Nobody should take a stand-in's voice or answers for what the product can do."""
        if note := stand_ins_note(conversation.stand_ins):
            self._remark(f"({note})")

    def _remark(self, text: str) -> None:
        self._out.end_line()
        self._notes.line(self._notes.paint(text, DIM))

    def _part(self, why: str) -> None:
        if not self._parted.is_set():
            self._parted.set()
            self._remark(f"({why})")

    async def _agent_begins(self, turn: Turn) -> None:
        """Show a turn that the agent begins."""
        async with self._floor:
            was_prompting = self._prompting
            if was_prompting:
                self._notes.end_line()
            await self._told(self._hear(turn))
            if was_prompting and self._prompting and not self._parted.is_set():
                self._show_prompt()

    async def _hear(self, turn: Turn) -> None:
        self._interrupted = False
        voice = self._voice = self._agents_voice
        try:
            if voice is not None:
                voice.hear(turn)
            reply = await self._follow(None, turn)
            if voice is not None:
                await voice.finish()
        finally:
            self._voice = None
            if voice is not None:
                await voice.close()
        self._mind_the_end(reply)

    def _mind_the_end(self, reply: Reply) -> None:
        if reply.ends_session:
            self._part(HUNG_UP["agent"])

    async def _told(self, asking: Coroutine[None, None, None]) -> bool:
        """Whether it went well; what failed is told."""
        try:
            await asking
        except ConversationClosed as closed:
            if closed.ending is None:
                self.tell(closed)
            return closed.ending is not None
        except ParleyClientError as failed:
            self.tell(failed)
            return False
        return True

    def _show_prompt(self) -> None:
        if sys.stdin.isatty():
            self._notes.write(self._notes.paint("> ", CYAN))

    async def _prompt(self, typed: TypedLines) -> str | None:
        """The next line; None if there is none, or the conversation has been ended."""
        line = None
        if not self._parted.is_set():
            self._show_prompt()
            self._prompting = True
            line = await self._line_unless_parted(typed)
            self._prompting = False
        if self._parted.is_set():
            async with self._floor:  # what the agent says is played to its end
                return None
        if sys.stdin.isatty():
            # The terminal echoed the line's end; only Ctrl-D leaves the prompt's line open.
            if line is None:
                self._notes.end_line()
            else:
                self._notes.echoed()
        return line

    async def _line_unless_parted(self, typed: TypedLines) -> str | None:
        line, parted = (
            asyncio.create_task(typed.next()),
            asyncio.create_task(self._parted.wait()),
        )
        try:
            await asyncio.wait({line, parted}, return_when=asyncio.FIRST_COMPLETED)
            return line.result() if line.done() else None
        finally:
            line.cancel()
            parted.cancel()

    def _on_ctrl_c(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "runs in a task"
        pending: set[asyncio.Task[None]] = set()

        def pressed() -> None:
            playing = self._voice or self._running
            if playing is not None and not self._interrupted:
                self._interrupted = True
                sending = asyncio.create_task(_interrupt_quietly(playing))
                pending.add(sending)
                sending.add_done_callback(pending.discard)
            elif playing is None and sys.stdin.isatty():
                self._notes.line()
                self._notes.write(self._notes.paint("(Ctrl-D ends) > ", DIM))
            else:
                task.cancel()

        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends the command
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, pressed)

    async def _ask(self, conversation: Conversation, question: Typed | Spoken) -> None:
        self._interrupted = False
        if isinstance(question, Typed):
            asked, turn = question.text, conversation.say(question.text)
        else:
            asked = question.path
            turn = conversation.speak(question.pcm, format=question.format)
        async with self._floor:
            reply = await self._follow(asked, turn)
        self._mind_the_end(reply)

    async def _ask_aloud(self, voice: Voice) -> None:
        if self._voice is not None:
            await _interrupt_quietly(self._voice)  # the agent speaks
        async with self._floor:
            self._interrupted = False
            self._remark("(listening; Enter when you have finished)")
            self._voice = voice
            try:
                turn = await voice.listen()
                reply = await self._follow("(spoken)", turn)
                await voice.finish()
            finally:
                self._voice = None
                await voice.close()
        self._mind_the_end(reply)

    async def _follow(self, asked: str | None, turn: Turn) -> Reply:
        self._running = turn
        try:
            async for event in turn:
                if self._voice is not None and isinstance(event, Audio):
                    self._voice.play(event)
                if not self._json:
                    self._show(event)
            reply = await turn
        finally:
            self._running = None
            self._out.end_line()
        saved = self._save_audio(reply)
        if self._json:
            self._tell_json(as_json(asked, reply, saved, turn.cause))
        else:
            self._sum_up(reply, saved)
        return reply

    def _show(self, event: TurnEvent | Restarted) -> None:
        match event:
            case Transcript(text=text, final=False):
                self._notes.live(f"you: {printable(text)}")
            case Transcript(text=text):
                self._notes.line(self._notes.paint(f"you: {printable(text)}", DIM))
            case ReplyText(delta=delta):
                self._out.write(printable(delta))
            case ToolUpdate():
                self._remark(tool_note(event))
            case Custom():
                self._remark(custom_note(event))
            case Restarted():
                self._remark("(the reply begins anew)")
            case Error(code="speech_failed", message=message):
                self._out.end_line()
                self._notes.line(self._notes.paint(f"(no sound: {printable(message)})", RED))

    def _sum_up(self, reply: Reply, saved: Path | None) -> None:
        if reply.reason == "interrupted":
            heard = reply.text if reply.heard is None else reply.heard
            self._notes.line(self._notes.paint(f"(interrupted; heard: {printable(heard)!r})", DIM))
        line = timing_line(reply)
        if saved is not None:
            line += f" · {saved}"
        self._notes.line(self._notes.paint(line, DIM))

    def _save_audio(self, reply: Reply) -> Path | None:
        if self._save is None:
            return None
        if reply.audio_format is None:
            _complain(f"The reply had no sound: {self._save} was not written.")
            return None
        self._saved += 1
        path = self._save
        if self._saved > 1:
            path = path.with_name(f"{path.stem}-{self._saved}{path.suffix}")
        write_wav(path, reply.audio, SAMPLE_RATES_HZ[reply.audio_format])
        return path

    def tell(self, failed: ParleyClientError) -> None:
        """Say what failed, in the way that was asked for."""
        if self._json:
            self._tell_json(error_as_json(failed))
        _complain(person_sentence(failed))

    def _tell_json(self, line: str) -> None:
        self._out.line(encodable(line, sys.stdout.encoding or "utf-8"))


async def _interrupt_quietly(playing: Turn | Voice) -> None:
    try:
        await playing.interrupt()
    except ParleyClientError:
        return  # the connection is gone, which the turn itself will tell


def _complain(sentence: str) -> None:
    Terminal(sys.stderr).line(f"talk: {printable(sentence)}")


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="talk",
        description="Talk to a Parley API: one question, or a conversation by keyboard.",
    )
    parser.add_argument(
        "question", nargs="*", help="what to say, or a WAV file to send as speech; else type it"
    )
    parser.add_argument(
        "--url",
        default=os.environ.get("PARLEY_URL") or DEFAULT_URL,
        help=f"WebSocket URL of the API (default: $PARLEY_URL, else {DEFAULT_URL})",
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("PARLEY_TOKEN") or None,
        help="what the API lets you in with (default: $PARLEY_TOKEN, which others cannot see)",
    )
    parser.add_argument(
        "--save", type=Path, metavar="FILE.wav", help="keep the reply's sound in this file"
    )
    parser.add_argument(
        "--microphone",
        action="store_true",
        help="speak and listen: pip install sounddevice",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per turn")
    parser.add_argument("--voice", metavar="ID", help="an ElevenLabs voice id")
    parser.add_argument("--language", metavar="CODE", help="the language spoken, e.g. en")
    parser.add_argument("--speed", type=_number, help="0.7 to 1.2")
    parser.add_argument("--stability", type=_number, help="0 to 1")
    parser.add_argument("--style", help="how to reply, in words")
    parser.add_argument(
        "--record",
        action=argparse.BooleanOptionalAction,
        help="consent to being recorded, where the deployment records",
    )
    return parser


def _question(words: Sequence[str]) -> Typed | Spoken | None:
    if not words:
        return None
    if len(words) == 1 and words[0].lower().endswith(".wav"):
        pcm, audio_format = read_wav(words[0])
        return Spoken(words[0], pcm, audio_format)
    return Typed(" ".join(words))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the output's encoding lacks must not cost the reply.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    talk = Talk(arguments)
    try:
        if arguments.save is not None and not arguments.save.parent.is_dir():
            raise BadInput(f"There is no folder {arguments.save.parent} to save the reply in.")
        if arguments.save is not None and arguments.save.is_dir():
            raise BadInput(f"{arguments.save} is a folder: name a file to save the reply in.")
        question = _question(arguments.question)
        if arguments.microphone:
            if question is not None:
                raise BadInput("With --microphone the question is spoken: leave it out.")
            return asyncio.run(talk.by_microphone())
        return asyncio.run(talk.by_keyboard() if question is None else talk.once(question))
    except BadInput as wrong:
        _complain(wrong.message)
        return EXIT_USAGE
    except ConversationClosed:
        return EXIT_FAILED
    except ParleyClientError as failed:
        talk.tell(failed)
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader of the pipe has gone. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as unwritable:
        _complain(f"{unwritable.filename or 'The reply'}: {unwritable.strerror}.")
        return EXIT_FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
