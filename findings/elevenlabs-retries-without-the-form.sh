#!/bin/sh
# elevenlabs 2.78.0 (Python)
# Guess: the request that the SDK sends again after a 503 is the request that it sent.
# Behaviour: of a multipart form, such as speech_to_text.convert's, only the file is sent again. The
#   fields are lost, model_id and language_code among them.
# Hurts: a failure that would have passed becomes a 422, or a transcript in a guessed language.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check elevenlabs==2.78.0
"$folder/venv/bin/python" - <<'PYTHON'
import email
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from elevenlabs import ElevenLabs

RESULT = b'{"language_code": "en", "language_probability": 1, "text": "hi", "words": []}'
sent: list[dict[str, str]] = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = email.message_from_bytes(
            b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body
        )
        fields = {}
        for part in form.get_payload():
            name = part.get_param("name", header="content-disposition")
            fields[name] = part.get_payload()
        sent.append(fields)
        self.send_response(503 if len(sent) == 1 else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(RESULT)))
        self.end_headers()
        self.wfile.write(RESULT)

    def log_message(self, *_arguments: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = ElevenLabs(api_key="x", base_url=f"http://127.0.0.1:{server.server_port}")
client.speech_to_text.convert(
    model_id="scribe_v2", language_code="en", file=("a.wav", b"RIFF", "audio/wav")
)
for name, fields in zip(("first", "again"), sent, strict=True):
    print(f"{name}:", ", ".join(sorted(fields)))
first, again = sent
asked = {"model_id": "scribe_v2", "language_code": "en"}
sys.exit(not (asked.items() <= first.items() and list(again) == ["file"]))
PYTHON
