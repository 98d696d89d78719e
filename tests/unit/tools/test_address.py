"""A webhook's address and its places."""

from __future__ import annotations

from typing import Any

import pytest

from parley.tools.address import BadArgument, read_address

ADDRESS = read_address("https://shop.example.com/orders/{order}/lines?note={note}&v=1")


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        ({"order": "A-1", "note": "x"}, "/orders/A-1/lines?note=x&v=1"),
        ({"order": "a/b", "note": "../1&v=2#"}, "/orders/a%2Fb/lines?note=..%2F1%26v%3D2%23&v=1"),
        ({"order": "@evil.com:1?x", "note": ""}, "/orders/%40evil.com%3A1%3Fx/lines?note=&v=1"),
        ({"order": "ä \r\nX: y", "note": ""}, "/orders/%C3%A4%20%0D%0AX%3A%20y/lines?note=&v=1"),
        ({"order": "{note}", "note": "{order}"}, "/orders/%7Bnote%7D/lines?note=%7Border%7D&v=1"),
        ({"order": "\ud800"}, "/orders/%3F/lines?note=&v=1"),
        ({"order": 7, "note": True}, "/orders/7/lines?note=true&v=1"),
    ],
)
def test_no_argument_leaves_its_place(arguments: dict[str, Any], target: str) -> None:
    assert ADDRESS.fill(arguments) == target
    assert (ADDRESS.host, ADDRESS.port, ADDRESS.scheme) == ("shop.example.com", 443, "https")


@pytest.mark.parametrize(
    "order", ["..", ".", "", None, 9_000 * "x", "a/../../b", "..\\x", "/x", "x//y"]
)
def test_an_argument_that_would_name_another_folder_is_refused(order: Any) -> None:
    with pytest.raises(BadArgument, match="argument"):
        ADDRESS.fill({"order": order, "note": "x"})


@pytest.mark.parametrize(
    "text",
    [
        "https://{order}.example.com/",
        "https://example.com:{port}/",
        "{scheme}://example.com/",
        "https://{user}@example.com/",
    ],
)
def test_a_host_has_no_place_for_an_argument(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a URL|only in its path"):
        read_address(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("example.com/orders", "must be a URL"),
        ("ftp://example.com/", "must be a URL"),
        ("https://user:secret@example.com/", "use secret"),
        ("https://example.com:99999/", "port"),
        ("https://example.com/{or der}", "brace"),
    ],
)
def test_an_address_that_is_none_says_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_address(text)


def test_a_host_is_ascii_and_a_port_in_it_only_if_it_is_another() -> None:
    assert read_address("https://Bücher.example/").authority == "xn--bcher-kva.example"
    assert read_address("https://[2606:4700::1]:8443/x").authority == "[2606:4700::1]:8443"
