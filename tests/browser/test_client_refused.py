"""What a real browser does with a redirect, and what it lets the client find out of a refusal."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from websockets.sync.server import serve
from websockets.typing import Origin

from tests.browser.client_alone import bare_site, until_loaded
from tests.browser.conftest import Open

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, content-type, x-resume-token",
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
}
CONNECT = """async ([url, httpUrl, token, session]) => {
    const options = { httpUrl, token, session, attempts: 3, baseDelayMs: 10 };
    const conversation = new client.Conversation(url, options);
    const { code, message } = await conversation.connect().catch((problem) => problem);
    return { code, message, state: conversation.state };
}"""
NOWHERE = "ws://127.0.0.1:9"
"""The discard port, where nobody listens: as behind a proxy that blocks WebSockets."""
SESSION = {"id": "s1", "token": "the session's secret"}


@contextmanager
def api(
    status: int, headers: dict[str, str], cors: dict[str, str]
) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers all but preflights alike; gives its address, and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length).decode()
            asked.append({"method": self.command, "path": self.path, "headers": sent, "body": body})
            is_preflight = self.command == "OPTIONS"
            self.send_response(204 if is_preflight else status)
            # A redirect for good would be kept for whoever has the port next.
            told = {"Cache-Control": "no-store", **cors, **({} if is_preflight else headers)}
            for name, value in told.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_HEAD = do_OPTIONS = do_DELETE = answer

        def log_message(self, *_arguments: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    with bare_site() as url:
        yield url


@pytest.fixture
def page(bare: str, opened: Open, browser: Browser) -> Page:
    page = opened(browser, bare, ready=False, bypass_csp=False)
    until_loaded(page)
    return page


@pytest.mark.parametrize("session", [None, SESSION], ids=["a new session", "an old session"])
@pytest.mark.parametrize(
    ("status", "cors"),
    [(301, CORS), (302, {}), (303, CORS), (307, {}), (308, CORS)],
    ids=["301", "302, hidden", "303", "307, hidden", "308"],
)
def test_a_redirect_gets_neither_the_token_nor_a_word(
    page: Page, status: int, cors: dict[str, str], session: dict[str, str] | None
) -> None:
    with api(200, {}, CORS) as (other, stolen):
        location = {"Location": f"{other}/stolen"}
        with api(status, location, cors) as (url, _asked):
            told = page.evaluate(CONNECT, [NOWHERE, url, "the-token", session])
    assert told["state"] == "failed"
    assert "another address, which is not followed" in told["message"]
    if cors:
        assert told["code"] == "redirected"
    # Whether there is anybody at all is asked with nothing in hand, where nothing can be read.
    assert [one["method"] for one in stolen if one["method"] != "HEAD"] == []
    shown = json.dumps(stolen)
    assert "the-token" not in shown
    assert "secret" not in shown


def test_an_answer_that_the_browser_keeps_from_the_page_is_told_as_the_origin_s(
    page: Page, bare: str
) -> None:
    with api(200, {}, {}) as (url, asked):
        told = page.evaluate(CONNECT, [NOWHERE, url, "the-token", None])
    assert told["code"] == "unreachable"
    assert f"may not allow pages of {bare.rstrip('/')}" in told["message"]
    assert "expired" not in told["message"]
    assert [one for one in asked if one["method"] == "POST"] == []


@pytest.mark.parametrize("token", [None, "the-token"], ids=["no token", "a token"])
def test_a_page_of_a_wrong_origin_is_told_of_its_origin(
    page: Page, bare: str, token: str | None
) -> None:
    with serve(
        lambda connection: connection.close(),
        "127.0.0.1",
        0,
        origins=[Origin("https://app.example")],
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/dev"
            told = page.evaluate(CONNECT, [url, False, token, None])
        finally:
            server.shutdown()
            thread.join()
    assert told["code"] == "handshake_refused"
    origin = bare.rstrip("/")
    assert f"opens no connection. It may not allow pages of {origin}" in told["message"]


def test_http_403_is_told_of_the_origin_and_not_as_an_expired_token(page: Page, bare: str) -> None:
    with api(403, {}, CORS) as (url, _asked):
        told = page.evaluate(CONNECT, [NOWHERE, url, "the-token", None])
    assert told["code"] == "unauthorized"
    assert bare.rstrip("/") in told["message"]
    assert "expired" not in told["message"]


def test_where_nobody_answers_that_is_what_is_told(page: Page) -> None:
    told = page.evaluate(CONNECT, [NOWHERE, "http://127.0.0.1:9", "the-token", None])
    assert told["code"] == "unreachable"
    assert "Is the address right, and the server up?" in told["message"]
