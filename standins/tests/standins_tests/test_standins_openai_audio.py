"""OpenAI's official SDK against the audio stand-in: the contract that both keep."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from parley_standins.audio_formats import wav
from standins_tests.conftest import KEY, Standin, Standins, word_error_rate

if TYPE_CHECKING:
    from openai import OpenAI

SAID = "what time is it"


@pytest.fixture
def audio(shared: Standins) -> Iterator[Standin]:
    shared.vendors["openai_audio"].reset()
    yield shared.vendors["openai_audio"]
    shared.vendors["openai_audio"].reset()


@pytest.fixture
def sdk(audio: Standin) -> Iterator[OpenAI]:
    from openai import OpenAI  # collecting must not pay for it

    with OpenAI(base_url=f"{audio.url}/v1", api_key=KEY, timeout=20, max_retries=0) as client:
        yield client


@pytest.fixture
def utterance(speech: Callable[..., bytes]) -> bytes:
    return wav(speech("What time is it?"), 16_000)


def play(audio: Standin, profile: str, **oddities: Any) -> None:
    audio.put(oddities={"profile": profile, **oddities})


def words(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum() or char == " ")


def test_speech_streams_as_bytes(sdk: OpenAI, audio: Standin) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        input="Good morning.", model="tts-1", voice="alloy", response_format="pcm", speed=1.5
    ) as response:
        assert response.headers["content-type"] == "audio/pcm"
        sound = b"".join(response.iter_bytes())
    (record,) = audio.records()
    assert record["body"]["speed"] == 1.5
    assert sound == audio.audio(record["id"], "out")
    assert len(sound) > 24_000


def test_speech_streams_as_events(sdk: OpenAI) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        input="Good morning.",
        model="gpt-4o-mini-tts",
        voice="alloy",
        response_format="pcm",
        stream_format="sse",
    ) as response:
        events = [json.loads(line[6:]) for line in response.iter_lines() if line]
    assert [event["type"] for event in events[-2:]] == ["speech.audio.delta", "speech.audio.done"]
    assert len(b"".join(base64.b64decode(event["audio"]) for event in events[:-1])) > 24_000


@pytest.mark.parametrize("profile", ["openai", "groq", "speaches", "kokoro", "localai"])
def test_every_server_makes_wav(sdk: OpenAI, audio: Standin, profile: str) -> None:
    play(audio, profile)
    sound = sdk.audio.speech.create(
        input="Good morning.", model="kokoro", voice="af_heart", response_format="wav"
    ).read()
    assert sound.startswith(b"RIFF")


def test_a_transcript_comes_whole(sdk: OpenAI, utterance: bytes) -> None:
    found = sdk.audio.transcriptions.create(
        file=("speech.wav", utterance, "audio/wav"), model="gpt-transcribe", language="en"
    )
    assert word_error_rate(SAID, words(found.text)) == 0


def test_a_transcript_streams_word_by_word(sdk: OpenAI, utterance: bytes) -> None:
    events = list(
        sdk.audio.transcriptions.create(
            file=("speech.wav", utterance, "audio/wav"), model="gpt-transcribe", stream=True
        )
    )
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert len(deltas) == 4
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "".join(deltas)


def test_a_segment_of_speaches_is_one_delta(sdk: OpenAI, audio: Standin, utterance: bytes) -> None:
    play(audio, "speaches")
    events = list(
        sdk.audio.transcriptions.create(
            file=("speech.wav", utterance, "audio/wav"), model="whisper-1", stream=True
        )
    )
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]


def test_verbose_json_has_language_segments_and_words(sdk: OpenAI, utterance: bytes) -> None:
    found = sdk.audio.transcriptions.create(
        file=("speech.wav", utterance, "audio/wav"),
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert found.language == "english"
    assert found.segments is not None
    assert found.segments[0].no_speech_prob < 0.1
    assert found.words is not None
    assert [words(word.word) for word in found.words] == SAID.split()


def test_whisper_1_ignores_stream(audio: Standin, utterance: bytes) -> None:
    answer = audio.http.post(
        "/v1/audio/transcriptions",
        data={"model": "whisper-1", "stream": "true"},
        files={"file": ("speech.wav", utterance, "audio/wav")},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.headers["content-type"].startswith("application/json")


def test_the_stream_of_vllm_looks_like_a_chats(audio: Standin, utterance: bytes) -> None:
    play(audio, "vllm")
    answer = audio.http.post(
        "/v1/audio/transcriptions",
        data={"model": "whisper", "stream": "true"},
        files={"file": ("speech.wav", utterance, "audio/wav")},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    events = [line[6:] for line in answer.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"]["content"] for event in events[:-1]]
    assert words("".join(deltas)) == SAID


def refused(call: Callable[[], object]) -> Any:
    from openai import APIStatusError

    with pytest.raises(APIStatusError) as raised:
        call()
    return raised.value


def test_refusals_are_those_of_the_api(sdk: OpenAI, audio: Standin, utterance: bytes) -> None:
    def transcribe(**fields: Any) -> object:
        file = ("speech.wav", fields.pop("content", utterance), "audio/wav")
        return sdk.audio.transcriptions.create(file=file, **{"model": "gpt-transcribe", **fields})

    assert refused(lambda: transcribe(response_format="verbose_json")).param == "response_format"
    assert refused(lambda: transcribe(content=b"raw pcm")).code == "invalid_file_format"
    assert refused(lambda: transcribe(content=wav(bytes(100), 16_000))).code == "audio_too_short"
    play(audio, "groq")
    error = refused(
        lambda: sdk.audio.speech.create(
            input="Hi.", model="orpheus", voice="austin", response_format="pcm"
        )
    )
    assert error.status_code == 400
    play(audio, "openai")
    audio.put(faults={"tts": {"status": 429, "code": "insufficient_quota", "retry_after": 7}})
    error = refused(lambda: sdk.audio.speech.create(input="Hi.", model="tts-1", voice="alloy"))
    assert (error.code, error.response.headers["retry-after"]) == ("insufficient_quota", "7")


def test_a_wrong_key_is_refused(audio: Standin) -> None:
    from openai import AuthenticationError, OpenAI

    with (
        OpenAI(base_url=f"{audio.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(AuthenticationError),
    ):
        client.models.list()


def test_models_are_listed_where_a_server_has_a_list(sdk: OpenAI, audio: Standin) -> None:
    assert "kokoro" in {model.id for model in sdk.models.list()}
    play(audio, "whisper.cpp")
    assert httpx.get(f"{audio.url}/v1/models").status_code == 404
