"""Servers of OpenAI's audio API, and in what they differ: as read in their sources and documents.

- `openai`: the API itself. `verbose_json` for whisper-1 alone, which does not stream.
- `groq`: speech only as WAV; no stream of transcripts.
- `speaches`: PCM at the model's own rate; a delta for every segment; errors in `detail`.
- `kokoro`: speech only. Its WAV ends in a second header, as its releases before issue 497 have
  it; its errors are in `detail`; no SSE.
- `localai`: whatever the format, a WAV; no stream of transcripts.
- `whisper.cpp`: transcripts only, of WAV, one at a time; `model` and `stream` are ignored; no list
  of models, no key.
- `vllm`: transcripts only; its stream looks like a chat's, and has no `verbose_json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from parley_standins.openai_audio_settings import Profile

Stream = Literal["deltas", "segments", "chunks", "ignored", "refused"]


@dataclass(frozen=True, slots=True)
class Server:
    """How one server behaves.

    Attributes:
        formats: of speech that it makes; none if it makes no speech.
        pcm_rate_hz: of its voice.
        sse: whether speech comes as events, if that is asked for.
        header_again: whether a WAV's header comes a second time, behind the sound.
        wav_whole: whether a WAV comes whole, with its size; otherwise as it is made.
        transcribes: whether it does.
        stream: what becomes of `stream`.
        verbose_models: beginnings of models that have `verbose_json`; an empty one is all.
        verbose_streams: whether `verbose_json` may be streamed.
        detail: whether errors are in `detail`, as FastAPI has them.
        open: whether it asks for no key.
        lists_models: whether it has `/v1/models`.
    """

    formats: tuple[str, ...] = ("mp3", "wav", "pcm")
    pcm_rate_hz: int = 24_000
    sse: bool = False
    header_again: bool = False
    wav_whole: bool = False
    transcribes: bool = True
    stream: Stream = "ignored"
    verbose_models: tuple[str, ...] = ("",)
    verbose_streams: bool = True
    detail: bool = False
    open: bool = False
    lists_models: bool = True


SERVERS: Mapping[Profile, Server] = {
    "openai": Server(sse=True, stream="deltas", verbose_models=("whisper",)),
    "groq": Server(formats=("wav",), wav_whole=True, stream="refused"),
    "speaches": Server(pcm_rate_hz=22_050, sse=True, stream="segments", detail=True, open=True),
    "kokoro": Server(header_again=True, transcribes=False, detail=True, open=True),
    "localai": Server(formats=("wav",), pcm_rate_hz=22_050, wav_whole=True, open=True),
    "whisper.cpp": Server(formats=(), open=True, lists_models=False),
    "vllm": Server(formats=(), stream="chunks", verbose_streams=False),
}
