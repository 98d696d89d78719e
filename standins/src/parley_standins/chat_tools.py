"""Tools in a request of the chat protocol, checked as strictly as real endpoints do.

A request that one endpoint takes and another refuses is refused: what passes here passes anywhere.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from parley_standins.chat_errors import BadRequest
from parley_standins.chatbot import Message
from parley_standins.faults import ChatOddities
from parley_standins.tool_talk import Call, CallAnswer, Choice, Offer

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")


def _refused(reason: str, message: str, param: str, code: str | None = None) -> BadRequest:
    return BadRequest(400, message, code, param, reason)


def read_offers(body: dict[str, Any]) -> list[Offer]:
    """Return the tools that a request offers.

    Raises:
        BadRequest: naming the field.
    """
    tools = body.get("tools")
    if "tools" not in body:
        return []
    if not isinstance(tools, list):
        raise _refused("tools", "Invalid type for 'tools': expected an array.", "tools")
    if not tools:
        raise _refused(
            "empty_tools",
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            "tools",
            "empty_array",
        )
    offers = [_offer(tool, f"tools[{at}]") for at, tool in enumerate(tools)]
    if len({offer.name for offer in offers}) < len(offers):
        raise _refused("duplicate_tool", "Tool names must be unique.", "tools")
    return offers


def _offer(tool: Any, where: str) -> Offer:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or tool.get("type") != "function":
        message = f"Missing required parameter: '{where}.function'."
        raise _refused("tools", message, f"{where}.function", "missing_required_parameter")
    name, schema = function.get("name"), function.get("parameters") or {}
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _refused(
            "tool_name",
            f"Invalid '{where}.function.name': string does not match pattern. Expected a string "
            "that matches the pattern '^[a-zA-Z0-9_-]{1,64}$'.",
            f"{where}.function.name",
            "invalid_value",
        )
    if problem := schema_problem(schema):
        raise _refused(
            "schema",
            f"Invalid schema for function '{name}': {problem}",
            f"{where}.function.parameters",
            "invalid_function_parameters",
        )
    description = function.get("description", "")
    if not isinstance(description, str):
        raise _refused("tools", f"Invalid type for '{where}.function.description'.", where)
    return Offer(name, description, schema)


def schema_problem(schema: Any) -> str:
    """Say what is wrong with the schema of a tool's arguments; empty if it is right."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind != "object":
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not all(
        isinstance(of, dict) for of in properties.values()
    ):
        return "'properties' must be an object of schemas."
    required = schema.get("required", [])
    if not isinstance(required, list) or not set(map(str, required)) <= set(properties):
        return "'required' must be an array of keys in properties."
    return ""


def read_choice(body: dict[str, Any], offers: Sequence[Offer]) -> Choice:
    """Return whether the reply has to call a tool.

    Raises:
        BadRequest: naming the field.
    """
    for field in ("tool_choice", "parallel_tool_calls"):
        if body.get(field) is not None and not offers:
            message = (
                f"Invalid value for '{field}': '{field}' is only allowed when 'tools' are "
                "specified."
            )
            raise _refused("tool_choice", message, field)
    choice = body.get("tool_choice") or "auto"
    match choice:
        case "auto" | "none" | "required":
            return Choice(choice)
        case {"type": "function", "function": {"name": str(name)}}:
            if name not in {offer.name for offer in offers}:
                message = f"Tool choice '{name}' not found in 'tools' parameter."
                raise _refused("tool_choice", message, "tool_choice")
            return Choice("required", name)
    raise _refused(
        "tool_choice",
        f"Invalid value: {choice!r}. Supported values are: 'none', 'auto', and 'required'.",
        "tool_choice",
        "invalid_value",
    )


def read_messages(given: Sequence[Any]) -> list[Message]:
    """Return the messages, each result with its call.

    Raises:
        BadRequest: naming the field.
    """
    found: list[Message] = []
    due: dict[str, Call] = {}
    for at, message in enumerate(given):
        where = f"messages[{at}]"
        role = _role(message, where)
        if role == "tool":
            found.append(_result(message, where, due, found))
            continue
        _check_nothing_due(due, where)
        if role == "assistant":
            found.append(_assistant(message, where))
            due = {call.id: call for call in found[-1].calls}
        else:
            found.append(Message(role, _text(message, where)))
    _check_nothing_due(due, f"messages[{len(given)}]")
    return found


def _role(message: Any, where: str) -> str:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        roles = ", ".join(sorted(ROLES))
        raise BadRequest(400, f"{where}.role has to be one of {roles}.", param=f"{where}.role")
    return str(message["role"])


def _text(message: dict[str, Any], where: str) -> str:
    content = message.get("content")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        content = "".join(str(part.get("text", "")) for part in parts)
    if not isinstance(content, str | None):
        raise BadRequest(
            400, f"{where}.content has to be a string or a list of parts.", param=f"{where}.content"
        )
    return content or ""


def _assistant(message: dict[str, Any], where: str) -> Message:
    text, calls = _text(message, where), message.get("tool_calls")
    if message.get("content") is None and calls is None:
        raise _refused(
            "content",
            f"Invalid value for '{where}.content': expected a string, got null.",
            f"{where}.content",
        )
    if "tool_calls" not in message:
        return Message("assistant", text)
    if not isinstance(calls, list) or not calls:
        raise _refused(
            "empty_tool_calls",
            f"Invalid '{where}.tool_calls': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead.",
            f"{where}.tool_calls",
            "empty_array",
        )
    read = tuple(_call(call, f"{where}.tool_calls[{at}]") for at, call in enumerate(calls))
    if len({call.id for call in read}) < len(read):
        message_ = f"Duplicate tool call ids in '{where}.tool_calls'."
        raise _refused("duplicate_id", message_, f"{where}.tool_calls")
    return Message("assistant", text, calls=read)


def _call(call: Any, where: str) -> Call:
    match call:
        case {"id": str(given), "type": "function", "function": {"name": str(name), **rest}}:
            arguments = rest.get("arguments")
        case _:
            message = f"Missing required parameter: '{where}' needs id, type and function."
            raise _refused("call", message, where, "missing_required_parameter")
    if not given or not isinstance(arguments, str):
        message = f"Invalid type for '{where}.function.arguments': expected a string."
        raise _refused("call", message, f"{where}.function.arguments", "invalid_type")
    if not _NAME.fullmatch(name):
        message = f"Invalid '{where}.function.name': string does not match pattern."
        raise _refused("tool_name", message, f"{where}.function.name", "invalid_value")
    try:
        read = json.loads(arguments)
    except ValueError:
        read = {}
    return Call(name, read if isinstance(read, dict) else {}, given)


def _result(
    message: dict[str, Any], where: str, due: dict[str, Call], found: Sequence[Message]
) -> Message:
    given = message.get("tool_call_id")
    if not isinstance(given, str):
        text = f"Missing required parameter: '{where}.tool_call_id'."
        raise _refused("result", text, f"{where}.tool_call_id", "missing_required_parameter")
    if not found or not (found[-1].calls or found[-1].role == "tool"):
        raise _refused(
            "result_out_of_place",
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'.",
            f"{where}.role",
        )
    if given not in due:
        raise _refused(
            "result_without_call",
            f"Invalid parameter: 'tool_call_id' of '{given}' not found in 'tool_calls' of previous "
            "message.",
            f"{where}.tool_call_id",
        )
    if not isinstance(message.get("content"), str | list) or not _text(message, where):
        text = f"Invalid value for '{where}.content': expected a string with text."
        raise _refused("result", text, f"{where}.content")
    text = _text(message, where)
    return Message("tool", text, answers=(CallAnswer(due.pop(given), text),))


def _check_nothing_due(due: dict[str, Call], where: str) -> None:
    if due:
        raise _refused(
            "call_without_result",
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(due)}",
            f"{where}.role",
        )


def check_oddities(given: Sequence[dict[str, Any]], oddities: ChatOddities) -> None:
    """Refuse what some endpoints alone refuse.

    Raises:
        BadRequest: in their words.
    """
    roles = [message["role"] for message in given]
    if oddities.no_user_after_results and ("tool", "user") in itertools.pairwise(roles):
        text = "Unexpected role 'user' after role 'tool'"
        raise _refused("user_after_results", text, "messages", "invalid_request_message_order")
    if oddities.short_ids and not all(_SHORT_ID.fullmatch(call["id"]) for call in _calls(given)):
        text = "Tool call id must be a-z, A-Z, 0-9, with a length of 9."
        raise _refused("id", text, "messages", "invalid_function_call")
    if oddities.must_echo == "thought_signature":
        for call in _calls(given):
            if not _signature(call):
                text = (
                    "Function call is missing a thought_signature in functionCall parts. "
                    f"function call `default_api:{call['function']['name']}`"
                )
                raise _refused("missing_thought_signature", text, "messages")
    if oddities.must_echo == "reasoning_content":
        for at, message in enumerate(given):
            if message.get("tool_calls") and not message.get("reasoning_content"):
                text = (
                    "thinking is enabled but reasoning_content is missing in assistant tool call "
                    f"message at index {at}"
                )
                raise _refused("missing_reasoning_content", text, "messages")


def _calls(given: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in given:
        yield from message.get("tool_calls") or ()


def _signature(call: dict[str, Any]) -> str:
    match call:
        case {"extra_content": {"google": {"thought_signature": str(signature)}}}:
            return signature
    return ""
