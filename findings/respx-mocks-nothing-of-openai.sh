#!/bin/sh
# openai 3.57.0 (Python), respx 0.23.1, httpx 0.28.1
# Guess: respx, which mocks httpx, mocks OpenAI's client, as in many tests that were written for it.
# Behaviour: since version 3 the client runs on the package httpx2. respx.mock passes its requests by
#   without a word, and a test that reaches no server today asks the real one, with a real key if
#   there is one. A route that must have been called fails only at the end.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  openai==3.57.0 httpx2==2.16.2 respx==0.23.1 httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import openai
import respx


class Real(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"object": "list", "data": [{"id": "real", "object": "model"}]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Real)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
mocked = {"object": "list", "data": [{"id": "mocked", "object": "model"}]}
with respx.mock(assert_all_called=False) as router:
    route = router.get(f"{url}/models").respond(200, json=mocked)
    by_httpx = httpx.get(f"{url}/models").json()["data"][0]["id"]
    calls = route.call_count
    (model,) = openai.OpenAI(api_key="x", base_url=url, max_retries=0).models.list().data
    print("httpx is answered by:", by_httpx)
    print("openai is answered by:", model.id, "- calls that respx saw of it:", route.call_count - calls)
    sys.exit((by_httpx, model.id, route.call_count - calls) != ("mocked", "real", 0))
PYTHON
