"""Loads functions as Lambda does: by module name, from their folder, with its sample events."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
KEY = "sk-a-key-that-nobody-may-see"
REGION = "us-east-1"
VARIABLES = {
    "AWS_DEFAULT_REGION": REGION,
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
}
"""What the functions see; no provider is there."""
QUICK_RETRIES_S = (0.01, 0.02)
NO_ACK_WAIT_S = 0.05


@dataclass
class Context:
    """What Lambda hands a handler besides the event."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:123456789012:function:function"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def create_secret(secrets: Any, key: str = KEY) -> None:
    """Create the secret that has the providers' keys."""
    value = json.dumps({"elevenlabs_api_key": key, "llm_api_key": key})
    secrets.create_secret(Name="keys", SecretString=value)


def load(function: str) -> ModuleType:
    """The function's module, fresh, as a cold start has it."""
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"{function}_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(name: str) -> dict[str, Any]:
    """A sample event."""
    found: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return found


def now(name: str, **changes: Any) -> dict[str, Any]:
    """A sample event of this moment: a turn must be answered soon after it was asked."""
    found = event(name)
    found["requestContext"]["timeEpoch"] = int(time.time() * 1000)
    return {**found, **changes}


def items(client: Any, prefix: str) -> list[dict[str, Any]]:
    """The table's items whose partition key begins so."""
    found = client.scan(TableName="table")["Items"]
    return [item for item in found if item["pk"]["S"].startswith(prefix)]
