"""The ledger's own judgement of audio, over turns that are written out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parley_client.messages import Audio, Error, Metrics, ReplyText, TurnEnd, Word
from tests.chaos.ledger import Attempt, Ledger, TurnRecord, spoken_key
from tests.chaos.plan import TurnPlan

TEXT = "One two, three four."
WHOLE, PART = b"\1\2\3\4\5\6", b"\1\2\3\4"


def heard(audio: bytes, *, voice_broke_off: bool, words: str = TEXT) -> TurnRecord:
    """A turn that completed, of which so much audio came, with these words."""
    timed = tuple(Word(word, 0, 1) for word in words.split())
    error = Error("speech_failed", "The voice broke off.", False, "t", 3)
    attempt = Attempt(1)
    attempt.events += [
        ReplyText("t", 1, TEXT),
        Audio("t", 2, audio, "pcm_24000", 0, 1, timed),
        *([error] if voice_broke_off else []),
        TurnEnd("t", 4 if voice_broke_off else 3, "completed", TEXT, Metrics()),
    ]
    return TurnRecord(TurnPlan("Count."), "t", [attempt])


@pytest.mark.parametrize(
    ("audio", "voice_broke_off", "given", "differs"),
    [
        (WHOLE, False, TEXT, 0),
        (PART, False, TEXT, 1),  # some is lost
        (PART, True, TEXT, 0),
        (PART, True, "One two,", 0),  # it broke off before all of the text was given to it
        (PART, False, "One two,", 1),
        (WHOLE[1:], True, TEXT, 1),  # it is something else
        (PART, True, "Three four.", 1),  # it was made of another text
    ],
)
def test_audio_is_what_was_made_of_the_text(
    audio: bytes, voice_broke_off: bool, given: str, differs: int
) -> None:
    ledger = Ledger({spoken_key(given): [WHOLE]})
    ledger.judge(heard(audio, voice_broke_off=voice_broke_off))
    assert ledger.verdict.audio_differs == differs
    assert (ledger.verdict.lost, ledger.verdict.doubled) == (0, 0)


@pytest.mark.parametrize(
    ("audio", "handed_over", "differs"),
    [
        (b"\1\2\3\4\7\7", 1, 0),  # the first voice broke off, and another one spoke the rest
        (b"\1\2\3\4\7\7", 0, 1),  # nobody took over
        (b"\1\2\3\4\7", 1, 1),  # some of the rest is lost
        (b"\\9\7\7", 1, 1),  # the first voice said something else
    ],
)
def test_audio_of_two_voices_is_what_each_made(
    audio: bytes, handed_over: int, differs: int
) -> None:
    ledger = Ledger({spoken_key(TEXT): [WHOLE], spoken_key("three four."): [b"\7\7"]})
    record = heard(audio, voice_broke_off=False)
    assert record.end is not None
    end = replace(record.end, metrics=Metrics(failed_over=handed_over))
    record.attempts[0].events[-1] = end
    ledger.judge(record)
    assert ledger.verdict.audio_differs == differs


@pytest.mark.parametrize(
    ("audio", "voice_broke_off", "differs"),
    [
        (b"\1\2\7\7", False, 0),
        (b"\1\2", False, 1),  # the second part is lost
        (b"\1\2", True, 0),
        (b"\1\2\7", True, 0),
        (b"\7\7\1\2", False, 1),  # in another order
        (b"\1\2\1\2\7\7", False, 1),  # the first part comes twice
        (b"\1\7\7", True, 1),
    ],
)
def test_audio_of_two_parts_is_what_was_made_of_each(
    audio: bytes, voice_broke_off: bool, differs: int
) -> None:
    ledger = Ledger({spoken_key("One two,"): [b"\1\2"], spoken_key("three four."): [b"\7\7"]})
    ledger.judge(heard(audio, voice_broke_off=voice_broke_off))
    assert ledger.verdict.audio_differs == differs


@pytest.mark.parametrize(
    ("words", "voice_broke_off", "differs"),
    [
        ("One two, three four.", False, 0),
        ("One two, two, three four.", False, 1),
        ("One three four.", False, 1),
        ("One two,", False, 1),
        ("One two,", True, 0),
        ("One three", True, 1),
    ],
)
def test_each_word_has_sounded_once(words: str, voice_broke_off: bool, differs: int) -> None:
    ledger = Ledger({spoken_key(TEXT): [WHOLE]})
    ledger.judge(heard(WHOLE, voice_broke_off=voice_broke_off, words=words))
    assert ledger.verdict.words_differ == differs
