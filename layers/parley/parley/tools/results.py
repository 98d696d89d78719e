"""A tool's answer as the model is told of it."""

from __future__ import annotations

import json
from typing import Any

from parley.protocol.messages import MAX_RESULT_CHARS
from parley.protocol.tool_rounds import CallResult
from parley.tools.sentences import CUT, NO_RESULT, UNKNOWN, failed
from parley.tools.tool import Answer, ToolFailed, ToolSpec


def result_of(spec: ToolSpec, answer: Answer) -> CallResult:
    """Return what the model is told of an answer: its text, or its fields as JSON, cut."""
    value = answer.value
    if spec.result and isinstance(value, dict):
        value = {name: value[name] for name in spec.result if name in value}
    return CallResult("done", _cut(_text_of(value)))


def result_of_failure(spec: ToolSpec, error: ToolFailed) -> CallResult:
    """Return what the model is told of a call without a result.

    A write that may have acted is unknown: saying that it failed would have it done twice.
    """
    if spec.effect == "write" and error.acted:
        return UNKNOWN
    return failed(error.reason, _cut(error.told))


def _text_of(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if text.strip() and value is not None else NO_RESULT


def _cut(text: str) -> str:
    return text if len(text) <= MAX_RESULT_CHARS else text[: MAX_RESULT_CHARS - len(CUT)] + CUT
