"""Signatures of requests (Signature Version 4), in a header or in the query."""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
"""What stands for the digest of the body where that is not signed."""
CURRENT_S = 300
"""For how long a signature is good that says nothing else, and how far clocks may differ
("Elements of an AWS API request signature")."""
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request,\s*"
    r"SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)"
)
_EXPIRES = re.compile("[0-9]{1,6}")
"""Seconds: a week at most ("Authenticating Requests: Using Query Parameters")."""
_KEYS = 256
"""So many keys and times are remembered: most calls share them, and each takes a while."""
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Signature:
    """What an `Authorization` header or a query says.

    Attributes:
        time: when it was made, if the query says so; else a header does.
        expires: for how many seconds it is good, as the query has it; empty if nothing says so.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    time: str = ""
    expires: str = ""

    def made_at(self, headers: Mapping[str, str]) -> str:
        """Return when it was made, as it is signed.

        Args:
            headers: of the request, names in lower case.
        """
        return self.time or headers.get("x-amz-date", "")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature is about.

    Attributes:
        path: as it is signed, see `path_of_s3` and `path_of_others`.
        headers: names in lower case.
        payload_hash: SHA-256 of the body, or `UNSIGNED_PAYLOAD`.
    """

    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    payload_hash: str


def signature_of(authorization: str, raw_query: str = "") -> Signature | None:
    """Return the signature in an `Authorization` header or a query; None if there is none."""
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
    expires = query.get("X-Amz-Expires", "")
    return Signature(key, date, region, service, headers, value, time, expires)


def path_of_s3(raw_path: str) -> str:
    """Return a path as it is signed for S3: encoded once."""
    return urllib.parse.quote(urllib.parse.unquote_to_bytes(raw_path), safe="/~")


def path_of_others(raw_path: str) -> str:
    """Return a path as it is signed for other services: SDKs send `@` and `%3D`, and sign `%40` and
    `%253D`."""
    return urllib.parse.quote(raw_path, safe="/~")


def is_current(signature: Signature, headers: Mapping[str, str], now_s: float) -> bool:
    """Return whether a signature was made just now, or has not expired.

    Args:
        headers: of the request, names in lower case.
    """
    time = signature.made_at(headers)
    try:
        made_s = _epoch_s(time)
    except ValueError:
        return False
    if not _EXPIRES.fullmatch(signature.expires or str(CURRENT_S)):
        return False
    good_for_s = int(signature.expires or CURRENT_S)
    age_s = now_s - made_s
    return time.startswith(signature.date) and -CURRENT_S <= age_s <= good_for_s


def is_valid(signature: Signature, secret: str, request: SignedRequest) -> bool:
    """Return whether a request was signed with a secret, and is as it was when it was signed."""
    time = signature.made_at(request.headers)
    wanted = {"host"} if signature.time else {"host", "x-amz-date"}
    if not wanted <= set(signature.signed_headers):
        return False
    canonical = "\n".join(
        [
            request.method,
            request.path,
            _canonical_query(request.raw_query),
            *(
                f"{name}:{_SPACES.sub(' ', request.headers.get(name, '').strip())}"
                for name in signature.signed_headers
            ),
            "",
            ";".join(signature.signed_headers),
            request.payload_hash,
        ]
    )
    scope = f"{signature.date}/{signature.region}/{signature.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}"
    key = _signing_key(secret, signature.date, signature.region, signature.service)
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    return hmac.compare_digest(expected.encode(), signature.value.encode())


@functools.lru_cache(_KEYS)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@functools.lru_cache(_KEYS)
def _epoch_s(time: str) -> float:
    """Return seconds since the epoch; raise `ValueError` for what is no time of a signature."""
    return datetime.strptime(time, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _canonical_query(raw_query: str) -> str:
    pairs = urllib.parse.parse_qsl(raw_query, keep_blank_values=True)
    pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    quoted = [
        (urllib.parse.quote(k, safe="-_.~"), urllib.parse.quote(v, safe="-_.~")) for k, v in pairs
    ]
    return "&".join(f"{k}={v}" for k, v in sorted(quoted))
