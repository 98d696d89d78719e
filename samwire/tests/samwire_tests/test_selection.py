"""Route selection expressions, as the developer guide gives them."""

from __future__ import annotations

import pytest

from samwire.gateway.selection import selected_key

JOIN = '{"service": "chat", "action": "join", "n": 1, "ok": true, "items": ["a", "b"]}'


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        ("$request.body.action", "join"),
        ("${request.body.action}", "join"),
        ("${request.body.service}/${request.body.action}", "chat/join"),
        ("${request.body.action}-${request.body.bad}", "join-"),
        ("action", "action"),
        ("\\$default", "$default"),
        ("$request.body.n", "1"),
        ("$request.body.ok", "true"),
        ("$request.body.items", "[a, b]"),
        ("$request.body.missing", ""),
        ("$request.body.service.deeper", ""),
    ],
)
def test_expressions(expression: str, key: str) -> None:
    assert selected_key(expression, JOIN) == key


@pytest.mark.parametrize("body", ["hello", "", "[1]", "7", '"x"', "[" * 100_000])
def test_what_is_no_json_object_goes_to_default(body: str) -> None:
    assert selected_key("$request.body.action", body) == "$default"
