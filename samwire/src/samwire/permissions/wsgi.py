"""Permissions in front of a server of AWS services: a call is refused before it gets there.

`PUT /_local/permissions` tells who the callers are and what they may do; before that, and
for callers it does not name, everything is allowed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from samwire.permissions.answers import Answer, caller_identity, refusal
from samwire.permissions.calls import messaging, s3, settings, telemetry
from samwire.permissions.calls.access import Access
from samwire.permissions.calls.dynamodb import DynamoDbCalls, HashKey
from samwire.permissions.calls.http import HttpCall
from samwire.permissions.guard import Guard
from samwire.permissions.identities import Directory, Session

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CONTROL_PATH = "/_local/permissions"


class PermissionsInFront:
    """A WSGI application that asks first and passes on what is allowed.

    Args:
        account_id: of the account that everything belongs to.
        hash_key: looks up a table's partition key.
        log: told the sentence of every refusal.
    """

    def __init__(
        self, app: Wsgi, account_id: str, hash_key: HashKey, log: Callable[[str], None]
    ) -> None:
        self._app = app
        self._account_id = account_id
        self._log = log
        self._guard = Guard(Directory())
        self._services: Mapping[str, Callable[[HttpCall], list[Access]]] = {
            "dynamodb": DynamoDbCalls(hash_key).accesses,
            "logs": telemetry.logs,
            "s3": s3.accesses,
            "secretsmanager": settings.secrets_manager,
            "sns": messaging.sns,
            "sqs": messaging.sqs,
            "ssm": settings.parameters,
            "xray": telemetry.xray,
        }

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        call = self._call(environ)
        if call.path == CONTROL_PATH and call.method == "PUT":
            self._guard = Guard(Directory.from_json(json.loads(call.body)))
            start_response("204 No Content", [])
            return []
        session = self._guard.session(call)
        if session is None:
            return self._app(environ, start_response)
        if call.scope[2] == "sts" and call.operation == "GetCallerIdentity":
            return _answered(caller_identity(session), start_response)
        refused = self._refusal(call, session)
        if refused is not None:
            return _answered(refused, start_response)
        if call.scope[2] == "s3" and call.method in ("GET", "HEAD"):
            return self._without_hints(call, session, environ, start_response)
        return self._app(environ, start_response)

    def secret_of(self, access_key_id: str) -> str | None:
        """Return what a function signs with; None for a key that no function has."""
        return self._guard.directory.secrets.get(access_key_id)

    def _call(self, environ: dict[str, Any]) -> HttpCall:
        """Return the request, its body read: what is refused must not leave it on the
        connection."""
        body = b""
        length = environ.get("CONTENT_LENGTH")
        if length:
            body = environ["wsgi.input"].read(int(length))
            environ["wsgi.input"] = io.BytesIO(body)
        headers = {
            name[5:].replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        return HttpCall(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
            query=environ.get("QUERY_STRING", ""),
            headers=headers,
            body=body,
            source_ip=environ.get("REMOTE_ADDR", ""),
            account_id=self._account_id,
        )

    def _refusal(self, call: HttpCall, session: Session) -> Answer | None:
        service = call.scope[2]
        if service not in self._services:
            return None
        return self._refused(call, session, self._services[service](call))

    def _refused(
        self, call: HttpCall, session: Session, accesses: Iterable[Access]
    ) -> Answer | None:
        denial = self._guard.denial(call, session, accesses)
        if denial is None:
            return None
        found = refusal(
            call.scope[2],
            denial,
            query="x-amz-target" not in call.headers,
            head=call.method == "HEAD",
        )
        self._log(found.sentence)
        return found

    def _without_hints(
        self,
        call: HttpCall,
        session: Session,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> Iterable[bytes]:
        """Answer 403, not 404, for a missing object to those who may not list its bucket, as S3
        does."""
        started: list[tuple[Any, ...]] = []
        body = list(self._app(environ, lambda *answer: started.append(answer)))
        if str(started[0][0]).startswith("404") and s3.place(call)[1]:
            refused = self._refused(call, session, [s3.listing(call)])
            if refused is not None:
                return _answered(refused, start_response)
        start_response(*started[0])
        return body


def _answered(found: Answer, start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [*found.headers.items(), ("Content-Length", str(len(found.body)))]
    start_response(f"{found.status} {HTTPStatus(found.status).phrase}", headers)
    return [found.body]
