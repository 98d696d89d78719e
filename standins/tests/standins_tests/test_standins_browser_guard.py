"""A web page cannot talk to a stand-in, or read what was said to it."""

from __future__ import annotations

from socket import gethostname

import pytest
from multidict import CIMultiDict

from parley_standins.browser_guard import refusal_of
from standins_tests.conftest import KEY, Standins

PAGES = [
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://localhost:8000"},
    {"Host": "evil.test"},
    {"Host": "evil.test", "Origin": "http://evil.test"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:3001"},
        {"host": "127.0.0.1"},
        {"Host": "[::1]:3001"},
        {"Host": "192.168.0.7:3001"},
        {"Host": "standin.localhost:5000"},
        {"Host": "host.docker.internal:3001"},
        {"Host": f"{gethostname()}:3001"},
        {"Host": "LOCALHOST:3001", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    ],
    ids=str,
)
def test_programs_and_who_types_the_address_are_let_in(headers: dict[str, str]) -> None:
    assert refusal_of(CIMultiDict(headers)) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil", "localhost.", "evillocalhost", "2130706433", "localhost.evil.test", "[::1"],
)
def test_a_name_that_others_can_give_is_refused(host: str) -> None:
    refused = refusal_of(CIMultiDict({"Host": host}))
    assert refused is not None
    assert "localhost" in refused


@pytest.mark.parametrize("page", PAGES, ids=str)
@pytest.mark.parametrize("path", ["/_control", "/_requests", "/v1/models"])
def test_a_page_is_refused_everything(shared: Standins, path: str, page: dict[str, str]) -> None:
    for standin in (shared.elevenlabs, shared.llm):
        own = {"Authorization": f"Bearer {KEY}", "xi-api-key": KEY}
        assert standin.http.get(path, headers=own).status_code == 200
        assert standin.http.get(path, headers={**own, **page}).status_code == 403
        assert standin.http.put(path, content="{}", headers={**own, **page}).status_code == 403
