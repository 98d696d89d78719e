#!/bin/sh
# anthropic 2.14.0 (Python)
# Guess: every event of Anthropic's stream has its `type` in its data, so a gateway that passes on the
#   `data` lines alone, as every stream of OpenAI's kind is, is read or refused.
# Behaviour: an event without an `event` line is passed over without a word. `stream=True` yields
#   nothing and ends well, `messages.stream` has no text and then an AssertionError without a
#   message. An answer as JSON, of a gateway that does not stream, is an empty stream as well.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check anthropic==2.14.0 httpx2==2.16.2
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import httpx2
from anthropic import Anthropic

USAGE = {"input_tokens": 1, "output_tokens": 1}
MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "x", "content": [],
    "stop_reason": None, "stop_sequence": None, "usage": USAGE,
}  # fmt: skip
EVENTS = [
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
    {"type": "message_stop"},
]
ASKED = {"model": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def client(kind: str, body: str) -> Anthropic:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": kind}, content=body.encode())

    made = httpx2.Client(transport=httpx2.MockTransport(answer))
    return Anthropic(api_key="x", base_url="http://test", http_client=made, max_retries=0)


def read(body: str) -> tuple[int, str, str]:
    events = len(list(client("text/event-stream", body).messages.create(**ASKED, stream=True)))
    with client("text/event-stream", body).messages.stream(**ASKED) as stream:
        text = "".join(stream.text_stream)
        try:
            end = stream.get_final_message().stop_reason
        except AssertionError as error:
            end = repr(error)
    return events, text, str(end)


lines = [(event["type"], f"data: {json.dumps(event)}\n\n") for event in EVENTS]
named = read("".join(f"event: {name}\n{data}" for name, data in lines))
bare = read("".join(data for _, data in lines))
text = {**MESSAGE, "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}
whole = list(client("application/json", json.dumps(text)).messages.create(**ASKED, stream=True))
print("with event lines: %d events, text %r, end %s" % named)
print("with data lines alone: %d events, text %r, end %s" % bare)
print("as JSON:", whole)
wanted = (6, "Hello", "end_turn"), (0, "", "AssertionError()"), []
sys.exit((named, bare, whole) != wanted)
PYTHON
