#!/bin/sh
# awslambdaric 4.2.2
# Guess: the runtime client takes AWS_LAMBDA_RUNTIME_API in one way, wherever it uses it.
# Behaviour: it has two clients. The one in C (next, response, error) reads the variable once, when
#   the module is imported, and takes a path after the port: host:port/prefix works. The one in Python
#   (errors of initialisation, SnapStart) takes it for a host and a port: the same value is an
#   InvalidURL, so a function that cannot be imported ends without telling anybody why.
# Hurts: who emulates the Runtime API, or puts a proxy in front of it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check awslambdaric==4.2.2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import os
import socket
import subprocess
import sys
import threading

server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
asked = []


def serve():
    while True:
        connection, _ = server.accept()
        with connection:
            asked.append(connection.recv(65536).split(b"\r\n")[0].decode())
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\n"
                b"Lambda-Runtime-Deadline-Ms: 9999999999999\r\n"
                b"Lambda-Runtime-Invoked-Function-Arn: arn\r\nContent-Length: 2\r\n\r\n{}"
            )


threading.Thread(target=serve, daemon=True).start()


def run(code):
    given = {**os.environ, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}/prefix"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, timeout=30
    )
    return ended.stderr.strip().splitlines()[-1:] or ["no error"]


START = "from awslambdaric.lambda_runtime_client import LambdaRuntimeClient; import os; "
CLIENT = "c = LambdaRuntimeClient(os.environ['AWS_LAMBDA_RUNTIME_API']); "
changed = "os.environ['AWS_LAMBDA_RUNTIME_API'] = '127.0.0.1:1'; "
in_c = run(START + changed + CLIENT + "c.wait_next_invocation()")
in_python = run(START + CLIENT + "c.post_init_error({'errorType': 'E'})")
print("in C, although the variable has been changed:", *asked, *in_c)
print("in Python:", *in_python)
sys.exit(
    asked != ["GET /prefix/2018-06-01/runtime/invocation/next HTTP/1.1"]
    or not in_python[0].startswith("http.client.InvalidURL")
)
PYTHON
