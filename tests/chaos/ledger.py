"""What the application saw, and whether it is what it had to see. Plain objects."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from parley_client import heard_text
from parley_client.messages import Audio, Error, Message, ReplyText, TurnEnd
from tests.chaos.plan import TurnPlan
from tests.chaos.tool_judge import ToolVerdict

MAX_SILENCE_S = 10.0


@dataclass(slots=True)
class Attempt:
    """The events of one attempt at a turn, as they were delivered."""

    number: int
    events: list[Any] = field(default_factory=list)

    @property
    def end(self) -> TurnEnd | None:
        """Its end, if it had one."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, TurnEnd) else None

    @property
    def text(self) -> str:
        """The reply's text, from its pieces."""
        return "".join(e.delta for e in self.events if isinstance(e, ReplyText))

    @property
    def audio(self) -> bytes:
        """The reply's audio."""
        return b"".join(e.audio for e in self.events if isinstance(e, Audio))

    def heard(self, played_ms: float) -> str:
        """What had been heard when so much had been played, by the client's own rule."""
        words = [word for e in self.events if isinstance(e, Audio) for word in e.words]
        return heard_text(self.end.text if self.end else self.text, words, played_ms)

    @property
    def words(self) -> str:
        """The words whose sound is known, without white space."""
        words = [word for e in self.events if isinstance(e, Audio) for word in e.words]
        return spoken_key("".join(word.text for word in words))

    @property
    def voiceless(self) -> bool:
        """Whether speech failed on the way, as the protocol allows."""
        return any(isinstance(e, Error) and e.code == "speech_failed" for e in self.events)


@dataclass(slots=True)
class TurnRecord:
    """One turn."""

    plan: TurnPlan
    turn_id: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    longest_silence_s: float = 0.0
    problem: str = ""
    interrupted_ms: float | None = None
    """How much of the last attempt's reply had been played when the user interrupted it."""

    @property
    def end(self) -> TurnEnd | None:
        """How its last attempt ended."""
        return self.attempts[-1].end if self.attempts else None


@dataclass(slots=True)
class Verdict:
    """What a soak came to."""

    turns: int = 0
    faulty: int = 0
    completed: int = 0
    interrupted: int = 0
    recovered: int = 0
    endless: int = 0
    lost: int = 0
    doubled: int = 0
    failed_over: int = 0
    """Stages in which another provider took over."""
    words_differ: int = 0
    """Turns in which a word was spoken twice, or not at all."""
    audio_differs: int = 0
    history_differs: int = 0
    longest_silence_s: float = 0.0
    longest_in: str = ""
    """The turn in which it was."""
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    tools: ToolVerdict = field(default_factory=ToolVerdict)

    @property
    def whole(self) -> bool:
        """Whether nothing was lost, doubled, different or endless."""
        bad = self.endless + self.lost + self.doubled + self.audio_differs + self.history_differs
        return bad + self.words_differ + self.tools.bad == 0

    @property
    def good(self) -> bool:
        """Whether, besides, nobody waited in silence for too long."""
        return self.whole and self.longest_silence_s <= MAX_SILENCE_S


class Ledger:
    """Judges turns.

    Args:
        spoken: the audio that the synthesizer sent, by what it was given to say.
    """

    def __init__(self, spoken: dict[str, list[bytes]]) -> None:
        self._spoken = spoken
        self.verdict = Verdict()

    def judge(self, record: TurnRecord) -> None:
        """Add one turn to the verdict."""
        verdict = self.verdict
        verdict.turns += 1
        if record.longest_silence_s > verdict.longest_silence_s:
            verdict.longest_silence_s = record.longest_silence_s
            verdict.longest_in = f"{record.turn_id} ({record.plan})"
        if record.longest_silence_s > MAX_SILENCE_S:
            self._note(record, f"{record.longest_silence_s:.1f} s of silence")
        end = record.end
        if end is None or record.problem:
            verdict.endless += 1
            self._note(record, record.problem or "it never ended")
            return
        verdict.completed += end.reason == "completed"
        verdict.interrupted += end.reason == "interrupted"
        if end.reason == "failed":
            verdict.endless += 1
            self._note(record, f"it failed for good: {end.code}")
        verdict.recovered += len(record.attempts) > 1
        for attempt in record.attempts:
            self._judge_numbers(record, attempt)
        verdict.failed_over += end.metrics.failed_over or 0
        self._judge_words(record, record.attempts[-1], end)
        self._judge_audio(record, record.attempts[-1], end)

    def judge_history(self, records: list[TurnRecord], history: tuple[Message, ...]) -> None:
        """Compare a session's turns, oldest first, with what the server keeps of them."""
        kept = {(message.turn_id, message.role): message for message in history}
        order = list(dict.fromkeys(message.turn_id for message in history))
        held = [record for record in records if record.turn_id in order]
        if [record.turn_id for record in held] != order:
            self.verdict.history_differs += 1
            self.verdict.problems.append(f"the history has the turns in another order: {order}")
        for record in held:
            end = record.end
            reply = kept.get((record.turn_id, "assistant"))
            if end is None or end.reason == "failed":
                continue
            kept_text, kept_heard = (reply.text, reply.heard) if reply else ("", end.heard)
            heard = [end.heard]
            if record.interrupted_ms is not None:  # perhaps after the turn had ended
                heard.append(record.attempts[-1].heard(record.interrupted_ms))
            if kept_text != end.text or kept_heard not in heard:
                self.verdict.history_differs += 1
                self._note(
                    record,
                    f"the history has {(kept_text, kept_heard)}, the client {(end.text, heard)}",
                )

    def _judge_numbers(self, record: TurnRecord, attempt: Attempt) -> None:
        numbers = [event.seq for event in attempt.events if event.seq]
        if len(numbers) != len(set(numbers)):
            self.verdict.doubled += 1
            self._note(record, f"doubled: {numbers}")
        if sorted(set(numbers)) != [*range(1, len(set(numbers)) + 1)] or numbers != sorted(numbers):
            self.verdict.lost += 1
            self._note(record, f"lost or out of order: {numbers}")
        end = attempt.end
        if end is not None and end.seq and end.reason == "completed" and attempt.text != end.text:
            self.verdict.lost += 1
            self._note(record, "the pieces of the text are not the text")

    def _judge_words(self, record: TurnRecord, attempt: Attempt, end: TurnEnd) -> None:
        """Each word of the reply has sounded once; of one that broke off, the first ones have."""
        said, spoken = spoken_key(end.text), attempt.words
        broke_off = attempt.voiceless or end.reason != "completed" or record.interrupted_ms
        good = said.startswith(spoken) if broke_off else said == spoken
        if not good and end.seq:  # the end of a turn that died knows no events
            self.verdict.words_differ += 1
            self._note(record, f"the words are not the text's: {spoken!r}")

    def _judge_audio(self, record: TurnRecord, attempt: Attempt, end: TurnEnd) -> None:
        made = self._made_for(end, broke_off=attempt.voiceless or end.reason != "completed")
        # Of a reply that was interrupted, what had not arrived is not sent again.
        interrupted = record.interrupted_ms is not None
        whole = end.reason == "completed" and not attempt.voiceless and not interrupted
        if whole:
            good = attempt.audio in made or self._is_spliced(attempt.audio, end)
        else:
            good = not attempt.audio or any(audio.startswith(attempt.audio) for audio in made)
            good = good or self._is_spliced(attempt.audio, end, broke_off=True)
        good = good or self._is_in_parts(attempt.audio, spoken_key(end.text), broke_off=not whole)
        if not good:
            self.verdict.audio_differs += 1
            sizes = [len(audio) for audio in made]
            self._note(record, f"audio of {len(attempt.audio)} bytes; synthesised: {sizes}")

    def _made_for(self, end: TurnEnd, *, broke_off: bool) -> list[bytes]:
        """What the synthesizer made of this reply; of one that broke off, or whose voice did, it
        may have been given more, or less, than was said."""
        said = spoken_key(end.text)
        if not broke_off:
            return self._spoken.get(said, [])
        return [
            audio
            for text, audios in self._spoken.items()
            if text.startswith(said) or said.startswith(text)
            for audio in audios
        ]

    def _is_in_parts(self, audio: bytes, said: str, *, broke_off: bool) -> bool:
        """Whether it is what was made of parts of the reply, one after the other: what is said
        while a tool runs, and what is said of its result."""
        if not audio:
            return broke_off or not said
        for text, audios in self._spoken.items():
            for made in audios if text and (said.startswith(text) or broke_off) else ():
                if broke_off and made.startswith(audio) and text.startswith(said[: len(text)]):
                    return True
                fits = made and audio.startswith(made) and said.startswith(text)
                rest, unsaid = audio[len(made) :], said[len(text) :]
                if fits and self._is_in_parts(rest, unsaid, broke_off=broke_off):
                    return True
        return False

    def _is_spliced(self, audio: bytes, end: TurnEnd, *, broke_off: bool = False) -> bool:
        """Whether a voice broke off in this audio, and another one spoke the rest, to its end or to
        where it broke off too."""
        if not end.metrics.failed_over:
            return False
        said = spoken_key(end.text)
        begun = self._made_for(end, broke_off=True)
        for text, audios in self._spoken.items():
            rest_of_it = said.endswith(text) or (broke_off and text in said)
            for rest in audios if text and rest_of_it else ():
                ends = range(len(rest), 0, -2) if broke_off else [len(rest)]
                for size in ends:
                    head = audio[: len(audio) - size]
                    if audio.endswith(rest[:size]) and any(a.startswith(head) for a in begun):
                        return True
        return False

    def _note(self, record: TurnRecord, problem: str) -> None:
        self.verdict.problems.append(f"{record.turn_id} ({record.plan}): {problem}")


def spoken_key(text: str) -> str:
    """A text without what the way to the synthesizer may change: its white space."""
    return "".join(text.split())
