"""Lets only who holds a key of this stack use its services.

moto answers every caller, and its Secrets Manager holds the real keys of the providers: without
this, every program and every user of the machine could read them. A key is one of a function, the
stack's own, or one that the services themselves have given out.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape  # nosec B406  # writes XML, reads none

from botocore.exceptions import UnknownRegionError
from botocore.session import Session

from samwire.services.signed_links import headers_of
from samwire.signatures import (
    UNSIGNED_PAYLOAD,
    Signature,
    SignedRequest,
    is_current,
    is_valid,
    path_of_others,
    path_of_s3,
    signature_of,
)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
SecretOf = Callable[[str], str | None]
"""The secret of an access key id; None for a key that nobody has."""

_DIGEST = "x-amz-content-sha256"
_SERVICES = {
    "AmazonSQS": "sqs",
    "AmazonSSM": "ssm",
    "DynamoDB_20120810": "dynamodb",
    "Logs_20140328": "logs",
    "secretsmanager": "secretsmanager",
}
"""Whose operations `X-Amz-Target` names; the signature says so where that is not sent."""
_HEXADECIMAL = 64
"""Characters of a SHA-256; anything else in its place says how the body is signed."""


class SignedCallsOnly:
    """A WSGI application that answers only what is rightly signed.

    Args:
        secret_of: looks up a key.
        is_given: whether a request, by its environ, is one by a presigned link.
        hint: says where the stack's own key is; ends every refusal.
    """

    def __init__(
        self,
        app: Wsgi,
        secret_of: SecretOf,
        is_given: Callable[[Mapping[str, Any]], bool],
        hint: str,
    ) -> None:
        self._app = app
        self._secret_of = secret_of
        self._is_given = is_given
        self._hint = hint

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        signature = signature_of(
            environ.get("HTTP_AUTHORIZATION", ""), environ.get("QUERY_STRING", "")
        )
        refusal = self._refusal(environ, signature)
        if refusal is None or self._is_given(environ):
            return self._app(environ, start_response)
        _body(environ)  # must not stay on the connection
        return self._refused(environ, signature, *refusal, start_response)

    def _refusal(
        self, environ: dict[str, Any], signature: Signature | None
    ) -> tuple[str, str] | None:
        """Return code and sentence, as AWS has them; None for a request that is rightly signed."""
        if signature is None:
            return "MissingAuthenticationToken", "Request is missing Authentication Token."
        secret = self._secret_of(signature.access_key_id)
        if secret is None:
            return "InvalidClientTokenId", "The security token included in the request is invalid."
        if meant := _scope_that_is_wrong(environ, signature):
            return "SignatureDoesNotMatch", f"Credential should be scoped to {meant}."
        headers = headers_of(environ)
        if not is_current(signature, headers, time.time()):
            made = signature.made_at(headers)
            return "RequestExpired", f"Signature expired or not yet current: {made}."
        raw_path = environ["RAW_URI"].partition("?")[0]
        is_s3 = signature.service == "s3"
        digest = _payload_hash(environ, headers, signature, is_s3=is_s3)
        request = SignedRequest(
            environ["REQUEST_METHOD"],
            path_of_s3(raw_path) if is_s3 else path_of_others(raw_path),
            environ.get("QUERY_STRING", ""),
            headers,
            digest,
        )
        if not is_valid(signature, secret, request):
            return (
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            )
        return None

    def _refused(
        self,
        environ: Mapping[str, Any],
        signature: Signature | None,
        code: str,
        sentence: str,
        start_response: Callable[..., Any],
    ) -> Iterable[bytes]:
        """Refuse in the form that the caller's protocol reads."""
        said = f"{sentence} {self._hint}".strip()
        request_id = str(uuid.uuid4())
        if "HTTP_X_AMZ_TARGET" in environ:
            kind = "application/x-amz-json-1.1"
            text = json.dumps({"__type": code, "message": said})
        elif signature is not None and signature.service == "s3":
            kind = "application/xml"
            text = f"<Error><Code>{code}</Code><Message>{escape(said)}</Message></Error>"
        else:
            kind = "text/xml"
            text = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
                f"<Message>{escape(said)}</Message></Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            )
        body = b"" if environ["REQUEST_METHOD"] == "HEAD" else text.encode()
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("x-amzn-RequestId", request_id),
        ]
        start_response("403 Forbidden", headers)
        return [body]


def _scope_that_is_wrong(environ: Mapping[str, Any], signature: Signature) -> str:
    """Return what a signature should have named instead; empty if it may be so.

    One endpoint stands for those of all regions.
    """
    if environ["PATH_INFO"].startswith("/_local/"):  # of no service
        return ""
    prefix = str(environ.get("HTTP_X_AMZ_TARGET", "")).partition(".")[0]
    service = _SERVICES.get(prefix, signature.service)
    if signature.service != service:
        return f"correct service: '{service}'"
    return "" if _is_region(signature.region) else "a valid region"


@functools.lru_cache
def _is_region(name: str) -> bool:
    try:
        _botocore().get_partition_for_region(name)
    except UnknownRegionError:
        return False
    return True


@functools.cache
def _botocore() -> Session:
    return Session()


def _payload_hash(
    environ: dict[str, Any], headers: Mapping[str, str], signature: Signature, *, is_s3: bool
) -> str:
    """Return what is signed in the place of the body's digest: S3 is told, others take the
    digest."""
    told = headers.get(_DIGEST, "")
    if is_s3 and signature.time and not told:
        return UNSIGNED_PAYLOAD  # a presigned URL knows no body
    if is_s3 and told and len(told) != _HEXADECIMAL:
        return told
    return hashlib.sha256(_body(environ)).hexdigest()


def _body(environ: dict[str, Any]) -> bytes:
    """Read the body, and leave it to be read again."""
    body = bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    environ["wsgi.input"] = io.BytesIO(body)
    return body
