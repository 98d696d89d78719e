"""Loads functions as Lambda does: by module name, from their folder, with its sample events."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
KEY = "sk-a-key-that-nobody-may-see"
REGION = "us-east-1"


@dataclass
class Context:
    """What Lambda hands a handler besides the event."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:123456789012:function:function"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


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


def items(client: Any, prefix: str) -> list[dict[str, Any]]:
    """The table's items whose partition key begins so."""
    found = client.scan(TableName="table")["Items"]
    return [item for item in found if item["pk"]["S"].startswith(prefix)]
