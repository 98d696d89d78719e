"""What a function's result means to the client of an HTTP API, and the CORS headers."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any

from samwire.template.api_model import Cors

_TEXT = ("content-type", "text/plain;charset=UTF-8")
_JSON = ("content-type", "application/json")


@dataclass(slots=True)
class HttpAnswer:
    """What the client is sent; names of headers in lower case."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def message(cls, status: int, text: str, advice: str = "") -> HttpAnswer:
        """Return an answer of API Gateway's own, with advice to the developer if there is some."""
        said = {"message": text, **({"advice": advice} if advice else {})}
        return cls(status, [_JSON], json.dumps(said, separators=(",", ":")).encode())


INTERNAL_ERROR = 500, "Internal Server Error"
TOO_LARGE = 413, "Request Entity Too Large"


def http_answer(version: str, payload: bytes) -> HttpAnswer:
    """Return the answer that a function returned; 500 for what is none.

    In payload format 2.0, what has no `statusCode` is itself the body of a 200.
    """
    try:
        result = json.loads(payload)
    except ValueError:
        return HttpAnswer.message(*INTERNAL_ERROR)
    if isinstance(result, dict) and "statusCode" in result:
        return _stated(version, result) or HttpAnswer.message(*INTERNAL_ERROR)
    if version == "1.0":
        return HttpAnswer.message(*INTERNAL_ERROR)
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return HttpAnswer(200, [_JSON], text.encode())


def _stated(version: str, result: dict[str, Any]) -> HttpAnswer | None:
    """Return the answer that is spelt out; None if it is spelt wrongly."""
    headers, body = result.get("headers") or {}, result.get("body")
    try:
        status = int(result["statusCode"])
    except (TypeError, ValueError):
        return None
    if not 100 <= status < 600 or not isinstance(headers, dict):
        return None
    if body is not None and not isinstance(body, str):
        return None
    found = [(str(name).lower(), _text(value)) for name, value in headers.items()]
    if version == "1.0":
        multi = result.get("multiValueHeaders") or {}
        found = [(n, v) for n, v in found if n not in {str(name).lower() for name in multi}]
        found += [(str(n).lower(), _text(v)) for n, values in multi.items() for v in values]
    else:
        found += [("set-cookie", str(cookie)) for cookie in result.get("cookies") or []]
    if body and "content-type" not in dict(found):
        found.append(_TEXT)
    content = (body or "").encode()
    if result.get("isBase64Encoded"):
        try:
            content = base64.b64decode(content, validate=True)
        except binascii.Error:
            return None
    return HttpAnswer(status, found, content)


def preflight(cors: Cors, origin: str) -> HttpAnswer:
    """Return the answer to a preflight request."""
    headers = _allowed(cors, origin)
    if headers:
        if cors.methods:
            headers.append(("access-control-allow-methods", ",".join(cors.methods)))
        if cors.headers:
            headers.append(("access-control-allow-headers", ",".join(cors.headers)))
        if cors.max_age_s is not None:
            headers.append(("access-control-max-age", str(cors.max_age_s)))
    return HttpAnswer(204, headers)


def with_cors(answer: HttpAnswer, cors: Cors, origin: str) -> HttpAnswer:
    """Return the answer with the API's CORS headers; the function's own do not count."""
    kept = [(n, v) for n, v in answer.headers if not n.startswith("access-control-")]
    added = _allowed(cors, origin) if origin else []
    if added and cors.exposed:
        added.append(("access-control-expose-headers", ",".join(cors.exposed)))
    return HttpAnswer(answer.status, [*kept, *added], answer.body)


def _allowed(cors: Cors, origin: str) -> list[tuple[str, str]]:
    if "*" in cors.origins:
        allowed = "*"
    elif origin in cors.origins or any(
        o.endswith("://*") and origin.startswith(o[:-1]) for o in cors.origins
    ):
        allowed = origin
    else:
        return []
    found = [("access-control-allow-origin", allowed)]
    if cors.credentials:
        found.append(("access-control-allow-credentials", "true"))
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
