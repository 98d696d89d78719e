"""Turns through LiveKit Agents, with a tool or without: text in, first frame of audio out.

Its own session, agent and model, without a room.
"""

from __future__ import annotations

import asyncio
import json

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities
from livekit.plugins import openai
from turns import (
    ARGUMENT,
    DESCRIPTION,
    INSTRUCTIONS,
    MODEL,
    SAMPLE_RATE,
    SILENCE,
    TOOL,
    Ear,
    Setup,
    read_setup,
    run_tool,
    serve,
)


class Voice(tts.TTS):
    """Speaks silence, after a while. The framework cuts the text into sentences."""

    def __init__(self, setup: Setup, ear: Ear) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        self.first_byte_s = setup.first_byte_s
        self.ear = ear

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Speak a text."""
        return Speech(self, text, conn_options)


class Speech(tts.ChunkedStream):
    """One piece of speech."""

    def __init__(self, voice: Voice, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=voice, input_text=text, conn_options=conn_options)
        self._voice = voice

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        self._voice.ear.note_text(self._input_text)
        output_emitter.initialize(
            request_id="speech",
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mime_type="audio/pcm",
        )
        await asyncio.sleep(self._voice.first_byte_s)
        output_emitter.push(SILENCE)
        output_emitter.flush()


class Speaker(AudioOutput):
    """Is where a room's track would be. What it gets has been played at once."""

    def __init__(self, ear: Ear) -> None:
        super().__init__(
            label="speaker",
            capabilities=AudioOutputCapabilities(pause=False),
            sample_rate=SAMPLE_RATE,
        )
        self._ear = ear
        self._played_s = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Take a frame."""
        await super().capture_frame(frame)
        self._ear.note_audio()
        self._played_s += frame.duration

    def flush(self) -> None:
        """End a segment."""
        super().flush()
        if self._played_s:
            self.on_playback_finished(playback_position=self._played_s, interrupted=False)
            self._played_s = 0.0

    def clear_buffer(self) -> None:
        """Drop what has not been played."""
        self.flush()


async def main() -> None:
    """Serve turns."""
    setup, ear = read_setup(), Ear()
    schema = {
        "name": TOOL,
        "description": DESCRIPTION,
        "parameters": {
            "type": "object",
            "properties": {"order": ARGUMENT},
            "required": ["order"],
        },
    }

    @function_tool(raw_schema=schema)
    async def order_status(raw_arguments: dict[str, object]) -> str:
        # A dict would reach the model as Python writes it, which is no JSON.
        return json.dumps(await run_tool(setup, str(raw_arguments["order"])))

    session = AgentSession(
        llm=openai.LLM(model=MODEL, base_url=setup.llm_url, api_key=setup.key),
        tts=Voice(setup, ear),
    )
    session.output.audio = Speaker(ear)
    tools = [] if setup.tool_s is None else [order_status]
    await session.start(Agent(instructions=INSTRUCTIONS, tools=tools))

    async def hold_turn(question: str) -> None:
        await session.generate_reply(user_input=question)

    await serve([(ear, hold_turn)])
    await session.aclose()


asyncio.run(main())
