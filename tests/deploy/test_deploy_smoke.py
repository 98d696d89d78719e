"""After a deployment: whether it works, asked of it as a client would ask."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError

from deploy.smoke import ask
from deploy.stack import Existing

WELL = {"ok": True, "ms": 3.0}
REFUSED = "Cartesia refused the API key (401): check CartesiaApiKey."
UNTIL_IT_IS_THERE = [(404, b'{"message":"Not Found"}'), (503, b"<html>"), (200, b"[]")]


class Deployed:
    """An HTTP API that answers one thing after another, and then the last one again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[tuple[str, str | None]] = []
        deployed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                deployed.asked.append((self.path, self.headers.get("Authorization")))
                status, body = deployed.answers.pop(0)
                deployed.answers = deployed.answers or [(status, body)]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def answer(self, status: int, **checks: dict[str, Any]) -> None:
        self.answers.append((status, json.dumps({"status": "x", "checks": checks}).encode()))

    def stack(self, **parameters: str) -> Existing:
        url = f"http://127.0.0.1:{self.server.server_port}"
        return Existing(
            "CREATE_COMPLETE", "", parameters, {"HttpUrl": url, "TokenFunctionName": "token"}
        )


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    monkeypatch.setattr("deploy.smoke.POLL_S", 0.01)
    found = Deployed()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def test_every_check_is_shown_with_its_sentence(deployed: Deployed) -> None:
    deployed.answer(503, table=WELL, synthesizer={"ok": False, "ms": 9.0, "detail": REFUSED})
    found = ask(deployed.stack(), MagicMock())
    assert found.lines == ["table        works", f"synthesizer  {REFUSED}"]
    assert found.failing == ["synthesizer"]
    assert deployed.asked == [("/health?deep=1", None)]


def test_what_is_worth_to_know_of_what_works_is_shown(deployed: Deployed) -> None:
    deployed.answer(200, tools={**WELL, "detail": "FallbackResponder n8n calls no tools."})
    found = ask(deployed.stack(), MagicMock())
    assert found.lines == ["tools  works. FallbackResponder n8n calls no tools."]
    assert found.failing == []


def test_an_address_that_is_new_is_asked_until_it_answers(deployed: Deployed) -> None:
    deployed.answers = list(UNTIL_IT_IS_THERE)
    deployed.answer(200, table=WELL)
    assert ask(deployed.stack(), MagicMock()).failing == []
    assert len(deployed.asked) == 1 + len(UNTIL_IT_IS_THERE)


def test_an_address_that_never_answers_is_named(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.smoke.GIVE_UP_S", 0.1)
    deployed.answers = [(500, b"{}")]
    found = ask(deployed.stack(), MagicMock())
    assert found.failing == ["HttpUrl"]
    assert found.lines[0].endswith("HTTP 500.")


@pytest.mark.parametrize("tenants", [{}, {"AuthTenantClaim": "tenant"}])
def test_where_tokens_are_needed_one_is_made(deployed: Deployed, tenants: dict[str, str]) -> None:
    deployed.answer(200, table=WELL)
    account = MagicMock()
    invoke = account.session.client.return_value.invoke
    invoke.return_value = {"Payload": io.BytesIO(b'{"token": "t.o.k"}')}
    assert ask(deployed.stack(AuthMode="secret", **tenants), account).failing == []
    assert deployed.asked == [("/health?deep=1", "Bearer t.o.k")]
    given = json.loads(invoke.call_args.kwargs["Payload"])
    assert ("tenant" in given) is bool(tenants)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"AuthMode": "oidc"}, "only your issuer makes tokens"),
        ({"AuthMode": "secret"}, "no token could be had of TokenFunctionName"),
        ({"DisableDefaultEndpoint": "true"}, "at your own domain alone"),
    ],
)
def test_who_cannot_ask_says_why(
    deployed: Deployed, parameters: dict[str, str], sentence: str
) -> None:
    account = MagicMock()
    denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "Invoke")
    account.session.client.return_value.invoke.side_effect = denied
    found = ask(deployed.stack(**parameters), account)
    assert (found.failing, deployed.asked) == ([], [])
    assert sentence in found.lines[0]
