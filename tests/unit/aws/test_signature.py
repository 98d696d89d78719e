"""Signatures, compared with botocore's: whoever checks them accepts both or neither."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials

from parley.aws.signature import Credentials, Scope, sign

AT = datetime.datetime(2026, 12, 1, 9, 5, 7, tzinfo=datetime.UTC)
JSON = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.PutItem"}
RAW = {"content-type": "application/octet-stream"}
SECRET = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "secretsmanager.Get"}
TABLE = "dynamodb.eu-west-1.amazonaws.com"
API = "a1b2.execute-api.eu-west-1.amazonaws.com"
TURN = "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aturn%3Alive"
KEYS = {
    "Lambda's": Credentials("ASIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "a/b+==" * 90),
    "without a session": Credentials("AKIDEXAMPLE", "secret"),
}
REQUESTS: dict[str, tuple[str, str, str, str, dict[str, str], bytes]] = {
    "a call of the table": ("POST", "dynamodb", TABLE, "/", JSON, b'{"TableName":"t"}'),
    "an empty body": ("POST", "dynamodb", TABLE, "/", JSON, b""),
    "a local port": ("POST", "dynamodb", "127.0.0.1:4566", "/", JSON, b"{}"),
    "a post": (
        *("POST", "execute-api", API, "/dev/@connections/PJqB0fHsqRcCHlw%3D", RAW),
        '{"delta":"né"}'.encode(),
    ),
    "a custom domain": (
        *("POST", "execute-api", "talk.example", "/@connections/a%2Bb%2Fc%3D", RAW),
        b"x" * 30_000,
    ),
    "a close": ("DELETE", "execute-api", API, "/dev/@connections/x%3D", {}, b""),
    "an invocation": (
        *("POST", "lambda", "lambda.cn-north-1.amazonaws.com.cn"),
        f"/2015-03-31/functions/{TURN}/invocations",
        {"x-amz-invocation-type": "Event"},
        b"{}",
    ),
    "a secret": ("POST", "secretsmanager", "secretsmanager.x", "/", SECRET, b"{}"),
    "white space": ("POST", "dynamodb", "h", "/", {"x-amz-target": "  a   b "}, b"{}"),
}


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("name", REQUESTS)
def test_the_signature_is_botocore_s(name: str, keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, service, host, path, headers, body = REQUESTS[name]
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_a, **_n: AT)
    theirs: Any = AWSRequest(method, f"https://{host}{path}", headers=headers, data=body)
    auth.SigV4Auth(TheirCredentials(*KEYS[keys]), service, "eu-west-1").add_auth(theirs)
    ours = sign(
        KEYS[keys],
        Scope("eu-west-1", service),
        method,
        path,
        {"host": host, **headers},
        body,
        AT.timestamp(),
    )
    wanted = {k.lower(): v for k, v in theirs.headers.items() if k.lower() not in headers}
    assert {k: v for k, v in ours.items() if v} == {k: v for k, v in wanted.items() if v}


def test_the_key_of_another_day_is_another() -> None:
    signatures = {
        sign(KEYS["without a session"], Scope("r", "s"), "POST", "/", {"host": "h"}, b"", at_s)[
            "authorization"
        ]
        for at_s in (0.0, 86_400.0)
    }
    assert len(signatures) == 2
