"""Which pages may connect."""

from __future__ import annotations

import pytest

from parley.auth.origins import AllowedOrigins
from parley.errors import ConfigurationError


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("*", "https://anything.example"),
        ("*", "null"),
        ("", "https://anything.example"),
        ("https://app.example.com", "https://app.example.com"),
        ("https://a.example, https://b.example", "https://b.example"),
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:3001", "http://localhost:3001"),
        ("https://*.example.com", "https://app.example.com"),
        ("https://*.example.com", "https://a.b.example.com"),
        ("https://*.example.com:8443", "https://app.example.com:8443"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("http://[::1]:3001", "http://[::1]:3001"),
    ],
)
def test_an_origin_on_the_list_is_allowed(allowed: str, origin: str) -> None:
    assert AllowedOrigins(allowed).allow([origin])


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("https://app.example.com", "https://evil.example"),
        ("https://app.example.com", "http://app.example.com"),
        ("https://app.example.com", "https://app.example.com:8443"),
        ("https://app.example.com", "https://app.example.com.evil.example"),
        ("https://app.example.com", "https://evilapp.example.com"),
        ("https://app.example.com", "https://app.example.com@evil.example"),
        ("https://app.example.com", "https://evil.example/https://app.example.com"),
        ("https://app.example.com", "null"),
        ("https://app.example.com", ""),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://evilexample.com"),
        ("https://*.example.com", "https://example.com.evil.example"),
        ("https://*.example.com", "https://*.example.com"),
        ("https://*.example.com", "https://*.a.example.com"),
    ],
)
def test_another_origin_is_not(allowed: str, origin: str) -> None:
    assert not AllowedOrigins(allowed).allow([origin])


def test_a_client_that_names_no_origin_is_no_browser_and_allowed() -> None:
    assert AllowedOrigins("https://app.example.com").allow([])


def test_every_origin_of_a_handshake_must_be_allowed() -> None:
    origins = AllowedOrigins("https://app.example.com")
    assert not origins.allow(["https://app.example.com", "https://evil.example"])


@pytest.mark.parametrize(
    "entry",
    ["app.example.com", "https://app.example.com/", "https://*", "https://a.*.com", "https://"],
)
def test_an_entry_that_is_no_origin_is_named(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="ALLOWED_ORIGINS") as refused:
        AllowedOrigins(f"https://good.example,{entry}")
    assert entry in str(refused.value)
