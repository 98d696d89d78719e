"""Which signatures are taken where they are verified, made by botocore as SDKs make them."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from samwire.gateway.request_authorization import Access, NotAllowed

URL = "https://localhost:3001/dev/@connections/abc%3D"
KEY = Credentials("key", "secret")
ACCESS = Access("eu-west-1", secret_of={"key": "secret"}.get)


def check(service: str = "execute-api", region: str = "eu-west-1", later_s: float = 0) -> None:
    """Sign in the header, and check some time later."""
    request = AWSRequest("POST", URL, data=b"hello", headers={"Host": "localhost:3001"})
    SigV4Auth(KEY, service, region).add_auth(request)
    arrive(str(request.url), dict(request.headers), b"hello", "POST", later_s)


def arrive(url: str, headers: dict[str, str], body: bytes, method: str, later_s: float = 0) -> None:
    parts, now_s = urlsplit(url), time.time() + later_s
    target = f"{parts.path}?{parts.query}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now_s)
        ACCESS.check(method, target, headers, body, "arn")


def connect(expires_s: int, later_s: float) -> None:
    """Sign a handshake in the query."""
    request = AWSRequest("GET", "wss://localhost:3001/dev", headers={"Host": "localhost:3001"})
    SigV4QueryAuth(KEY, "execute-api", "eu-west-1", expires_s).add_auth(request)
    arrive(str(request.url), {"Host": "localhost:3001"}, b"", "GET", later_s)


@pytest.mark.parametrize("later_s", [-290, 0, 290])
def test_a_signature_is_good_for_five_minutes(later_s: float) -> None:
    check(later_s=later_s)


@pytest.mark.parametrize("later_s", [-310, 310, 200_000_000])
def test_an_old_signature_is_refused_and_one_of_the_future(later_s: float) -> None:
    with pytest.raises(NotAllowed, match="expired or not yet current"):
        check(later_s=later_s)


def test_a_url_is_good_until_it_expires() -> None:
    connect(900, 890)
    with pytest.raises(NotAllowed, match="expired"):
        connect(900, 910)
    with pytest.raises(NotAllowed, match="expired"):
        connect(60, 70)


def test_a_signature_for_another_service_or_region_is_refused() -> None:
    with pytest.raises(NotAllowed, match="correct service: 'execute-api'"):
        check(service="s3")
    with pytest.raises(NotAllowed, match="valid region: 'eu-west-1'"):
        check(region="us-east-1")
