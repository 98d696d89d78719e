"""Speech against a scripted server: order, requests in flight, formats, and how it fails."""

from __future__ import annotations

import array
import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from parley.audio.wav import write_wav
from parley.config import DEFAULT_SETTINGS
from parley.errors import ConfigurationError, ProviderError
from parley.protocol.messages import AudioFormat, Settings
from parley.providers.openai_audio import synthesizer as module
from parley.providers.openai_audio.synthesizer import OpenAISpeech, build_synthesizer
from parley.providers.tts import SpeechPiece, SpeechStream
from tests.unit.audio_server import described, error_body, silence, sound
from tests.unit.chat_server import Answer, Endpoint, endpoint, http_client, plain
from tests.unit.fakes import until
from tests.unit.provider_context import build_context
from tests.unit.speech_server import closed_port

RATE_HZ = 24_000
REFUSAL = plain("422 Unprocessable", '{"detail": "speed has to be at least 1"}')


def pcm_of(level: int, samples: int = 2_400) -> bytes:
    return array.array("h", [level] * samples).tobytes()


def wav_of(level: int, rate_hz: int = RATE_HZ) -> bytes:
    return write_wav(pcm_of(level), rate_hz)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as found:
        yield found


def synthesizer(
    client: httpx.AsyncClient, server: Endpoint, model: str = "", **options: Any
) -> OpenAISpeech:
    variables = {"SPEECH_BASE_URL": server.url, "SPEECH_MODEL": model}
    return build_synthesizer(build_context(client, variables, **options))


async def collected(stream: SpeechStream) -> list[SpeechPiece]:
    return [piece async for piece in stream.pieces()]


async def spoken(
    asked: OpenAISpeech,
    *clauses: str,
    settings: Settings = DEFAULT_SETTINGS,
    audio_format: AudioFormat = "pcm_24000",
) -> list[SpeechPiece]:
    stream = await asked.open(audio_format, settings)
    try:
        for clause in clauses or ("Hello.",):
            await stream.speak(clause)
        await stream.finish()
        return await collected(stream)
    finally:
        await stream.close()


def joined(pieces: list[SpeechPiece]) -> bytes:
    return b"".join(piece.pcm for piece in pieces)


async def failed(client: httpx.AsyncClient, answer: Answer) -> ProviderError:
    async with endpoint(answer) as server:
        with pytest.raises(ProviderError) as raised:
            await spoken(synthesizer(client, server))
    return raised.value


async def test_a_clause_is_one_request(client: httpx.AsyncClient) -> None:
    async with endpoint(sound(wav_of(1_000))) as server:
        pieces = await spoken(synthesizer(client, server), "Hello.")
    assert joined(pieces) == pcm_of(1_000)
    assert pieces[-1] == SpeechPiece(b"", None, ends_clause=True)
    (request,) = server.requests
    assert request.line == "POST /v1/audio/speech HTTP/1.1"
    assert request.headers["authorization"] == "Bearer the-key"
    assert request.body == {
        "model": "kokoro",
        "input": "Hello.",
        "voice": DEFAULT_SETTINGS.voice,
        "response_format": "wav",
    }


async def test_clauses_sound_in_their_order(client: httpx.AsyncClient) -> None:
    answers = [sound(wav_of(level)) for level in (1, 2, 3)]
    async with endpoint(*answers) as server:
        pieces = await spoken(synthesizer(client, server), "One.", "Two.", "Three.")
    assert joined(pieces) == pcm_of(1) + pcm_of(2) + pcm_of(3)
    assert [request.body["input"] for request in server.requests] == ["One.", "Two.", "Three."]
    assert [piece.ends_clause for piece in pieces].count(True) == 3
    assert all(piece.pcm for piece in pieces if not piece.ends_clause)


async def test_two_requests_are_in_flight_and_the_quicker_one_waits(
    client: httpx.AsyncClient,
) -> None:
    first, third = asyncio.Event(), asyncio.Event()
    header, rest = wav_of(1)[:1_000], wav_of(1)[1_000:]

    async def slow(writer: asyncio.StreamWriter) -> None:
        size = len(header) + len(rest)
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        writer.write(header)
        await writer.drain()
        await first.wait()
        writer.write(rest)

    async def last(writer: asyncio.StreamWriter) -> None:
        third.set()
        await sound(wav_of(3))(writer)

    async with endpoint(slow, sound(wav_of(2)), last) as server:
        stream = await synthesizer(client, server).open("pcm_24000", DEFAULT_SETTINGS)
        for clause in ("One.", "Two.", "Three."):
            await stream.speak(clause)
        await stream.finish()
        async with asyncio.timeout(10):
            await third.wait()  # the second has ended, so the third is in flight beside the first
            assert len(server.requests) == 3
            first.set()
            pieces = await collected(stream)
        await stream.close()
    assert joined(pieces) == pcm_of(1) + pcm_of(2) + pcm_of(3)


async def test_the_second_request_waits_for_the_first_sound(client: httpx.AsyncClient) -> None:
    gate = asyncio.Event()
    async with endpoint(sound(wav_of(1), gate=gate), sound(wav_of(2))) as server:
        stream = await synthesizer(client, server).open("pcm_24000", DEFAULT_SETTINGS)
        await stream.speak("One.")
        await stream.speak("Two.")
        await stream.finish()
        await until(lambda: server.requests)
        with pytest.raises(TimeoutError):  # no other comes
            async with asyncio.timeout(0.1):
                await until(lambda: len(server.requests) > 1)
        gate.set()
        assert joined(await collected(stream)) == pcm_of(1) + pcm_of(2)
        await stream.close()


async def test_a_clause_that_fails_comes_after_the_sound_before_it(
    client: httpx.AsyncClient,
) -> None:
    async with endpoint(sound(wav_of(1)), plain("500 Oops")) as server:
        stream = await synthesizer(client, server).open("pcm_24000", DEFAULT_SETTINGS)
        await stream.speak("One.")
        await stream.speak("Two.")
        pieces = aiter(stream.pieces())
        found = [await anext(pieces)]
        while not found[-1].ends_clause:
            found.append(await anext(pieces))
        with pytest.raises(ProviderError):
            await anext(pieces)
        await stream.close()
    assert joined(found) == pcm_of(1)


# --- sound ----------------------------------------------------------------------------


def tone(rate_hz: int) -> bytes:
    count = rate_hz // 2
    wave = (round(8_000 * math.sin(2 * math.pi * 440 * i / rate_hz)) for i in range(count))
    return array.array("h", wave).tobytes()


@pytest.mark.parametrize("rate_hz", [22_050, 24_000, 44_100])
@pytest.mark.parametrize("audio_format", ["pcm_16000", "pcm_24000", "pcm_48000"])
async def test_the_rate_is_the_headers(
    client: httpx.AsyncClient, rate_hz: int, audio_format: AudioFormat
) -> None:
    content = write_wav(tone(rate_hz), rate_hz)
    parts = [content[at : at + 999] for at in range(0, len(content), 999)]
    async with endpoint(sound(*parts)) as server:
        pieces = await spoken(synthesizer(client, server), audio_format=audio_format)
    wanted = int(audio_format[4:])
    assert all(len(piece.pcm) % 2 == 0 for piece in pieces)
    found = array.array("h", joined(pieces))
    assert len(found) == wanted // 2
    expected = array.array("h", tone(wanted))
    assert max(abs(a - b) for a, b in zip(found[200:-200], expected[200:-200], strict=True)) < 20


@pytest.mark.parametrize(
    ("kind", "rate_hz"), [("audio/pcm", 24_000), ("audio/L16; rate=22050; channels=1", 22_050)]
)
async def test_bare_samples_are_taken_from_a_server_that_makes_no_wav(
    client: httpx.AsyncClient, kind: str, rate_hz: int
) -> None:
    samples = tone(rate_hz)
    parts = [samples[at : at + 777] for at in range(0, len(samples), 777)]
    async with endpoint(REFUSAL, sound(*parts, kind=kind)) as server:
        asked = synthesizer(client, server)
        for _ in range(2):
            pieces = await spoken(asked)
            assert len(joined(pieces)) == len(tone(24_000))
    assert [r.body["response_format"] for r in server.requests] == ["wav", "pcm", "pcm"]


async def test_a_wav_is_a_wav_also_if_samples_were_asked_for(client: httpx.AsyncClient) -> None:
    async with endpoint(REFUSAL, sound(wav_of(5), kind="audio/pcm")) as server:
        assert joined(await spoken(synthesizer(client, server))) == pcm_of(5)


async def test_an_odd_last_byte_is_dropped_and_the_next_clause_begins_anew(
    client: httpx.AsyncClient,
) -> None:
    odd = sound(pcm_of(7) + b"\x55", kind="audio/pcm")
    async with endpoint(REFUSAL, odd, odd) as server:
        pieces = await spoken(synthesizer(client, server), "One.", "Two.")
    assert joined(pieces) == pcm_of(7) * 2


async def test_silence_around_the_sound_stays(client: httpx.AsyncClient) -> None:
    pcm = bytes(4_800) + pcm_of(9) + bytes(4_800)
    async with endpoint(sound(write_wav(pcm, RATE_HZ))) as server:
        assert joined(await spoken(synthesizer(client, server))) == pcm


# --- requests -------------------------------------------------------------------------


def settings(**chosen: Any) -> Settings:
    return msgspec.structs.replace(DEFAULT_SETTINGS, **chosen)


async def test_the_session_chooses_voice_and_speed(client: httpx.AsyncClient) -> None:
    async with endpoint(sound(wav_of(1))) as server:
        chosen = settings(voice="af_bella+af_sky", speed=1.1)
        await spoken(synthesizer(client, server, "tts-1"), settings=chosen)
        await spoken(synthesizer(client, server), settings=Settings())
    assert server.requests[0].body["voice"] == "af_bella+af_sky"
    assert server.requests[0].body["speed"] == 1.1
    assert server.requests[0].body["model"] == "tts-1"
    assert server.requests[1].body["voice"] == "af_heart"


async def test_a_speed_that_is_refused_is_not_asked_for_again(client: httpx.AsyncClient) -> None:
    async with endpoint(REFUSAL, sound(wav_of(1))) as server:
        notes: list[tuple[str, dict[str, Any]]] = []
        asked = synthesizer(client, server, log=lambda *note: notes.append(note))
        for _ in range(2):
            assert joined(await spoken(asked, settings=settings(speed=0.9))) == pcm_of(1)
    assert ["speed" in request.body for request in server.requests] == [True, False, False]
    ((event, fields),) = notes
    assert event == "speech_request_refused"
    assert "refuses a speed, so" in fields["advice"]


async def test_a_request_that_is_refused_in_every_form_has_failed(
    client: httpx.AsyncClient,
) -> None:
    async with endpoint(REFUSAL) as server:
        with pytest.raises(ProviderError) as raised:
            await spoken(synthesizer(client, server), settings=settings(speed=0.9))
    assert described(raised.value) == ("speech_failed", "refused", "request")
    assert "check VoiceId" in raised.value.cause.advice
    assert len(server.requests) == 4


async def test_a_text_that_is_too_long_is_cut_between_words(client: httpx.AsyncClient) -> None:
    text = "words " * 100
    async with endpoint(sound(wav_of(1))) as server:
        asked = synthesizer(client, server, "canopylabs/orpheus-v1-english")
        pieces = await spoken(asked, text)
    inputs = [request.body["input"] for request in server.requests]
    assert " ".join(inputs) == text.strip()
    assert max(map(len, inputs)) <= 200
    assert [piece.ends_clause for piece in pieces].count(True) == 1


async def test_a_long_text_without_spaces_is_cut_too(client: httpx.AsyncClient) -> None:
    async with endpoint(sound(wav_of(1))) as server:
        await spoken(synthesizer(client, server), "字" * 5_000)
    assert [len(request.body["input"]) for request in server.requests] == [4_096, 904]


async def test_much_sound_at_once_lets_other_work_go_on(client: httpx.AsyncClient) -> None:
    """To another rate, 64 KB at once would take as long as some clients wait for a piece."""
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    many = pcm_of(1_000, 10 * module.PIECE_BYTES)
    async with endpoint(sound(write_wav(many, 16_000))) as server:
        stream = await synthesizer(client, server).open("pcm_24000", DEFAULT_SETTINGS)
        await stream.speak("Hello.")
        await stream.finish()
        other = asyncio.create_task(work())
        seen: list[int] = []
        longest = 0
        async for piece in stream.pieces():
            seen.append(turns)
            longest = max(longest, len(piece.pcm))
        other.cancel()
        await stream.close()
    assert longest <= 2 * module.PIECE_BYTES
    assert len(set(seen)) >= 10


async def test_a_key_that_cannot_be_read_ends_the_reply(client: httpx.AsyncClient) -> None:
    async def unreadable(_name: str) -> str:
        raise OSError("no such secret")

    async with endpoint(sound(wav_of(1))) as server:
        with pytest.raises(OSError, match="no such secret"):
            async with asyncio.timeout(30):
                await spoken(synthesizer(client, server, key=unreadable))


async def test_marks_alone_are_not_asked_for(client: httpx.AsyncClient) -> None:
    async with endpoint(sound(wav_of(1))) as server:
        pieces = await spoken(synthesizer(client, server), "—", "One.")
    assert [request.body["input"] for request in server.requests] == ["One."]
    assert [piece.ends_clause for piece in pieces] == [True, False, True]


async def test_a_reply_without_a_clause_ends(client: httpx.AsyncClient) -> None:
    async with endpoint(silence) as server:
        stream = await synthesizer(client, server).open("pcm_24000", DEFAULT_SETTINGS)
        await stream.finish()
        assert await collected(stream) == []
        await stream.close()


async def test_a_closed_stream_ends_its_requests(client: httpx.AsyncClient) -> None:
    async with endpoint(sound(wav_of(1)[:1_000], then="stall")) as server:
        stream = await synthesizer(client, server).open("pcm_24000", DEFAULT_SETTINGS)
        for clause in ("One.", "Two.", "Three."):
            await stream.speak(clause)
        pieces = stream.pieces()
        await anext(aiter(pieces))
        await until(lambda: len(server.requests) == 2)
        await stream.close()
        await stream.close()
        async with asyncio.timeout(5):
            for task in server.tasks:
                assert task is not None
                await task
        assert len(server.requests) == 2


# --- failures -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (plain("401 Unauthorized"), "unauthorized", "key"),
        (plain("402 Payment Required"), "refused", "quota"),
        (plain("404 Not Found", '{"detail": "Model not found"}'), "refused", "not_found"),
        (plain("429 Too Many Requests"), "rate_limited", "busy"),
        (plain("429 Too Many", error_body(code="insufficient_quota")), "refused", "quota"),
        (plain("400 Bad", error_body(code="voice_not_found")), "refused", "voice"),
        (plain("500 Oops"), "unavailable", "down"),
        (
            plain(
                "200 OK", error_body(code="rate_limit_exceeded"), Content_Type="application/json"
            ),
            "rate_limited",
            "busy",
        ),
        (plain("200 OK", "<html>", Content_Type="text/html"), "invalid", "no_protocol"),
        (plain("200 OK", "", Content_Type="audio/wav"), "empty", "no_sound"),
        (plain("200 OK", "nonsense that is no sound"), "empty", "no_sound"),
        (sound(b"ID3\x04" + bytes(50)), "refused", "compressed"),
        (sound(b"\xff\xfb\x90\x44" + bytes(50)), "refused", "compressed"),
        (sound(b"\x00" * 50, kind="audio/mpeg"), "refused", "compressed"),
        (sound(wav_of(1)[:999], then="cut"), "unavailable", "connection_lost"),
        (sound(wav_of(1)[:999]), "unavailable", "connection_lost"),
    ],
)
async def test_a_failure_says_why(
    client: httpx.AsyncClient, answer: Answer, kind: str, reason: str
) -> None:
    error = await failed(client, answer)
    assert described(error) == ("speech_failed", kind, reason)
    assert "secret" not in str(error.cause)


async def test_a_limit_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    error = await failed(client, plain("429 Too Many Requests", Retry_After="7"))
    assert error.retry_after_ms == 7_000


@pytest.mark.parametrize("answer", [silence, sound(wav_of(1)[:999], then="stall")])
async def test_a_server_that_stalls_is_given_up(
    client: httpx.AsyncClient, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "timeout_of", lambda _seconds: httpx.Timeout(0.1))
    assert described(await failed(client, answer)) == ("speech_failed", "timeout", "timeout")


async def test_a_failure_never_repeats_what_was_said(client: httpx.AsyncClient) -> None:
    said = plain("500 Oops", error_body(code="Hello_my_name_is_Alice"))
    async with endpoint(said) as server:
        with pytest.raises(ProviderError) as raised:
            await spoken(synthesizer(client, server), "Hello, my name is Alice.")
    assert "Alice" not in str(raised.value.cause)


async def test_nobody_listens(client: httpx.AsyncClient) -> None:
    server = Endpoint([], f"http://127.0.0.1:{closed_port()}/v1")
    with pytest.raises(ProviderError) as raised:
        await spoken(synthesizer(client, server))
    assert raised.value.cause.reason == "connection_refused"


# --- the deployment -------------------------------------------------------------------


def built(**variables: str) -> OpenAISpeech:
    return build_synthesizer(build_context(None, variables))


def test_it_needs_an_address() -> None:
    with pytest.raises(ConfigurationError, match="openai_speech needs SpeechBaseUrl"):
        built()


def test_the_model_and_the_rules_follow_the_host() -> None:
    groq = built(SPEECH_BASE_URL="https://api.groq.com/openai/v1/")
    assert groq._endpoint.model == "canopylabs/orpheus-v1-english"
    assert groq.rules.hedge_after_s == 0
    local = built(SPEECH_BASE_URL="http://10.0.0.5:8880/v1")
    assert local._endpoint.model == "kokoro"
    assert local.rules.hedge_after_s > local.rules.timeout_s
    assert built(SPEECH_BASE_URL="http://[broken/v1").rules == local.rules
