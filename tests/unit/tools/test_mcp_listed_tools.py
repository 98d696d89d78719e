"""From what a server lists to what a model is offered."""

from __future__ import annotations

import re
from typing import Any

import pytest

from parley.tools.mcp.headers import header_value, parameter_headers
from parley.tools.mcp.listed_tools import ListedTool, offered_name, read_tools
from parley.tools.mcp_server import McpServer

OBJECT = {"type": "object"}


def read(*listed: Any, **options: Any) -> tuple[dict[str, ListedTool], list[tuple[str, str]]]:
    """The tools that are offered, and those that are not, each with why."""
    dropped: list[tuple[str, str]] = []
    server = McpServer("shop", "https://shop.example/mcp", **options)
    tools = read_tools(server, listed, lambda name, reason: dropped.append((name, reason)))
    return tools, dropped


def with_parameter(annotated: Any, **around: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"place": annotated}, **around}
    return {"name": "act", "inputSchema": schema}


def test_a_tool_is_named_after_its_server_in_letters_that_models_take() -> None:
    assert offered_name("shop", "order.status") == "shop_order_status"
    assert offered_name("shop", "größe") == "shop_gr__e"


def test_a_long_name_is_cut_and_stays_the_tools_own() -> None:
    names = {offered_name("shop", "x" * 100 + end) for end in "ab"}
    assert len(names) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{64}", name) for name in names)


def test_of_two_tools_with_one_name_the_first_is_offered() -> None:
    tools, dropped = read(
        {"name": "a.b", "inputSchema": OBJECT}, {"name": "a/b", "inputSchema": OBJECT}
    )
    assert [tool.own_name for tool in tools.values()] == ["a.b"]
    assert dropped == [("a/b", "name_taken")]


def test_only_the_tools_that_the_deployer_names_are_offered() -> None:
    listed = [{"name": name, "inputSchema": OBJECT} for name in ("look", "delete")]
    tools, dropped = read(*listed, tools=["look", "gone"])
    assert list(tools) == ["shop_look"]
    assert dropped == [("gone", "not_listed")]


@pytest.mark.parametrize("schema", [None, [], {}, {"type": "string"}, {"type": ["object"]}])
def test_a_tool_without_the_schema_of_an_object_is_dropped(schema: Any) -> None:
    assert read({"name": "act", "inputSchema": schema}) == ({}, [("act", "no_object_schema")])


def test_a_schema_loses_what_vendors_of_models_refuse_and_no_parameter() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "$schema": {"type": "string"},
            "region": {"type": "string", "x-mcp-header": "Region"},
        },
    }
    tools, _ = read({"name": "act", "inputSchema": schema})
    assert tools["shop_act"].offer.schema == {
        "type": "object",
        "properties": {"$schema": {"type": "string"}, "region": {"type": "string"}},
    }


def test_a_tool_without_parameters_has_an_empty_list_of_them() -> None:
    tools, _ = read({"name": "act", "inputSchema": OBJECT})
    assert tools["shop_act"].offer.schema == {"type": "object", "properties": {}}


def test_a_strangers_description_takes_a_bounded_share_of_the_prompt() -> None:
    tools, _ = read({"name": "act", "description": "x" * 9_000, "inputSchema": OBJECT})
    assert len(tools["shop_act"].offer.description) == 1_024


def test_what_is_no_tool_is_passed_over() -> None:
    assert read(None, "act", {"name": 1}, {"inputSchema": OBJECT}) == ({}, [])


@pytest.mark.parametrize(
    "listed",
    [
        with_parameter({"type": "string", "x-mcp-header": ""}),
        with_parameter({"type": "string", "x-mcp-header": "A\r\nB: c"}),
        with_parameter({"type": "string", "x-mcp-header": 1}),
        with_parameter({"type": "number", "x-mcp-header": "Place"}),
        with_parameter({"type": "array", "items": {"type": "string", "x-mcp-header": "Place"}}),
        with_parameter(
            {"type": "string", "x-mcp-header": "Place"},
            anyOf=[{"properties": {"b": {"type": "string", "x-mcp-header": "B"}}}],
        ),
        with_parameter(
            {
                "type": "object",
                "properties": {
                    "a": {"type": "string", "x-mcp-header": "Place"},
                    "b": {"type": "string", "x-mcp-header": "place"},
                },
            }
        ),
    ],
)
def test_a_tool_with_a_forbidden_annotation_is_dropped(listed: dict[str, Any]) -> None:
    assert read(listed) == ({}, [("act", "bad_header_annotation")])


def test_annotated_parameters_are_sent_as_headers_wherever_they_are() -> None:
    inner = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "x-mcp-header": "City"},
            "level": {"type": "integer", "x-mcp-header": "Level"},
            "open": {"type": "boolean", "x-mcp-header": "Open"},
            "x-mcp-header": {"type": "string"},
        },
    }
    tools, _ = read(with_parameter(inner))
    arguments = {"place": {"city": "Ulm", "level": -7, "open": True, "x-mcp-header": "no"}}
    found = parameter_headers(tools["shop_act"].parameters, arguments)
    assert found == {
        "Mcp-Param-City": "Ulm",
        "Mcp-Param-Level": "-7",
        "Mcp-Param-Open": "true",
    }


@pytest.mark.parametrize("arguments", [{}, {"place": None}])
def test_a_parameter_without_a_value_has_no_header(arguments: dict[str, Any]) -> None:
    tools, _ = read(with_parameter({"type": "string", "x-mcp-header": "Place"}))
    assert parameter_headers(tools["shop_act"].parameters, arguments) == {}


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ],
)
def test_a_value_is_encoded_as_the_specification_shows(value: str, header: str) -> None:
    assert header_value(value) == header
