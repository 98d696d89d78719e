"""A tool's answer as the model is told of it."""

from __future__ import annotations

import json
import re
from typing import Any

from parley.protocol.messages import MAX_RESULT_CHARS
from parley.protocol.tool_rounds import CallResult
from parley.tools.sentences import CUT, NO_RESULT, UNKNOWN, failed
from parley.tools.tool import Answer, ToolFailed, ToolSpec

MAX_RESULT_BYTES = 24_000
"""As UTF-8: what 8,000 characters of Chinese or Japanese have. Eight fit into an item of a
round."""
_UNSHOWN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Control characters: JSON writes each with six."""


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


def fit_result(result: CallResult) -> CallResult:
    """Return a result that can be recorded and sent, whatever a stranger has put into it."""
    return CallResult(result.outcome, _cut(result.text))


def _cut(text: str) -> str:
    # Half a character cannot be sent to anybody.
    sound = _UNSHOWN.sub(" ", text[: MAX_RESULT_CHARS + 1]).encode(errors="replace")
    if len(text) <= MAX_RESULT_CHARS and len(sound) <= MAX_RESULT_BYTES:
        return sound.decode()
    kept = sound[: MAX_RESULT_BYTES - len(CUT)].decode(errors="ignore")
    return kept[: MAX_RESULT_CHARS - len(CUT)] + CUT
