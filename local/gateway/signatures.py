"""Signatures of requests (Signature Version 4), in a header or in the query."""

from __future__ import annotations

import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request,\s*"
    r"SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)"
)
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Signature:
    """What an `Authorization` header or a query says.

    Attributes:
        time: when it was made, if the query says so; else a header does.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    time: str = ""


def signature_of(authorization: str, raw_query: str = "") -> Signature | None:
    """The signature in an `Authorization` header or a query; None if there is none."""
    found = _AUTHORIZATION.match(authorization)
    if found is None:
        return _in_query(dict(urllib.parse.parse_qsl(raw_query)))
    key, date, region, service, headers, value = found.groups()
    return Signature(key, date, region, service, tuple(headers.split(";")), value)


def _in_query(query: Mapping[str, str]) -> Signature | None:
    credential = query.get("X-Amz-Credential", "").split("/")
    if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or len(credential) != 5:
        return None
    key, date, region, service, _ = credential
    headers = tuple(query.get("X-Amz-SignedHeaders", "").split(";"))
    value, time = query.get("X-Amz-Signature", ""), query.get("X-Amz-Date", "")
    return Signature(key, date, region, service, headers, value, time)


def is_valid(
    signature: Signature,
    secret: str,
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> bool:
    """Whether a request was signed with a secret, and is as it was when it was signed.

    Args:
        raw_path: as it was sent: SDKs send `@` and `%3D`, and sign `%40` and `%253D`.
        headers: by any case.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    time = signature.time or lower.get("x-amz-date", "")
    wanted = {"host"} if signature.time else {"host", "x-amz-date"}
    if not wanted <= set(signature.signed_headers):
        return False
    canonical = "\n".join(
        [
            method,
            urllib.parse.quote(raw_path, safe="/~"),
            _canonical_query(raw_query),
            *(
                f"{name}:{_SPACES.sub(' ', lower.get(name, '').strip())}"
                for name in signature.signed_headers
            ),
            "",
            ";".join(signature.signed_headers),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{signature.date}/{signature.region}/{signature.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (signature.date, signature.region, signature.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    return hmac.compare_digest(expected, signature.value)


def _canonical_query(raw_query: str) -> str:
    pairs = urllib.parse.parse_qsl(raw_query, keep_blank_values=True)
    pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    quoted = [
        (urllib.parse.quote(k, safe="-_.~"), urllib.parse.quote(v, safe="-_.~")) for k, v in pairs
    ]
    return "&".join(f"{k}={v}" for k, v in sorted(quoted))
