"""Tools in a request of the Messages API, checked as strictly as Anthropic does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from parley_standins.chat_tools import schema_problem
from parley_standins.chatbot import Message
from parley_standins.claude_errors import refuse
from parley_standins.tool_talk import Call, CallAnswer, Choice, Offer

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_CHOICES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "any": "required",
    "none": "none",
    "tool": "required",
}


def read_offers(body: dict[str, Any]) -> list[Offer]:
    """Return the tools that a request offers.

    Raises:
        Refused: naming the field.
    """
    if "tools" not in body:
        return []
    tools = body["tools"]
    if not isinstance(tools, list):
        raise refuse("tools", "tools: Input should be a valid list")
    if not tools:
        raise refuse(
            "empty_tools", "tools: List should have at least 1 item after validation, not 0"
        )
    offers = [_offer(tool, f"tools.{at}.custom") for at, tool in enumerate(tools)]
    if len({offer.name for offer in offers}) < len(offers):
        raise refuse("duplicate_tool", "tools: Tool names must be unique.")
    return offers


def _offer(tool: Any, where: str) -> Offer:
    if not isinstance(tool, dict):
        raise refuse("tools", f"{where}: Input should be a valid dictionary")
    for field in tool:
        if field not in _FIELDS:
            raise refuse("tools", f"{where}.{field}: Extra inputs are not permitted")
    name, schema = tool.get("name"), tool.get("input_schema")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        pattern = "^[a-zA-Z0-9_-]{1,128}$"
        raise refuse("tool_name", f"{where}.name: String should match pattern '{pattern}'")
    if not isinstance(schema, dict):
        raise refuse("schema", f"{where}.input_schema: Field required")
    if schema.get("type") != "object":
        raise refuse("schema", f"{where}.input_schema.type: Input should be 'object'")
    if "properties" in schema and (problem := schema_problem(schema)):
        message = f"{where}.input_schema: JSON schema is invalid: {problem}"
        raise refuse("schema", message)
    return Offer(name, str(tool.get("description", "")), schema)


_FIELDS = frozenset(
    {"name", "description", "input_schema", "type", "cache_control", "strict", "input_examples"}
)


def read_choice(body: dict[str, Any], offers: Sequence[Offer]) -> Choice:
    """Return whether the reply has to call a tool.

    Raises:
        Refused: naming the field.
    """
    given = body.get("tool_choice")
    if given is None:
        return Choice()
    if not offers:
        message = "tool_choice: tool_choice may only be specified while providing tools"
        raise refuse("tool_choice", message)
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in _CHOICES:
        raise refuse(
            "tool_choice",
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the "
            "expected tags: 'auto', 'any', 'tool', 'none'",
        )
    name = str(given.get("name", "")) if kind == "tool" else ""
    if kind == "tool" and name not in {offer.name for offer in offers}:
        message = f"tool_choice.tool.name: Tool '{name}' not found in provided tools"
        raise refuse("tool_choice", message)
    return Choice(_CHOICES[kind], name)


def read_messages(given: Any) -> list[Message]:
    """Return the messages, each result with its call. Neighbours of one role are joined.

    Raises:
        Refused: naming the field.
    """
    turns = _joined(given)
    found: list[Message] = []
    due: dict[str, Call] = {}
    for at, (role, blocks) in enumerate(turns):
        where = f"messages.{at}"
        answers = _answers(blocks, where, due) if role == "user" else ()
        if due:
            ids = ", ".join(due)
            raise refuse(
                "call_without_result",
                f"{where}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {ids}. Each `tool_use` block must have a corresponding `tool_result` "
                "block in the next message.",
            )
        if answers:
            found.append(Message("tool", "", answers=answers))
        rest = [block for block in blocks if block.get("type") not in _NO_TEXT]
        calls = _calls(blocks, where) if role == "assistant" else ()
        text = "\n".join(text_of(block, where) for block in rest)
        if text or calls:
            found.append(Message(role, text, calls=calls))
        due = {call.id: call for call in calls}
    if found[0].role != "user":
        raise refuse("request", 'messages: first message must use the "user" role')
    if turns[-1][0] != "user":
        raise refuse("request", "This model does not support assistant message prefill.")
    return found


_NO_TEXT = ("tool_use", "tool_result", "thinking", "redacted_thinking")


def _joined(given: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    if not isinstance(given, list) or not given:
        raise refuse("request", "messages: at least one message is required")
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for at, message in enumerate(given):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant"):
            raise refuse("request", f"messages.{at}.role: Input should be 'user' or 'assistant'")
        if "content" not in message:
            raise refuse("content", f"messages.{at}.content: Field required")
        content = message["content"]
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        if not blocks or not all(isinstance(block, dict) for block in blocks):
            raise refuse("content", f"messages.{at}: all messages must have non-empty content")
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, list(blocks)))
    return turns


def text_of(block: Any, where: str) -> str:
    """Return the text of a block.

    Raises:
        Refused: it has none.
    """
    text = block.get("text") if isinstance(block, dict) else None
    if not isinstance(text, str):
        message = f"{where}: Input should be a valid string or a list of text blocks"
        raise refuse("content", message)
    if not text.strip():
        raise refuse("content", f"{where}: text content blocks must be non-empty")
    return text


def _calls(blocks: Sequence[dict[str, Any]], where: str) -> tuple[Call, ...]:
    calls = tuple(
        _call(block, f"{where}.content.{at}.tool_use")
        for at, block in enumerate(blocks)
        if block.get("type") == "tool_use"
    )
    if len({call.id for call in calls}) < len(calls):
        raise refuse("duplicate_id", f"{where}: `tool_use` ids must be unique")
    return calls


def _call(block: dict[str, Any], where: str) -> Call:
    for field in ("id", "name", "input"):
        if field not in block:
            raise refuse("call", f"{where}.{field}: Field required")
    if not isinstance(block["input"], dict):
        raise refuse("call", f"{where}.input: Input should be a valid dictionary")
    if not _ID.fullmatch(str(block["id"])):
        raise refuse("id", f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not _NAME.fullmatch(str(block["name"])):
        raise refuse("tool_name", f"{where}.name: String should match pattern '{_NAME.pattern}'")
    return Call(block["name"], block["input"], block["id"])


def _answers(
    blocks: Sequence[dict[str, Any]], where: str, due: dict[str, Call]
) -> tuple[CallAnswer, ...]:
    """Return the results that a message begins with, and take them off what is due."""
    known = set(due)
    found: list[CallAnswer] = []
    for at, block in enumerate(blocks):
        if block.get("type") != "tool_result":
            continue
        given = block.get("tool_use_id")
        if not isinstance(given, str):
            message = f"{where}.content.{at}.tool_result.tool_use_id: Field required"
            raise refuse("result", message)
        if given not in known:
            raise refuse(
                "result_without_call",
                f"{where}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{given}. Each `tool_result` block must have a corresponding `tool_use` block in "
                "the previous message.",
            )
        if given not in due:
            raise refuse(
                "duplicate_result",
                f"{where}.content.{at}: each tool_use must have a single result. Found multiple "
                f"`tool_result` blocks with id: {given}",
            )
        if at != len(found):
            raise refuse(
                "result_out_of_place",
                f"{where}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {given}. `tool_result` blocks have to come first.",
            )
        text = _result_text(block.get("content", ""), f"{where}.content.{at}.tool_result")
        found.append(CallAnswer(due.pop(given), text, bool(block.get("is_error"))))
    return tuple(found)


def _result_text(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise refuse("result", f"{where}.content: Input should be a valid string")
    return "\n".join(text_of(block, where) for block in content)


def check_use(messages: Sequence[Message], offers: Sequence[Offer]) -> None:
    """Check that who tells of calls offers tools.

    Raises:
        Refused: it does not.
    """
    if not offers and any(message.calls for message in messages):
        raise refuse(
            "no_tools",
            "Requests which include `tool_use` or `tool_result` blocks must define tools",
        )


def check_thoughts(given: Sequence[Any]) -> None:
    """Check that the calls of this turn come with the thought before them.

    Raises:
        Refused: they don't.
    """
    turns = [(role, [block.get("type") for block in blocks]) for role, blocks in _joined(given)]
    said = max(at for at, (role, kinds) in enumerate(turns) if _is_said(role, kinds))
    for at, (role, kinds) in enumerate(turns):
        if at > said and role == "assistant" and "tool_use" in kinds and kinds[0] not in _THOUGHTS:
            raise refuse(
                "missing_thinking",
                f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
                f"found `{kinds[0]}`. When `thinking` is enabled, a final `assistant` message must "
                "start with a thinking block (preceeding the lastmost set of `tool_use` and "
                "`tool_result` blocks).",
            )


def _is_said(role: str, kinds: Sequence[object]) -> bool:
    return role == "user" and "tool_result" not in kinds


_THOUGHTS = ("thinking", "redacted_thinking")
