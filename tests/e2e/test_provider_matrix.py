"""Every transcriber, responder and synthesizer that may be combined holds a conversation.

Each combination runs a typed, a spoken and an interrupted turn, with the providers' own adapters
against their stand-ins, over a table in memory. So many combinations that every provider is in one
run them through the whole stack; with `MATRIX=whole` (`make matrix`) all do.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from dev.providers import variable
from parley.clock import now_ms
from parley.config import Deployment
from parley.protocol.messages import Audio, ServerEvent, Transcript
from parley.providers import registry
from parley.providers.context import ProviderContext
from parley.storage.inbox_entries import ChunkEntry, EndEntry
from parley_client import Audio as ClientAudio
from parley_client import Conversation, Word, heard_text
from tests.e2e.matrix import ALL, TOKEN_DELAYS, Combination, all_keys, control_of, cover
from tests.e2e.raw import pcm_chunks
from tests.e2e.records import Records
from tests.e2e.stack import Stack, Standins, running_stack
from tests.unit.memory import REF
from tests.unit.stage import Stage

pytestmark = pytest.mark.timeout(300)
QUESTION = "What is two plus three?"
ANSWER = "Two plus three is five."
STORY = "Tell me a story about the sea."
PLAYED_MS = 1_000.0
RATE_HZ = 24_000
"""Of a reply's audio, unless a deployment chooses another format."""
ON_THE_STACK = ALL if os.environ.get("MATRIX") == "whole" else cover()
LONGEST_TURN_S = 60
"""The recogniser takes its time on a busy machine."""


class Sound:
    """What a synthesizer's stand-in has made since the last look."""

    def __init__(self, combination: Combination, standins: Standins) -> None:
        self._control = control_of("synthesizer", combination.synthesizer, standins)
        self._seen = 0
        self.take()

    def take(self) -> bytes:
        """All of it, a request after the other."""
        found = [each["id"] for each in self._control.requests() if each["id"] > self._seen]
        self._seen = max(found, default=self._seen)
        return b"".join(samples(self._control.audio(each, "out")) for each in found)


def samples(audio: bytes) -> bytes:
    """PCM as it was made, without the header of a WAV file."""
    if not audio.startswith(b"RIFF"):
        return audio
    header, _, sound = audio.partition(b"data")
    rate_hz = int.from_bytes(header[24:28], "little")
    assert rate_hz == RATE_HZ, "it would be resampled, and not be the same"
    return sound[4:]


def plain(text: str) -> list[str]:
    """The words, as every recogniser has them."""
    return re.findall(r"[a-z0-9']+", text.lower())


def check_heard(
    combination: Combination,
    text: str,
    heard: str | None,
    words: Sequence[Word],
    *,
    estimated: bool,
) -> None:
    """What counts as heard is the words that had sounded, and a beginning of the reply. Where no
    times of words came, it is said to be an estimate."""
    has_times = registry.SYNTHESIZERS[combination.synthesizer].has_times
    if has_times:
        assert words
        assert heard == heard_text(text, words, PLAYED_MS)
    assert heard
    assert text.startswith(heard)
    assert len(heard) < len(text)
    assert estimated is not has_times


@pytest.fixture(scope="module")
def slow_talkers(standins: Standins) -> Iterator[None]:
    """Models whose replies last long enough to be interrupted."""
    standins.reset()
    for standin, delays in TOKEN_DELAYS.items():
        if standin == "llm" or standin in standins.urls:
            control = standins.llm if standin == "llm" else standins.control(standin)
            control.put(delays=dict(delays))
    yield
    standins.reset()


@pytest.fixture(scope="module")
def question(speech: Callable[[str], bytes]) -> bytes:
    """A question, spoken."""
    return speech(QUESTION)


# --- turn by turn -----------------------------------------------------------------------------


class Talk:
    """A session of one combination, whose turns run in this process."""

    def __init__(self, combination: Combination, standins: Standins, stage: Stage) -> None:
        self._combination = combination
        self._sound = Sound(combination, standins)
        self._stage = stage

    async def turn(self, turn_id: str, text: str | None) -> list[ServerEvent]:
        """Hold a turn whose audio is what was synthesised; its events."""
        self._forget()
        await self._stage.run(text, turn_id)
        return self._stage.wire.events

    def _forget(self) -> None:
        self._stage.wire.events, self._stage.wire.addresses = [], []

    async def answered(self, turn_id: str, text: str | None) -> None:
        """Hold a turn that gets the right answer, said as it was synthesised."""
        events = await self.turn(turn_id, text)
        assert self._stage.errors == [], self._stage.logged
        assert self._stage.wire.end.reason == "completed"
        assert self._stage.text == ANSWER
        # A transcriber that takes an end for likely has a reply begun, which may be void: unheard.
        assert self._sound.take().endswith(self._stage.audio)
        assert self._stage.audio
        if text is None:
            transcripts = [e.text for e in events if isinstance(e, Transcript) and e.final]
            assert [plain(each) for each in transcripts] == [plain(QUESTION)]

    def speak(self, turn_id: str, pcm: bytes) -> None:
        """Put an utterance into the inbox."""
        inboxes = self._stage.store.inboxes
        chunks = pcm_chunks(pcm)
        for seq, audio in enumerate(chunks, 1):
            inboxes.put_chunk(REF, turn_id, ChunkEntry(seq, audio))
        inboxes.put_end(REF, turn_id, EndEntry(len(chunks), now_ms()))

    async def interrupted(self, turn_id: str) -> None:
        """Hold a turn that is interrupted when a second of it has been played."""
        self._forget()
        task = asyncio.create_task(self.turn(turn_id, STORY))
        async with asyncio.timeout(LONGEST_TURN_S):
            while sum(e.duration_ms for e in self._stage.wire.of(Audio)) < PLAYED_MS:
                assert not task.done(), "the reply was over before it could be interrupted"
                await asyncio.sleep(0.01)
        self._stage.interrupt(PLAYED_MS, turn_id)
        await task
        end = self._stage.wire.end
        assert end.reason == "interrupted"
        words = [
            Word(word.text, word.start_ms, word.end_ms)
            for event in self._stage.wire.of(Audio)
            for word in event.words
        ]
        check_heard(self._combination, end.text, end.heard, words, estimated=end.heard_estimated)
        assert self._sound.take().startswith(self._stage.audio)
        assert self._stage.history_texts[-1] == ("assistant", end.text, end.heard)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """What all providers of an environment share."""
    async with httpx.AsyncClient() as shared:
        yield shared


@pytest.fixture
def stage(
    combination: Combination,
    standins: Standins,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    """A session whose providers are the real adapters."""
    monkeypatch.setattr("tests.unit.stage.DEADLINE_S", LONGEST_TURN_S)
    # It would open one of its own, which nobody closes.
    monkeypatch.setattr("parley.providers.n8n.responder.open_client", lambda _context: client)
    keys = {variable(name).lower(): key for name, key in all_keys().items()}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # a role's key is made of them
        monkeypatch.setenv(name, "none")
    surroundings = {"TABLE_NAME": "t", "AWS_REGION": "us-east-1"}
    variables = {**surroundings, **combination.variables(standins)}
    deployment = replace(Deployment.from_environment(variables), hedge_after_s=60.0)

    async def read_key(name: str) -> str:
        return keys.get(name, "x" * 32)

    def log(_event: str, _fields: dict[str, Any]) -> None:
        """Say nothing: the stage's own log has what the turn says."""

    context = ProviderContext(variables, read_key, client, deployment.defaults, 30.0, log)
    made = Stage(
        transcriber=cast(Any, registry.build_transcriber(combination.transcriber, context)),
        responder=cast(Any, registry.build_responder(combination.responder, context)),
        synthesizer=cast(Any, registry.build_synthesizer(combination.synthesizer, context)),
    )
    made.deployment = deployment
    return made


@pytest.mark.parametrize("combination", ALL, ids=str)
@pytest.mark.usefixtures("slow_talkers")
async def test_a_combination_converses(
    combination: Combination, standins: Standins, question: bytes, stage: Stage
) -> None:
    talk = Talk(combination, standins, stage)
    await talk.answered("typed", QUESTION)
    talk.speak("spoken", question)
    await talk.answered("spoken", None)
    await talk.interrupted("interrupted")
    said = [(role, plain(text)) for role, text, _ in stage.history_texts]
    turn = [("user", plain(QUESTION)), ("assistant", plain(ANSWER))]
    assert said[:4] == [*turn, *turn]


# --- through the whole stack ------------------------------------------------------------------


@pytest.fixture(scope="module")
def any_stack(tmp_path_factory: pytest.TempPathFactory, standins: Standins) -> Iterator[Stack]:
    """A stack that has every vendor's key, and is told of each test's combination."""
    parameters = {
        **all_keys(),
        "ProviderTimeoutSeconds": "30",
        "HedgeAfterSeconds": "60",
        "TurnsPerMinutePerTenant": "0",
        "SessionsPerMinutePerTenant": "0",
    }
    folder = tmp_path_factory.mktemp("any")
    with running_stack(folder, parameters=parameters, standins=standins) as stack:
        yield stack


@pytest.mark.parametrize("combination", ON_THE_STACK, ids=str)
@pytest.mark.usefixtures("slow_talkers")
async def test_a_combination_converses_through_the_whole_stack(
    combination: Combination, any_stack: Stack, question: bytes
) -> None:
    any_stack.set_variables("TurnFunction", combination.variables(any_stack.standins))
    sound = Sound(combination, any_stack.standins)
    async with Conversation.connect(any_stack.url) as conversation:
        typed = await conversation.say(QUESTION)
        assert (typed.reason, typed.text) == ("completed", ANSWER)
        assert typed.audio == sound.take()

        spoken = await conversation.speak(question)
        assert (spoken.reason, spoken.text) == ("completed", ANSWER)
        assert plain(spoken.transcript or "") == plain(QUESTION)
        assert spoken.audio
        assert sound.take().endswith(spoken.audio)  # before it, what was begun in vain

        turn, come_ms = conversation.say(STORY), 0.0
        async for event in turn:
            come_ms += event.duration_ms if isinstance(event, ClientAudio) else 0
            if come_ms >= PLAYED_MS:
                break
        await turn.interrupt(PLAYED_MS)
        cut = await turn
        assert cut.reason == "interrupted"
        check_heard(combination, cut.text, cut.heard, cut.words, estimated=cut.heard_estimated)
        assert sound.take().startswith(cut.audio)

        answer = await Records(any_stack).ask(
            f"/sessions/{conversation.session_id}",
            Accept="application/json",
            X_Resume_Token=conversation.resume_token,
        )
    *before, last = answer.json["messages"]
    assert [plain(message["text"]) for message in before[1::2]] == [plain(ANSWER)] * 2
    assert (last["text"], last.get("heard")) == (cut.text, cut.heard)
