#!/bin/sh
# httpx-sse 0.4.3
# Guess: it reads server-sent events as the WHATWG's standard has them: a byte order mark at the
#   start is dropped, and an event without data is none.
# Behaviour: the mark stays at the name of the first field, so the first event of such a stream is
#   lost without an error; and once an `id` has come, every blank line makes an event whose data is
#   empty (two blank lines between events, or one after a comment that keeps the connection alive),
#   which `event.json()` fails on.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httpx==0.28.1 httpx-sse==0.4.3
"$folder/venv/bin/python" - <<'PYTHON'
import httpx
from httpx_sse import connect_sse


def read(body: bytes) -> list[str]:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=body)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        with connect_sse(client, "GET", "http://test") as source:
            return [event.data for event in source.iter_sse()]


with_mark = read(b"\xef\xbb\xbfdata: first\n\ndata: second\n\n")
with_id = read(b"id: 1\ndata: first\n\n: ping\n\ndata: second\n\n")
print("with a byte order mark, of first and second:", with_mark)
print("with an id, a comment in between:", with_id)
raise SystemExit(not (with_mark == ["second"] and with_id == ["first", "", "second"]))
PYTHON
