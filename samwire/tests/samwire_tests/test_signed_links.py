"""A page of another site may use the links that functions have signed, and nothing like them.

How a stack takes them is in `test_permissions.py`.
"""

from __future__ import annotations

import base64
import hmac
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
import pytest
from botocore.config import Config

from samwire.services.signed_links import is_signed_link

KEY = "recordings/default/a b+c@%41/é~.wav"
OBJECT = {"Bucket": "sounds", "Key": KEY}
VERSIONS = {"version 4": "s3v4", "version 2": "s3"}
SECRETS = {"AKIAFUNCTION": "secret/+="}


def s3_client(version: str, key: str, secret: str, endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token="token/+=",
        config=Config(signature_version=version),
    )


def link(
    version: str,
    operation: str = "get_object",
    expires_s: int = 60,
    secret: str = SECRETS["AKIAFUNCTION"],
    **more: str,
) -> str:
    client = s3_client(version, "AKIAFUNCTION", secret, "http://127.0.0.1:5000")
    arguments = {**({} if operation == "list_buckets" else OBJECT), **more}
    if operation == "list_objects_v2":
        del arguments["Key"]
    return str(client.generate_presigned_url(operation, arguments, ExpiresIn=expires_s))


def environ(url: str, method: str = "GET", **headers: str) -> dict[str, str]:
    parts = urlsplit(url)
    given = {
        "REQUEST_METHOD": method,
        "RAW_URI": f"{parts.path}?{parts.query}",
        "QUERY_STRING": parts.query,
        "CONTENT_TYPE": headers.pop("content_type", ""),
        "HTTP_HOST": parts.netloc,
    }
    return {**given, **{f"HTTP_{name.upper()}": value for name, value in headers.items()}}


def is_given(*arguments: str, **headers: str) -> bool:
    return is_signed_link(environ(*arguments, **headers), SECRETS.get)


@pytest.fixture(params=list(VERSIONS.values()), ids=list(VERSIONS))
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_link_is_good_for_what_it_was_signed_for(version: str) -> None:
    assert is_given(link(version))
    assert is_given(link(version, ResponseContentType="audio/wav"))
    assert is_given(link(version, "head_object"), "HEAD")
    assert is_given(link(version, "put_object"), "PUT")
    typed = link(version, "put_object", ContentType="audio/wav")
    assert is_given(typed, "PUT", content_type="audio/wav")


def test_a_browser_may_ask_whether_it_may_use_a_link(version: str) -> None:
    url = link(version, "put_object")
    assert is_given(url, "OPTIONS", access_control_request_method="PUT")
    assert not is_given(url, "OPTIONS", access_control_request_method="DELETE")
    assert not is_given(url, "OPTIONS")


def test_a_link_is_good_for_nothing_else(version: str) -> None:
    url = link(version)
    assert not is_given(url, "PUT")
    assert not is_given(url.replace("/sounds/", "/secrets/"))
    assert not is_given(url.replace("recordings", "moto-api"))
    assert not is_given(url + "&versionId=1")
    assert not is_given(url, x_amz_target="secretsmanager.ListSecrets")
    assert not is_given(url, authorization="AWS4-HMAC-SHA256 Credential=x")
    assert not is_given(link(version, "put_object"), "PUT", x_amz_copy_source="/secrets/a")
    assert not is_given(link(version, secret="guessed"))
    assert not is_given(url.replace("AKIAFUNCTION", "AKIANOBODY"))


def test_only_links_to_objects_count(version: str) -> None:
    assert not is_given(link(version, "list_objects_v2"))
    assert not is_given(link(version, "list_buckets"))
    assert not is_given(link(version, "delete_object"), "DELETE")


def test_a_link_expires(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = link(version, expires_s=60)
    late = time.time() + 62
    monkeypatch.setattr(time, "time", lambda: late)
    assert not is_given(url)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=1",
        "Signature=1",
        "AWSAccessKeyId=AKIAFUNCTION&Signature=1",
        "AWSAccessKeyId=AKIAFUNCTION&Signature=1&Expires=4000000000",
        "AWSAccessKeyId=AKIAFUNCTION&Signature=%C3%A9&Expires=soon",
        "AWSAccessKeyId=AKIAFUNCTION&Signature=1&Expires=" + "9" * 5_000,
        "AWSAccessKeyId=AKIAFUNCTION&Signature=1&Expires=-1",
        "AWSAccessKeyId=AKIAFUNCTION&Signature=1&Expires=%C2%B2",
        "AWSAccessKeyId=AKIAFUNCTION&Signature=1&Expires=",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAFUNCTION/20260101/us-east-1/s3/"
        "aws4_request&X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=1"
        "&X-Amz-Expires=" + "9" * 5_000,
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAFUNCTION/20260101/us-east-1/s3/"
        "aws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=9000000000"
        "&X-Amz-SignedHeaders=host&X-Amz-Signature=%C3%A9",
    ],
)
def test_what_only_looks_like_a_link_is_none(query: str) -> None:
    assert not is_given(f"http://127.0.0.1:5000/sounds/a?{query}")


@pytest.mark.parametrize("expires", ["\u0664" * 10, "9" * 5_000, "+4000000000"])
def test_a_time_in_other_digits_is_none(expires: str) -> None:
    parts = urlsplit(link("s3"))
    query = {**dict(parse_qsl(parts.query)), "Expires": expires}
    text = f"GET\n\n\n{expires}\nx-amz-security-token:{query['x-amz-security-token']}\n{parts.path}"
    digest = hmac.digest(SECRETS["AKIAFUNCTION"].encode(), text.encode(), "sha1")
    query["Signature"] = base64.b64encode(digest).decode()
    assert not is_given(f"http://127.0.0.1:5000{parts.path}?{urlencode(query)}")
