"""The official ElevenLabs SDK against the stand-in: the contract that both keep."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from elevenlabs import VoiceSettings
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.errors import UnprocessableEntityError
from elevenlabs.realtime import AudioFormat, CommitStrategy, RealtimeEvents, ScribeRealtime

from standins_tests.conftest import KEY, VOICE, Standin


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """The SDK leaves the connections of its own client open."""
    with httpx.Client() as client:
        yield client


@pytest.fixture
def sdk(elevenlabs: Standin, http: httpx.Client) -> ElevenLabs:
    return ElevenLabs(api_key=KEY, base_url=elevenlabs.url, timeout=20, httpx_client=http)


SDK_DEPRECATIONS = pytest.mark.filterwarnings(
    "ignore:ConnectionClosed:DeprecationWarning"  # the SDK reads what websockets deprecated
)


def plain_websockets(sdk: ElevenLabs) -> None:
    """The SDK makes this URL wss, whatever its base URL says."""
    speech = sdk.text_to_speech
    speech._ws_base_url = speech._ws_base_url.replace("wss", "ws")


def as_wav(pcm: bytes, rate_hz: int = 16_000) -> bytes:
    output = io.BytesIO()
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return output.getvalue()


def test_streamed_speech_is_what_the_stand_in_recorded(
    sdk: ElevenLabs, elevenlabs: Standin
) -> None:
    stream = sdk.text_to_speech.stream(
        VOICE, text="Good morning, Alice.", output_format="pcm_16000", model_id="eleven_flash_v2_5"
    )
    audio = b"".join(stream)
    assert 16_000 < len(audio) < 100_000
    (record,) = elevenlabs.records()
    assert elevenlabs.audio(record["id"], "out") == audio
    assert record["body"]["text"] == "Good morning, Alice."
    assert KEY not in str(record)


def test_the_default_format_is_mp3(sdk: ElevenLabs) -> None:
    audio = b"".join(sdk.text_to_speech.convert(VOICE, text="Good morning."))
    assert audio[0] == 0xFF
    assert audio[1] & 0xE0 == 0xE0


async def test_the_async_client_streams(elevenlabs: Standin) -> None:
    async with httpx.AsyncClient() as http:
        client = AsyncElevenLabs(api_key=KEY, base_url=elevenlabs.url, httpx_client=http)
        stream = client.text_to_speech.stream(VOICE, text="Hello.", output_format="pcm_24000")
        assert sum([len(chunk) async for chunk in stream]) > 24_000


def test_timestamps_cover_every_character_in_order(sdk: ElevenLabs) -> None:
    text = "Good morning. How are you?"
    characters: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    for chunk in sdk.text_to_speech.stream_with_timestamps(
        VOICE, text=text, output_format="pcm_16000"
    ):
        assert chunk.audio_base_64
        if chunk.alignment:
            characters += chunk.alignment.characters
            starts += chunk.alignment.character_start_times_seconds
            ends += chunk.alignment.character_end_times_seconds
    assert "".join(characters) == text
    assert starts == sorted(starts)
    assert all(start <= end for start, end in zip(starts, ends, strict=True))


def test_speech_converted_with_timestamps_comes_at_once(sdk: ElevenLabs) -> None:
    answer = sdk.text_to_speech.convert_with_timestamps(
        VOICE, text="Hello.", output_format="pcm_16000"
    )
    assert answer.alignment
    assert "".join(answer.alignment.characters) == "Hello."


@SDK_DEPRECATIONS
def test_realtime_conversion_speaks_what_comes_in_bits(sdk: ElevenLabs) -> None:
    plain_websockets(sdk)

    def bits() -> Iterator[str]:
        yield from [
            "The",
            "quick",
            "brown",
            "fox",
            "jumps",
            "over",
            "the",
            "lazy",
            "dog,",
            "and",
            "then",
            "it",
            "sleeps.",
        ]

    audio = b"".join(
        sdk.text_to_speech.convert_realtime(
            VOICE, text=bits(), model_id="eleven_flash_v2_5", output_format="pcm_16000"
        )
    )
    assert 2 * 32_000 < len(audio) < 8 * 32_000


@SDK_DEPRECATIONS
def test_realtime_conversion_with_an_unknown_voice_is_an_api_error(sdk: ElevenLabs) -> None:
    plain_websockets(sdk)
    stream = sdk.text_to_speech.convert_realtime(
        "nobody", text=iter(["Hello "]), model_id="eleven_flash_v2_5", output_format="pcm_16000"
    )
    with pytest.raises(ApiError) as refused:
        list(stream)
    # The frame's body or, where the server's close came first, its reason.
    assert "not found" in str(refused.value.body)


async def test_scribe_realtime_transcribes(
    elevenlabs: Standin, speech: Callable[..., bytes]
) -> None:
    pcm = speech("What time is it?")
    connection = await ScribeRealtime(KEY, elevenlabs.url).connect(
        {
            "model_id": "scribe_v2_realtime",
            "audio_format": AudioFormat.PCM_16000,
            "sample_rate": 16_000,
            "commit_strategy": CommitStrategy.MANUAL,
        }
    )
    understood = asyncio.Event()
    committed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    connection.on(RealtimeEvents.PARTIAL_TRANSCRIPT, lambda _: understood.set())
    connection.on(
        RealtimeEvents.COMMITTED_TRANSCRIPT, lambda data: committed.set_result(data["text"])
    )
    try:
        for at in range(0, len(pcm), 3200):
            await connection.send({"audio_base_64": base64.b64encode(pcm[at : at + 3200]).decode()})
        await asyncio.wait_for(understood.wait(), 10)
        await connection.commit()
        assert await asyncio.wait_for(committed, 10) == "What time is it?"
    finally:
        await connection.close()
    assert elevenlabs.audio(elevenlabs.ended_record()["id"], "in") == pcm


@pytest.mark.parametrize("declared", ["en", "de"])
async def test_scribe_realtime_says_which_language_it_hears(
    elevenlabs: Standin, speech: Callable[..., bytes], declared: str
) -> None:
    elevenlabs.put(oddities={"stt_language": declared, "stt_language_ms": 20})
    connection = await ScribeRealtime(KEY, elevenlabs.url).connect(
        {
            "model_id": "scribe_v2_realtime",
            "audio_format": AudioFormat.PCM_16000,
            "sample_rate": 16_000,
            "commit_strategy": CommitStrategy.MANUAL,
            "include_language_detection": True,
        }
    )
    heard: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    connection.on(RealtimeEvents.COMMITTED_TRANSCRIPT_WITH_TIMESTAMPS, heard.set_result)
    try:
        pcm = speech("What time is it?")
        await connection.send({"audio_base_64": base64.b64encode(pcm).decode()})
        await connection.commit()
        found = await asyncio.wait_for(heard, 30)
    finally:
        await connection.close()
    assert (found["text"], found["language_code"]) == ("What time is it?", declared)


def test_batch_transcription_hears_a_wav_file(
    sdk: ElevenLabs, speech: Callable[..., bytes]
) -> None:
    pcm = speech("How many days are in a week?", rate=24_000)
    answer: Any = sdk.speech_to_text.convert(
        model_id="scribe_v2", file=("a.wav", as_wav(pcm, 24_000), "audio/wav")
    )
    assert answer.text == "How many days are in a week?"
    assert "".join(word.text for word in answer.words) == answer.text
    assert answer.words[-1].end <= answer.audio_duration_secs


def test_voices_and_models_are_listed(sdk: ElevenLabs) -> None:
    assert VOICE in {voice.voice_id for voice in sdk.voices.get_all().voices}
    found = sdk.voices.search(search="rachel")
    assert [voice.name for voice in found.voices] == ["Rachel"]
    assert "eleven_flash_v2_5" in {model.model_id for model in sdk.models.list()}


def test_a_single_use_token_is_made(sdk: ElevenLabs) -> None:
    assert sdk.tokens.single_use.create("realtime_scribe").token.startswith("sutkn_")


@pytest.mark.parametrize("shape", ["current", "legacy"])
def test_a_wrong_key_is_401_in_both_shapes(
    elevenlabs: Standin, http: httpx.Client, shape: str
) -> None:
    elevenlabs.put(oddities={"error_body": shape})
    sdk = ElevenLabs(api_key="wrong", base_url=elevenlabs.url, httpx_client=http)
    with pytest.raises(ApiError) as refused:
        sdk.voices.get_all()
    assert refused.value.status_code == 401
    detail = refused.value.body["detail"]
    assert detail["status"] == "invalid_api_key"
    assert ("code" in detail) == (shape == "current")


def test_an_unknown_voice_is_404(sdk: ElevenLabs) -> None:
    with pytest.raises(ApiError) as refused:
        list(sdk.text_to_speech.stream("nobody", text="Hello."))
    assert refused.value.status_code == 404
    assert refused.value.body["detail"]["code"] == "voice_not_found"


def test_missing_text_is_a_list_of_problems(sdk: ElevenLabs) -> None:
    nothing: Any = None
    with pytest.raises(UnprocessableEntityError) as refused:
        list(sdk.text_to_speech.stream(VOICE, text=nothing))
    assert refused.value.body["detail"][0]["loc"] == ["body", "text"]


def test_opus_is_refused_by_name(sdk: ElevenLabs) -> None:
    with pytest.raises(ApiError) as refused:
        list(sdk.text_to_speech.stream(VOICE, text="Hello.", output_format="opus_48000_64"))
    assert refused.value.status_code == 400
    assert "Opus" in refused.value.body["detail"]["message"]


def test_a_voice_setting_out_of_range_is_refused(sdk: ElevenLabs) -> None:
    with pytest.raises(ApiError) as refused:
        list(sdk.text_to_speech.stream(VOICE, text="Hi.", voice_settings=VoiceSettings(speed=9)))
    assert refused.value.body["detail"]["param"] == "speed"


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_status_on_demand_is_an_api_error_and_then_over(
    sdk: ElevenLabs, elevenlabs: Standin, status: int
) -> None:
    elevenlabs.put(faults={"tts": {"status": status, "retry_after": 3}})
    with pytest.raises(ApiError) as refused:
        list(sdk.text_to_speech.stream(VOICE, text="Hello.", output_format="pcm_16000"))
    assert refused.value.status_code == status
    assert (refused.value.headers or {})["retry-after"] == "3"
    assert b"".join(sdk.text_to_speech.stream(VOICE, text="Hello.", output_format="pcm_16000"))
