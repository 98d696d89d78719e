"""The parameter that lists origins gets the stack's own pages, beside what is given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from samwire.gateway.origins import OwnOrigins
from samwire.listeners import Address, Listeners


@pytest.fixture
def main() -> Iterator[Address]:
    listeners = Listeners("127.0.0.1")
    yield listeners.open(0, 0)
    listeners.close()


def own(main: Address) -> list[str]:
    hosts = ("localhost", "127.0.0.1", "[::1]")
    plain = [f"http://{host}:{main.port}" for host in hosts]
    return [*plain, *(f"https://{host}:{main.tls_port}" for host in hosts)]


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({}, []),
        ({"Origins": ""}, []),
        ({"Origins": " , "}, []),
        ({"Others": "https://a.example"}, []),
        ({"Origins": "http://localhost:5173"}, ["http://localhost:5173"]),
        (
            {"Origins": "https://a.example , https://*.b.example"},
            ["https://a.example", "https://*.b.example"],
        ),
    ],
    ids=str,
)
def test_what_is_given_is_added_to_the_own_pages(
    main: Address, given: dict[str, str], more: list[str]
) -> None:
    assert OwnOrigins.of(main, "Origins", given).value.split(",") == [*own(main), *more]


@pytest.mark.parametrize("value", ["*", " * ", "https://a.example,*"])
def test_every_origin_stays_every_origin(main: Address, value: str) -> None:
    assert OwnOrigins.of(main, "Origins", {"Origins": value}).value == "*"


def test_an_own_page_that_is_given_is_listed_once(main: Address) -> None:
    found = OwnOrigins.of(main, "Origins", {"Origins": own(main)[0]}).value.split(",")
    assert found == own(main)
