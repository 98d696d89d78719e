"""An OpenID Connect issuer on this machine: discovery, real keys, and trouble on demand."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.unit.tokens import SigningKey

AUDIENCE = "parley"
TENANT_CLAIM = "custom:tenant"


class Issuer:
    """Publishes its keys and signs tokens.

    Attributes:
        keys: those that it publishes.
        down: whether it answers everything with 500.
        name: what its discovery document says it is.
    """

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.down = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, document = issuer.answer(self.path)
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = self.name = f"http://127.0.0.1:{self._server.server_port}/realm"

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and document for a request."""
        if self.down:
            return 500, {}
        if path == "/realm/.well-known/openid-configuration":
            return 200, {"issuer": self.name, "jwks_uri": f"{self.url}/keys"}
        if path == "/realm/keys":
            return 200, {"keys": [key.jwk for key in self.keys]}
        return 404, {}

    @contextlib.contextmanager
    def serving(self) -> Iterator[Issuer]:
        """Answers while entered."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def claims(self, subject: str = "ada", tenant: str = "acme", **changes: Any) -> dict[str, Any]:
        """What a good token claims; `...` leaves a claim out."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 300,
            TENANT_CLAIM: tenant,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not ...}

    def token(self, subject: str = "ada", tenant: str = "acme", **changes: Any) -> str:
        """A good token, but for the changes to its claims."""
        return self.keys[0].token(self.claims(subject, tenant, **changes))
