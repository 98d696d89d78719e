"""What the functions write to their logs, whatever goes wrong, holds nothing of anybody's.

They run in a process of their own, so that all it writes is seen: log lines, metrics,
warnings and tracebacks alike.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WORDS = "ultramarine periwinkle"
KEY = "sk-a-key-that-nobody-may-see"
AUDIO = base64.b64encode(b"\x13\x37" * 60).decode()

DRIVER = """
import importlib.util, json, pathlib, sys, time
import boto3
from moto import mock_aws

class Context:
    function_name = "function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"
    def get_remaining_time_in_millis(self):
        return 30_000

def load(name):
    spec = importlib.util.spec_from_file_location(f"{name}_app", f"functions/{name}/app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

def sample(name, **body):
    event = json.loads(pathlib.Path(f"events/{name}.json").read_text())
    if body:
        event["body"] = json.dumps(body)
    return event

words, key, audio = sys.argv[1:4]
with mock_aws():
    table = boto3.client("dynamodb")
    table.create_table(
        TableName="table", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"},
                   {"AttributeName": "sk", "KeyType": "RANGE"}])
    secret = json.dumps({"elevenlabs_api_key": key, "llm_api_key": key})
    boto3.client("secretsmanager").create_secret(Name="keys", SecretString=secret)
    message, turn = load("message"), load("turn")
    frames = []
    message.environment.connections.post = lambda endpoint, connection, frame: frames.append(
        json.loads(frame))
    message.messages._start_turn = lambda request: None

    def send(**body):
        return message.handler(sample("message-ping", **body), Context())

    load("connect").handler(sample("connect"), Context())
    send(type="init", protocol=1)
    session, token = frames[0]["session_id"], frames[0]["resume_token"]
    send(type="init", protocol=1, session_id=session, resume_token=token + words)
    send(type="user_message", turn_id="t", text=words)
    send(type="user_message", turn_id="t", text=[words])
    send(type=words, text=words)
    send(type="config", settings={"style": words, "voice": words})
    send(type="config", settings={"style": words})
    send(type="audio_start", turn_id="t", format=words)
    send(type="audio_chunk", turn_id="u", seq=1, audio=audio)
    send(type="audio_chunk", turn_id="u", seq=1, audio=audio + "!")
    typed = {**sample("turn-typed"), "session": f"default/anonymous/{session}", "text": words}
    turn.handler(typed, Context())
    http, now = load("http_turn"), int(time.time() * 1000)

    def ask(headers={}, **body):
        event = sample("http-turn-typed", **body)
        event["headers"] |= headers
        event["requestContext"]["timeEpoch"] = now
        return http.handler(event, Context())

    ask(text=words)
    ask(text=[words])
    ask(audio=audio)
    ask(text=words, session_id=session, resume_token=token)
    ask({"x-resume-token": token + words}, text=words, session_id=session)
    table.delete_table(TableName="table")
    send(type="user_message", turn_id="t2", text=words)
    send(type="audio_chunk", turn_id="u", seq=2, audio=audio)
    send(type="config", settings={"style": words})
    turn.handler({**typed, "turn_id": "t3"}, Context())
    ask(text=words)
turn.runner._loop.close()
http.runner._loop.close()
pathlib.Path(sys.argv[4]).write_text(json.dumps({"token": token, "frames": frames}))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Everything that was written, and what the client got."""
    found = tmp_path_factory.mktemp("driver") / "found.json"
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, WORDS, KEY, AUDIO, str(found)],
        cwd=ROOT,
        env={
            **os.environ,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "TABLE_NAME": "table",
            "TURN_FUNCTION": "turn",
            "SECRET_ARN": "keys",
            "ELEVENLABS_BASE_URL": "http://127.0.0.1:9",
            "LLM_BASE_URL": "http://127.0.0.1:9",
            "POWERTOOLS_SERVICE_NAME": "parley",
            "POWERTOOLS_METRICS_NAMESPACE": "Parley",
            "POWERTOOLS_LOG_LEVEL": "DEBUG",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr, json.loads(found.read_text())


def test_the_logs_hold_nothing_that_was_said_and_nothing_secret(
    run: tuple[str, dict[str, Any]],
) -> None:
    logged, found = run
    for secret in (*WORDS.split(), KEY, AUDIO, AUDIO[:40], found["token"]):
        assert secret not in logged


def test_the_logs_say_what_went_wrong(run: tuple[str, dict[str, Any]]) -> None:
    logged, _ = run
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    events = [line["message"] for line in lines if "message" in line]
    for event in ("connected", "message_refused", "message_failed", "turn_ended", "turn_failed"):
        assert event in events
    assert {"request_refused", "request_failed"} <= set(events)
    refused = [line for line in lines if line.get("message") == "message_refused"]
    assert {line["code"] for line in refused} == {"bad_request", "unknown_type"}
    assert all("correlation_id" in line for line in refused)


def test_what_goes_wrong_here_is_internal_and_no_stack_trace_to_the_client(
    run: tuple[str, dict[str, Any]],
) -> None:
    _, found = run
    internal = [frame for frame in found["frames"] if frame.get("code") == "internal"]
    assert len(internal) == 2, "a chunk and a config need the table; a typed turn does not"
    assert "Traceback" not in json.dumps(found["frames"])
    assert "botocore" not in json.dumps(found["frames"])
