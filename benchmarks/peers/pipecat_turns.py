"""Turns through Pipecat, with a tool or without: text in, first frame of audio out.

Its own services and aggregators, as its examples put them together, without a transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.tts_service import TextAggregationMode, TTSService
from pipecat.workers.runner import WorkerRunner
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


class Voice(TTSService):
    """Speaks silence, after a while."""

    def __init__(self, setup: Setup, ear: Ear) -> None:
        # As its own services over HTTP do.
        super().__init__(
            sample_rate=SAMPLE_RATE,
            push_start_frame=True,
            push_stop_frames=True,
            text_aggregation_mode=(
                TextAggregationMode.TOKEN if setup.tokens else TextAggregationMode.SENTENCE
            ),
        )
        self._first_byte_s = setup.first_byte_s
        self._ear = ear

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak a text."""
        self._ear.note_text(text)
        await asyncio.sleep(self._first_byte_s)
        yield TTSAudioRawFrame(SILENCE, SAMPLE_RATE, 1, context_id=context_id)


class Listener(FrameProcessor):
    """Is where a transport's output would be."""

    def __init__(self, ear: Ear) -> None:
        super().__init__()
        self._ear = ear
        self._has_audio = False
        self.spoken = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Look at a frame, and pass it on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self._ear.note_audio()
            self._has_audio = True
        if isinstance(frame, LLMFullResponseEndFrame) and self._has_audio:
            self._has_audio = False
            self.spoken.set()
        await self.push_frame(frame, direction)


class Session:
    """A pipeline of its own."""

    def __init__(self, setup: Setup) -> None:
        self.ear = Ear()
        self._listener = Listener(self.ear)
        self.started = asyncio.Event()
        llm = OpenAILLMService(
            api_key=setup.key,
            base_url=setup.llm_url,
            settings=OpenAILLMService.Settings(model=MODEL, system_instruction=INSTRUCTIONS),
        )
        context = LLMContext() if setup.tool_s is None else _context_with_tool(setup, llm)
        aggregators = LLMContextAggregatorPair(context)
        voice = Voice(setup, self.ear)
        self.worker = PipelineWorker(
            Pipeline([aggregators.user(), llm, voice, self._listener, aggregators.assistant()]),
            params=PipelineParams(audio_out_sample_rate=SAMPLE_RATE),
            idle_timeout_secs=None,
        )

        # The package's decorator has no types.
        @self.worker.event_handler("on_pipeline_started")  # type: ignore[untyped-decorator]
        async def on_pipeline_started(_worker: PipelineWorker, _frame: Frame) -> None:
            self.started.set()

    async def hold_turn(self, question: str) -> None:
        """Ask, and wait until the reply has been spoken."""
        self._listener.spoken.clear()
        message = {"role": "user", "content": question}
        await self.worker.queue_frame(LLMMessagesAppendFrame([message], run_llm=True))
        await self._listener.spoken.wait()


def _context_with_tool(setup: Setup, llm: OpenAILLMService) -> LLMContext:
    async def order_status(call: FunctionCallParams) -> None:
        await call.result_callback(await run_tool(setup, call.arguments["order"]))

    llm.register_function(TOOL, order_status)
    schema = FunctionSchema(TOOL, DESCRIPTION, properties={"order": ARGUMENT}, required=["order"])
    return LLMContext(tools=ToolsSchema(standard_tools=[schema]))


async def main() -> None:
    """Serve turns."""
    setup = read_setup()
    sessions = [Session(setup) for _ in range(setup.sessions)]
    runner = WorkerRunner(handle_sigint=False)
    for session in sessions:
        await runner.add_workers(session.worker)
    running = asyncio.ensure_future(runner.run())
    for session in sessions:
        await session.started.wait()
    await serve([(session.ear, session.hold_turn) for session in sessions])
    for session in sessions:
        await session.worker.cancel()
    await running


logger.remove()
asyncio.run(main())
