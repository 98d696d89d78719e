"""The event and the answer of a function of an Agent for Amazon Bedrock.

A function that Powertools' `BedrockAgentFunctionResolver` resolves works unchanged as a tool.
Source: docs.aws.amazon.com/bedrock/latest/userguide/agents-lambda.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from parley.tools.tool import Invocation, ToolFailed, ToolSpec

TYPES = ("string", "integer", "number", "boolean", "array")
_ERROR = re.compile(r'"?Error: ([A-Za-z_][\w.]{0,63}): ')
"""What Powertools answers in place of a result, when the function has raised."""


def make_event(
    spec: ToolSpec, invocation: Invocation, context: Mapping[str, str]
) -> dict[str, Any]:
    """Return the event of a call. Every value is text; the function converts it by its type.

    Args:
        context: what the function is told besides the arguments, as `sessionAttributes`.
    """
    properties = spec.offer.schema.get("properties", {})
    return {
        "messageVersion": "1.0",
        "agent": {"name": "parley", "id": "parley", "alias": "parley", "version": "1"},
        "inputText": "",
        "sessionId": context.get("session", ""),
        "actionGroup": "parley",
        "function": spec.name,
        "parameters": [
            {"name": name, "type": _type_of(properties.get(name), value), "value": _text(value)}
            for name, value in invocation.arguments.items()
        ],
        "sessionAttributes": dict(context),
        "promptSessionAttributes": {},
    }


def read_answer(value: Any) -> Any:
    """Return the result that an answer has.

    Raises:
        ToolFailed: it has none, or it is an error. Powertools answers with the text of whatever
            was raised, which may hold anything: the model is not told it.
    """
    try:
        function = value["response"]["functionResponse"]
        body, state = function["responseBody"]["TEXT"]["body"], function.get("responseState")
    except (KeyError, TypeError, AttributeError):
        raise _failure("unreadable_answer") from None
    if not isinstance(body, str):
        raise _failure("unreadable_answer")
    if raised := _ERROR.match(body):
        raise _failure("function_error", error_type=raised[1])
    if body.startswith(('"Error: ', "Error: ")):
        raise _failure("function_error")
    found = _decode(body)
    if state == "FAILURE":
        raise _failure("response_state_failure")
    if state == "REPROMPT":
        raise ToolFailed(
            "refused",
            acted=False,
            told=found if isinstance(found, str) else body,
            log_fields={"cause": "response_state_reprompt"},
        )
    return found


def _failure(cause: str, **fields: str) -> ToolFailed:
    return ToolFailed("unavailable", acted=True, log_fields={"cause": cause} | fields)


def _decode(body: str) -> Any:
    # Powertools encodes a text once more, others do not.
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def _type_of(schema: Any, value: Any) -> str:
    declared = schema.get("type") if isinstance(schema, dict) else None
    if declared in TYPES:
        return str(declared)
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "string"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
