"""The ledger's own judgement of audio, over turns that are written out."""

from __future__ import annotations

import pytest

from parley_client.messages import Audio, Error, Metrics, ReplyText, TurnEnd
from tests.chaos.ledger import Attempt, Ledger, TurnRecord, spoken_key
from tests.chaos.plan import TurnPlan

TEXT = "One two, three four."
WHOLE, PART = b"\1\2\3\4\5\6", b"\1\2\3\4"


def heard(audio: bytes, *, voice_broke_off: bool) -> TurnRecord:
    """A turn that completed, of which so much audio came."""
    error = Error("speech_failed", "The voice broke off.", False, "t", 3)
    attempt = Attempt(1)
    attempt.events += [
        ReplyText("t", 1, TEXT),
        Audio("t", 2, audio, "pcm_24000", 0, 1),
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
