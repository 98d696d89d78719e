"""Links to objects in S3 that a function has signed for others to use ("presigned URLs").

Both kinds that SDKs make: by signature version 4, and by version 2, which boto3 still takes for
S3 in older regions if it is told nothing else.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from botocore.auth import HmacV1Auth

from samwire.signatures import (
    UNSIGNED_PAYLOAD,
    SignedRequest,
    is_current,
    is_valid,
    path_of_s3,
    signature_of,
)

SecretOf = Callable[[str], str | None]
"""The secret of an access key id; None for a key that no function has."""

_EPOCH_S = re.compile("[0-9]{1,15}")
_METHODS = ("GET", "HEAD", "PUT")


def is_signed_link(environ: Mapping[str, Any], secret_of: SecretOf) -> bool:
    """Return whether a request is one that a function has signed a link for.

    Args:
        environ: of WSGI.
    """
    method = environ["REQUEST_METHOD"]
    if method == "OPTIONS":  # a browser asks first what it is about to do
        method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD", "")
    raw_path, query = environ["RAW_URI"].partition("?")[0], environ.get("QUERY_STRING", "")
    bucket, _, key = unquote(raw_path).lstrip("/").partition("/")
    if method not in _METHODS or not (bucket and key) or "HTTP_AUTHORIZATION" in environ:
        return False
    request = SignedRequest(
        method, path_of_s3(raw_path), query, headers_of(environ), UNSIGNED_PAYLOAD
    )
    return _by_version_4(request, secret_of) or _by_version_2(request, secret_of)


def _by_version_4(request: SignedRequest, secret_of: SecretOf) -> bool:
    signature = signature_of("", request.raw_query)
    if signature is None or signature.service != "s3":
        return False
    own = {name for name in request.headers if name.startswith("x-amz-")}
    secret = secret_of(signature.access_key_id)
    return (
        secret is not None
        and own <= set(signature.signed_headers)
        and is_current(signature, request.headers, time.time())
        and is_valid(signature, secret, request)
    )


def _by_version_2(request: SignedRequest, secret_of: SecretOf) -> bool:
    query = dict(parse_qsl(request.raw_query, keep_blank_values=True))
    secret, expires = secret_of(query.get("AWSAccessKeyId", "")), query.get("Expires", "")
    if secret is None or not _EPOCH_S.fullmatch(expires) or int(expires) < time.time():
        return False
    given = {**query, **request.headers}
    names = sorted(name for name in given if name.startswith("x-amz-"))
    parts = sorted(name for name in query if name in HmacV1Auth.QSAOfInterest)
    asked = "&".join(f"{name}={query[name]}" if query[name] else name for name in parts)
    text = "\n".join(
        [
            request.method,
            *(given.get("content-md5", ""), given.get("content-type", ""), expires),
            *(f"{name}:{given[name]}" for name in names),
            request.path + (f"?{asked}" if asked else ""),
        ]
    )
    # What is checked here is as old as version 2 is: there is no other digest for it.
    expected = base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1"))
    return hmac.compare_digest(expected, query.get("Signature", "").encode())


def headers_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a request of WSGI, names in lower case."""
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = str(environ[name])
    return headers
