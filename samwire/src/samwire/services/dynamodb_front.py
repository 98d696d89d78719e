"""Takes the calls that functions make on items to moto's handler of DynamoDB, past Flask.

What is done with a call, and what is answered, is moto's. Left out is what stands before it there:
a request's way through werkzeug, Flask, its routing and CORS, and the walk through the service's
model that turns JSON into the same JSON. Whatever is not quite usual goes that way still.
"""

from __future__ import annotations

import binascii
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.utils import get_service_model
from moto.dynamodb.responses import DynamoHandler, DynamoResult
from werkzeug.exceptions import HTTPException

from samwire.services.wsgi import Wsgi

_TARGET = "DynamoDB_20120810."
_METHODS = {
    "BatchGetItem": "batch_get_item",
    "BatchWriteItem": "batch_write_item",
    "DeleteItem": "delete_item",
    "GetItem": "get_item",
    "PutItem": "put_item",
    "Query": "query",
    "TransactGetItems": "transact_get_items",
    "TransactWriteItems": "transact_write_items",
    "UpdateItem": "update_item",
}
_UNUSUAL = ("HTTP_ORIGIN", "HTTP_CONTENT_ENCODING", "HTTP_X_MOTO_ACCOUNT_ID", "QUERY_STRING")
_UNUSUAL_TEXTS = (b'"B"', b'"BS"', b"null", b"NaN", b"Infinity")
"""What the model makes something else of: bytes, and members that are not there."""
_REQUEST_ID_BYTES = 26


class DynamoDbInFront:
    """A WSGI application that answers the usual calls on items, and passes on the rest.

    Args:
        app: moto's.
        account_id: of the account that everything belongs to.
        is_of_stack: whether an access key is one of the stack, not one that moto has given out.
    """

    def __init__(self, app: Wsgi, account_id: str, is_of_stack: Callable[[str], bool]) -> None:
        self._app = app
        self._account_id = account_id
        self._is_of_stack = is_of_stack
        model: Any = get_service_model("dynamodb")
        self._members = {
            name: frozenset(model.operation_model(name).output_shape.members) for name in _METHODS
        }

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).removeprefix(_TARGET)
        scope = _scope(environ)
        if operation not in _METHODS or scope is None or any(environ.get(n) for n in _UNUSUAL):
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        asked = _parsed(body)
        if asked is None or not self._is_of_stack(scope[0]):
            environ["wsgi.input"] = io.BytesIO(body)
            return self._app(environ, start_response)
        status, answered = self._answer(operation, asked, scope[1], environ)
        headers = [
            ("server", "amazon.com"),
            ("Content-Type", "application/x-amz-json-1.0"),
            ("x-amzn-requestid", _request_id()),
            ("x-amz-crc32", str(binascii.crc32(answered))),
        ]
        start_response(status, headers)
        return [answered]

    def _answer(
        self, operation: str, asked: dict[str, Any], region: str, environ: Mapping[str, Any]
    ) -> tuple[str, bytes]:
        handler: Any = DynamoHandler()
        handler.body = handler.params = asked
        handler.region = region
        handler.current_account = self._account_id
        handler.querystring = {}
        handler.response_headers = {}
        handler.headers = {
            "x-amz-target": environ["HTTP_X_AMZ_TARGET"],
            "Content-Type": environ.get("CONTENT_TYPE", ""),
        }
        try:
            result = getattr(handler, _METHODS[operation])()
        except ServiceException as error:
            result = ActionResult(error)
        except HTTPException as error:
            return f"{error.code} {error.name}", str(error.description).encode()
        else:
            plain = self._plain(operation, result)
            if plain is not None:
                return "200 OK", plain
        code, _headers, body = handler.serialized(result)
        return f"{code} {'OK' if code == 200 else 'Bad Request'}", _bytes(body)

    def _plain(self, operation: str, result: Any) -> bytes | None:
        """Return an answer as JSON; None if it has something that only the model can write."""
        found = result.result if type(result) in (ActionResult, DynamoResult) else None
        if not isinstance(found, dict):
            return None
        members = self._members[operation]
        answer = {n: v for n, v in found.items() if v is not None and n in members}
        try:
            return json.dumps(answer, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError):
            return None


def _parsed(body: bytes) -> dict[str, Any] | None:
    if any(text in body for text in _UNUSUAL_TEXTS):
        return None
    try:
        asked = json.loads(body)
    except ValueError:
        return None
    return asked if isinstance(asked, dict) else None


def _scope(environ: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return access key and region of a signature in the header; None for other requests."""
    is_post = environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/"
    if not is_post or "region/" in environ.get("HTTP_USER_AGENT", ""):
        return None
    _, found, rest = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")
    parts = rest.partition(",")[0].split("/")
    return (parts[0], parts[2]) if found and len(parts) == 5 else None


def _request_id() -> str:
    return os.urandom(_REQUEST_ID_BYTES).hex().upper()


def _bytes(body: str | bytes) -> bytes:
    return body if isinstance(body, bytes) else body.encode()
