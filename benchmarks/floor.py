"""The floor: the same providers called by one asyncio process, with nothing in between.

Same clause cut, same pre-opened synthesis socket, same pooled HTTP connection; no API
Gateway, no Lambda, no table. What Parley adds is measured against it.
"""

from __future__ import annotations

import json
import time

import httpx
from websockets.asyncio.client import connect

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
        url = (
            f"{self._speech_url}/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/multi-stream-input"
            "?model_id=eleven_flash_v2_5&output_format=pcm_24000"
        )
        headers = {"xi-api-key": self._key}
        async with connect(url, additional_headers=headers, compression=None) as speech:
            await speech.send(json.dumps({"text": " ", "context_id": CONTEXT}))
            began = time.monotonic()
            clause = await self._first_clause(question)
            await speech.send(
                json.dumps({"text": clause + " ", "context_id": CONTEXT, "flush": True})
            )
            async for frame in speech:
                if json.loads(frame).get("audio"):
                    return (time.monotonic() - began) * 1000
        raise RuntimeError("the synthesizer said nothing")

    async def _first_clause(self, question: str) -> str:
        splitter = SentenceSplitter()
        body = {
            "model": "floor",
            "stream": True,
            "messages": [{"role": "user", "content": question}],
        }
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
                    content = (choice.get("delta") or {}).get("content") or ""
                    if clauses := splitter.feed(content):
                        return clauses[0]
        return splitter.flush()[0]
