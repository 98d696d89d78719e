"""The authorities that servers are checked by: read once, and only where somebody is checked."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import certifi
import httpx
import pytest
import trustme

from parley.aio.authorities import find_authorities, usual_authorities
from parley.aws.connection import tls_context
from parley.providers.http_client import make_http_client
from tests.unit.chat_server import endpoint, plain
from tests.unit.speech_server import closed_port

BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


@pytest.fixture(autouse=True)
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """How often Mozilla's authorities are read, in an environment that names no others."""
    where, read = certifi.where, list[str]()

    def counted() -> str:
        read.append(where())
        return read[-1]

    for name in BUNDLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(certifi, "where", counted)
    find_authorities.cache_clear()
    yield read
    find_authorities.cache_clear()


async def test_a_client_reads_none_for_a_plain_url_and_some_for_tls(read: list[str]) -> None:
    async with endpoint(plain("200 OK")) as there, make_http_client() as client:
        assert (await client.get(there.url)).status_code == 200
        assert read == []
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                await client.get(f"https://127.0.0.1:{closed_port()}/")
        assert len(read) == 1


def test_aws_and_the_providers_share_those_that_are_read(read: list[str]) -> None:
    assert tls_context() is usual_authorities().read()
    assert len(read) == 1


def test_a_bundle_for_aws_is_not_the_providers(
    read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(file))
    assert len(tls_context().get_ca_certs()) == 1
    assert len(usual_authorities().read().get_ca_certs()) > 1
    assert len(read) == 1


def test_nobody_is_trusted_before(read: list[str]) -> None:
    unread = usual_authorities().unread
    assert (unread.verify_mode, unread.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert unread.get_ca_certs() == []
    assert read == []


async def test_a_bundle_that_cannot_be_read_is_a_failure_to_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    async with make_http_client() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"https://127.0.0.1:{closed_port()}/")
