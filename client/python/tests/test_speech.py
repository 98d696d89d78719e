"""Spoken turns of the client: every byte, in time, and again when lost."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from functools import partial

import pytest

from parley_client import (
    AnswerTimeout,
    BadAudio,
    BadInput,
    Conversation,
    ServerError,
    Timeouts,
    Transcript,
    TurnFailed,
)
from parley_client.chunker import PcmSource
from parley_client.messages import AudioFormat, Endpointing
from parley_client.mulaw import encode_mulaw
from scripted_server import (
    DEADLINE_S,
    READY,
    Json,
    Peer,
    ScriptedServer,
    reply_events,
    tone,
    turn_end,
)
from tests.quickest import quickest


class Listener:
    """Transcribes a spoken turn into how many bytes it had, once all chunks are there."""

    def __init__(self) -> None:
        self.heard: dict[int, bytes] = {}
        self.expected: int | None = None

    def attach(self, server: ScriptedServer) -> None:
        server.on("audio_chunk", self.chunk)
        server.on("audio_end", self.end)

    @property
    def pcm(self) -> bytes:
        return b"".join(self.heard[seq] for seq in sorted(self.heard))

    async def chunk(self, peer: Peer, message: Json) -> None:
        self.heard[message["seq"]] = base64.b64decode(message["audio"])
        await self.answer_if_whole(peer, message["turn_id"])

    async def end(self, peer: Peer, message: Json) -> None:
        self.expected = message["chunks"]
        await self.answer_if_whole(peer, message["turn_id"])

    async def answer_if_whole(self, peer: Peer, turn_id: str) -> None:
        if self.expected is None or len(self.heard) < self.expected:
            return
        text = f"{len(self.pcm)} bytes"
        await peer.send(
            {"type": "transcript", "turn_id": turn_id, "seq": 1, "text": text, "final": True},
            *reply_events(turn_id, f"I heard {text}.", first_seq=2),
        )


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        yield running


@pytest.fixture
def listener(server: ScriptedServer) -> Listener:
    listening = Listener()
    listening.attach(server)
    return listening


def whole(pcm: bytes) -> PcmSource:
    return pcm


def in_pieces(pcm: bytes) -> PcmSource:
    return (pcm[i : i + 333] for i in range(0, len(pcm), 333))


async def _live(pcm: bytes) -> AsyncIterator[bytes]:
    for i in range(0, len(pcm), 777):
        yield pcm[i : i + 777]
        await asyncio.sleep(0)


def live(pcm: bytes) -> PcmSource:
    return _live(pcm)


@pytest.mark.parametrize("source", [whole, in_pieces, live])
async def test_every_byte_arrives_in_chunks_of_100_ms(
    server: ScriptedServer, listener: Listener, source: object
) -> None:
    pcm = tone("The quick brown fox jumps over the dog")
    assert callable(source)
    async with Conversation.connect(server.url) as conversation:
        reply = await conversation.speak(source(pcm), real_time=False)
    assert listener.pcm == pcm
    assert reply.transcript == f"{len(pcm)} bytes"
    assert reply.text == f"I heard {len(pcm)} bytes."
    [start] = server.messages("audio_start")
    assert (start["format"], start["endpointing"]) == ("pcm_16000", "manual")
    sent = server.messages("audio_chunk")
    assert [chunk["seq"] for chunk in sent] == list(range(1, len(sent) + 1))
    assert {len(chunk) for seq, chunk in listener.heard.items() if seq < len(sent)} == {3_200}
    assert server.messages("audio_end")[0]["chunks"] == len(sent)


async def test_real_time_speech_takes_as_long_as_it_sounds(
    server: ScriptedServer, listener: Listener
) -> None:
    pcm = tone("x" * 48)  # 500 ms

    async def late_s() -> float:
        server.got.clear()
        async with Conversation.connect(server.url) as conversation:
            reply = await conversation.speak(pcm, chunk_ms=20)
        at_s = [got.at_s for got in server.got if got.message["type"] == "audio_chunk"]
        start_s = next(got.at_s for got in server.got if got.message["type"] == "audio_start")
        assert len(at_s) == 25
        for index, arrived_s in enumerate(at_s, 1):
            assert arrived_s - start_s >= 0.020 * index - 0.005
        assert reply.timings.transcript_ms is not None
        assert reply.timings.transcript_ms > 0
        # It counts from audio_end, not from the start.
        return max(at_s[-1] - start_s - 0.500, reply.timings.transcript_ms / 1000)

    assert await quickest(late_s, 0.150) < 0.150


async def test_transcripts_come_while_the_speech_is_still_being_sent(
    server: ScriptedServer,
) -> None:
    gate = asyncio.Event()

    async def microphone() -> AsyncIterator[bytes]:
        yield bytes(3_200)
        await gate.wait()
        yield bytes(3_200)

    async def guess(peer: Peer, message: Json) -> None:
        if message["seq"] == 1:
            await peer.send(
                {
                    "type": "transcript",
                    "turn_id": message["turn_id"],
                    "seq": 1,
                    "text": "What",
                    "final": False,
                }
            )

    async def reply(peer: Peer, message: Json) -> None:
        await peer.send(*reply_events(message["turn_id"], "Well.", first_seq=2))

    server.on("audio_chunk", guess)
    server.on("audio_end", reply)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(microphone())
        first = await anext(aiter(turn))
        assert isinstance(first, Transcript)
        assert (first.text, server.messages("audio_end")) == ("What", [])
        gate.set()
        assert (await turn).text == "Well."


async def test_lost_chunks_are_sent_again(server: ScriptedServer, listener: Listener) -> None:
    pcm = tone("lost and found, and lost again")
    lost = {2, 3}

    async def lossy(peer: Peer, message: Json) -> None:
        if message["seq"] in lost:
            lost.discard(message["seq"])
        else:
            await listener.chunk(peer, message)

    async def complain(peer: Peer, message: Json) -> None:
        await listener.end(peer, message)
        await peer.send(
            {
                "type": "error",
                "code": "audio_gap",
                "message": "Chunks 2 and 3 are missing.",
                "retryable": True,
                "turn_id": message["turn_id"],
                "missing": [2, 3],
            }
        )

    server.on("audio_chunk", lossy)
    server.on("audio_end", complain)
    async with Conversation.connect(server.url) as conversation:
        reply = await conversation.speak(pcm, real_time=False)
    assert listener.pcm == pcm
    assert reply.transcript == f"{len(pcm)} bytes"


async def test_with_server_vad_the_final_transcript_ends_the_sending(
    server: ScriptedServer,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(640)

    async def hear(peer: Peer, message: Json) -> None:
        if message["seq"] == 3:
            turn_id = message["turn_id"]
            await peer.send(
                {"type": "transcript", "turn_id": turn_id, "seq": 1, "text": "Hi", "final": True}
            )

    async def reply(peer: Peer, message: Json) -> None:
        await peer.send(*reply_events(message["turn_id"], "Hi yourself.", first_seq=2))

    server.on("audio_chunk", hear)
    server.on("audio_end", reply)
    async with Conversation.connect(server.url) as conversation:
        reply_ = await conversation.speak(endless(), endpointing="server_vad", chunk_ms=20)
    assert (reply_.transcript, reply_.text) == ("Hi", "Hi yourself.")
    assert reply_.timings.transcript_ms == 0
    sent = server.messages("audio_chunk")
    assert server.messages("audio_end")[0]["chunks"] == len(sent) < 50


class Microphone:
    """Hears silence, until nobody listens any more."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(640)
                await asyncio.sleep(0.001)
        finally:
            self.let_go.set()


async def fail_at_3(peer: Peer, message: Json, *, retryable: bool) -> None:
    if message["seq"] == 3:
        why = {"reason": "failed", "code": "transcription_failed", "retryable": retryable}
        await peer.send(turn_end(message["turn_id"], 1, "", **why))


@pytest.mark.parametrize(
    ("endpointing", "retryable"), [("manual", False), ("server_vad", True), ("server_vad", False)]
)
async def test_nobody_listens_to_a_turn_that_failed_for_good_or_whose_end_is_the_servers(
    server: ScriptedServer, endpointing: Endpointing, retryable: bool
) -> None:
    server.on("audio_chunk", partial(fail_at_3, retryable=retryable))
    microphone = Microphone()
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(microphone, endpointing=endpointing, chunk_ms=20)
        with pytest.raises(TurnFailed):
            await turn
        async with asyncio.timeout(DEADLINE_S):
            await microphone.let_go.wait()
    assert server.messages("audio_end") == []


async def test_nobody_listens_to_a_turn_that_was_refused_for_good(server: ScriptedServer) -> None:
    async def refuse(peer: Peer, message: Json) -> None:
        why = {"code": "bad_request", "message": "No.", "retryable": False}
        await peer.send({"type": "error", "turn_id": message["turn_id"], **why})

    server.on("audio_start", refuse)
    microphone = Microphone()
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(TurnFailed, match="No"):
            await conversation.speak(microphone)
        async with asyncio.timeout(DEADLINE_S):
            await microphone.let_go.wait()


async def test_a_turn_tried_again_at_once_is_heard_until_the_server_has_heard_enough(
    server: ScriptedServer,
) -> None:
    async def hear(peer: Peer, message: Json) -> None:
        if message["seq"] == 3 and len(server.messages("audio_start")) == 1:
            await fail_at_3(peer, message, retryable=True)
        elif message["seq"] == 9:
            turn_id, more = message["turn_id"], {"attempt": 2, "text": "Hi", "final": True}
            await peer.send({"type": "transcript", "turn_id": turn_id, "seq": 1, **more})

    async def reply(peer: Peer, message: Json) -> None:
        events = reply_events(message["turn_id"], "Hi yourself.", first_seq=2)
        await peer.send(*({**event, "attempt": 2} for event in events))

    server.on("audio_chunk", hear)
    server.on("audio_end", reply)
    microphone = Microphone()
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(microphone, endpointing="server_vad", chunk_ms=20)
        with pytest.raises(TurnFailed):
            await turn
        assert (await turn.retry()).text == "Hi yourself."
        async with asyncio.timeout(DEADLINE_S):
            await microphone.let_go.wait()


async def test_a_microphone_that_fails_stops_the_turn_on_both_sides(
    server: ScriptedServer, listener: Listener
) -> None:
    async def unplugged() -> AsyncIterator[bytes]:
        yield bytes(3_200)
        raise OSError("the microphone was unplugged")

    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(unplugged(), real_time=False)
        with pytest.raises(OSError, match="unplugged"):
            await turn
        interrupt = await server.wait_for("interrupt")
        assert interrupt["turn_id"] == turn.turn_id
    assert server.messages("audio_end") == []


async def test_silence_is_answered_by_the_server_and_not_guessed(server: ScriptedServer) -> None:
    async def nothing(peer: Peer, message: Json) -> None:
        await peer.send(
            {
                "type": "error",
                "code": "no_speech",
                "message": "Nothing was said.",
                "retryable": True,
                "turn_id": message["turn_id"],
            }
        )

    server.on("audio_end", nothing)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(ServerError, match=r"Nothing was said\."):
            await conversation.speak(b"")
    assert server.messages("audio_end")[0]["chunks"] == 0


async def test_a_gateway_error_during_speech_is_told_when_no_answer_comes(
    server: ScriptedServer,
) -> None:
    async def crash(peer: Peer, message: Json) -> None:
        await peer.send({"message": "Internal server error", "connectionId": "c", "requestId": "r"})

    server.on("audio_start", crash)
    timeouts = Timeouts(answer_s=0.1)
    async with Conversation.connect(server.url, timeouts=timeouts) as conversation:
        with pytest.raises(AnswerTimeout, match=r"Nothing came .* “Internal server error”"):
            await conversation.speak(bytes(320), real_time=False)


@pytest.mark.parametrize("chunk_ms", [0, -5, 700])
async def test_chunks_of_a_length_that_cannot_be_sent_are_refused(
    server: ScriptedServer, chunk_ms: int
) -> None:
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(BadAudio, match="1 to 640 ms of pcm_16000 can"):
            conversation.speak(bytes(320), chunk_ms=chunk_ms)


async def test_an_unknown_format_is_refused_with_the_known_ones(server: ScriptedServer) -> None:
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(BadAudio, match=r"'mp3_44100' is not one of pcm_8000, pcm_16000"):
            conversation.speak(b"", format="mp3_44100")  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    ("companding", "speech_formats", "format", "sent"),
    [
        (True, ["pcm_16000", "mulaw_16000"], "pcm_16000", "mulaw_16000"),
        (False, ["pcm_16000", "mulaw_16000"], "pcm_16000", "pcm_16000"),
        (True, ["pcm_16000", "pcm_24000", "mulaw_16000"], "pcm_24000", "pcm_24000"),
        (True, ["pcm_16000"], "pcm_16000", "pcm_16000"),
        (True, None, "pcm_16000", "pcm_16000"),
    ],
)
async def test_speech_is_coded_as_the_server_takes_it(
    server: ScriptedServer,
    listener: Listener,
    companding: bool,
    speech_formats: list[str] | None,
    format: AudioFormat,
    sent: str,
) -> None:
    choices: Json = {"settings": [], "voices": [], "languages": []}
    if speech_formats is not None:
        choices["speech_formats"] = speech_formats

    async def ready(peer: Peer, _message: Json) -> None:
        await peer.send({**READY, "choices": choices})

    server.on("init", ready)
    pcm = tone("the quick brown fox")
    async with Conversation.connect(server.url) as conversation:
        await conversation.speak(pcm, format=format, real_time=False, companding=companding)
    chunks = [base64.b64decode(each["audio"]) for each in server.messages("audio_chunk")]
    assert [start["format"] for start in server.messages("audio_start")] == [sent]
    assert b"".join(chunks) == (encode_mulaw(pcm) if sent == "mulaw_16000" else pcm)
    assert max(map(len, chunks)) <= READY["limits"]["max_chunk_bytes"]


async def test_an_end_that_the_server_does_not_find_is_refused_before_anything_is_sent(
    server: ScriptedServer, listener: Listener
) -> None:
    choices = {"settings": [], "voices": [], "languages": ["en"], "endpointing": ["manual"]}

    async def ready(peer: Peer, _message: Json) -> None:
        await peer.send({**READY, "choices": choices})

    server.on("init", ready)
    async with Conversation.connect(server.url) as conversation:
        with pytest.raises(BadInput, match=r"takes the endpointing manual only, not 'server_vad'"):
            conversation.speak(tone("x"), endpointing="server_vad")
        assert (await conversation.speak(tone("x"), real_time=False)).transcript
    assert [start["endpointing"] for start in server.messages("audio_start")] == ["manual"]


async def test_a_reply_says_which_language_it_is_in(server: ScriptedServer) -> None:
    async def end(peer: Peer, message: Json) -> None:
        about = {"turn_id": message["turn_id"]}
        text = {"text": "Guten Tag.", "final": True, "language": "de"}
        await peer.send(
            {"type": "transcript", **about, "seq": 1, **text},
            {**turn_end(message["turn_id"], 2, "Ja."), "language": "de"},
        )

    server.on("audio_end", end)
    async with Conversation.connect(server.url) as conversation:
        turn = conversation.speak(tone("x"), real_time=False)
        heard = [event.language async for event in turn if isinstance(event, Transcript)]
        assert (await turn).language == "de"
    assert heard == ["de"]
