#!/bin/sh
# openai 3.57.0 (Python)
# Guess: `stream=True` against a server that does not stream, and answers the whole result as JSON,
#   is an error or one event. OpenAI's own whisper-1 passes `stream` over, as whisper.cpp does.
# Behaviour: the stream is empty and raises nothing, in transcriptions as in chat completions, though
#   the answer is there. The chunks in which vLLM streams a transcript come as events of the type
#   "segment" whose `type` and `text` are None.
# Hurts: an utterance that was heard is taken for silence.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openai==3.57.0 httpx2==2.16.2
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import httpx2
from openai import OpenAI

CHUNK = {
    "id": "t", "object": "transcription.chunk", "created": 1, "model": "m",
    "choices": [{"delta": {"content": "hello"}}],
}  # fmt: skip
REPLY = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
}  # fmt: skip


def client(kind: str, body: str) -> OpenAI:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": kind}, content=body.encode())

    made = httpx2.Client(transport=httpx2.MockTransport(answer))
    return OpenAI(api_key="x", base_url="http://test/v1", http_client=made, max_retries=0)


def transcribe(kind: str, body: str) -> list[object]:
    file = ("a.wav", b"RIFF", "audio/wav")
    create = client(kind, body).audio.transcriptions.create
    return list(create(model="m", file=file, stream=True))


whole = transcribe("application/json", '{"text": "hello"}')
asked = [{"role": "user", "content": "hi"}]
create = client("application/json", json.dumps(REPLY)).chat.completions.create
reply = list(create(model="m", messages=asked, stream=True))
(chunk,) = transcribe("text/event-stream", f"data: {json.dumps(CHUNK)}\n\ndata: [DONE]\n\n")
print("a transcript as JSON, streamed:", whole)
print("a reply as JSON, streamed:", reply)
print("a chunk of vLLM's:", type(chunk).__name__, "type:", chunk.type, "text:", chunk.text)
found = whole, reply, type(chunk).__name__, chunk.type, chunk.text
sys.exit(found != ([], [], "TranscriptionTextSegmentEvent", None, None))
PYTHON
