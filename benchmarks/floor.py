"""The floor: the same providers called by one asyncio process, with nothing in between.

Same clause cut, same pre-opened synthesis socket, same pooled HTTP connection; no API
Gateway, no Lambda, no table. What Parley adds is measured against it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from parley.text.sentence_splitter import SentenceSplitter

CONTEXT = "floor"


class Floor:
    """Asks the chat endpoint and speaks the first clause.

    Args:
        elevenlabs_url: base URL of ElevenLabs or its stand-in.
        llm_url: base URL of the chat endpoint.
        key: API key of both.
    """

    def __init__(self, elevenlabs_url: str, llm_url: str, key: str) -> None:
        self._speech_url = "ws" + elevenlabs_url.removeprefix("http")
        self._llm_url = llm_url
        self._key = key
        self._client = httpx.AsyncClient()

    async def close(self) -> None:
        """Close the pooled connection."""
        await self._client.aclose()

    async def first_audio_ms(self, question: str) -> float:
        """From the question to the first bytes of audio."""
        async with self._voice() as speech:
            began = time.monotonic()
            clause = await self._first_clause([{"role": "user", "content": question}])
            await _hear(speech, clause)
            return (time.monotonic() - began) * 1000

    async def first_audio_after_tool_ms(
        self, question: str, tool: Mapping[str, Any], result: Mapping[str, Any], tool_s: float
    ) -> float:
        """From the question to the first bytes of audio, with a call of a tool between them.

        Args:
            tool: as the chat endpoint is offered it.
            result: what it returns.
            tool_s: how long it takes.
        """
        async with self._voice() as speech:
            began = time.monotonic()
            messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
            call = await self._call(messages, tool)
            await asyncio.sleep(tool_s)
            messages += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)},
            ]
            await _hear(speech, await self._first_clause(messages, [tool]))
            return (time.monotonic() - began) * 1000

    @contextlib.asynccontextmanager
    async def _voice(self) -> AsyncIterator[ClientConnection]:
        url = (
            f"{self._speech_url}/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/multi-stream-input"
            "?model_id=eleven_flash_v2_5&output_format=pcm_24000"
        )
        headers = {"xi-api-key": self._key}
        async with connect(url, additional_headers=headers, compression=None) as speech:
            await speech.send(json.dumps({"text": " ", "context_id": CONTEXT}))
            yield speech

    async def _call(
        self, messages: Sequence[Mapping[str, Any]], tool: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the call that the model makes, when its stream has ended."""
        call: dict[str, Any] = {}
        async for delta in self._deltas(messages, [tool]):
            for piece in delta.get("tool_calls") or []:
                if not call:
                    call = {key: piece[key] for key in ("id", "type", "function")}
                else:
                    call["function"]["arguments"] += piece["function"]["arguments"]
        return call

    async def _first_clause(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> str:
        splitter = SentenceSplitter()
        async with contextlib.aclosing(self._deltas(messages, tools)) as deltas:
            async for delta in deltas:
                if clauses := splitter.feed(delta.get("content") or ""):
                    return clauses[0]
        return splitter.flush()[0]

    async def _deltas(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> AsyncGenerator[dict[str, Any], None]:
        body: dict[str, Any] = {"model": "floor", "stream": True, "messages": list(messages)}
        if tools:
            body["tools"] = list(tools)
        async with self._client.stream(
            "POST",
            f"{self._llm_url}/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {self._key}"},
        ) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                data = line.removeprefix("data: ")
                if not data or data == "[DONE]":
                    continue
                for choice in json.loads(data).get("choices", []):
                    yield choice.get("delta") or {}


async def _hear(speech: ClientConnection, clause: str) -> None:
    """Have a clause spoken; return when its first bytes have come."""
    await speech.send(json.dumps({"text": clause + " ", "context_id": CONTEXT, "flush": True}))
    async for frame in speech:
        if json.loads(frame).get("audio"):
            return
    raise RuntimeError("the synthesizer said nothing")
