"""The page where no WebSocket opens from the start, at an HTTP API that answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open
from tests.browser.page import type_message
from tests.browser.page_states import CHOICES, SETTINGS
from tests.browser.scripted import Message, ScriptedServer

NOWHERE = "ws://127.0.0.1:9/dev"
"""The discard port, where nobody listens: as behind a proxy that blocks WebSockets."""
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, content-type, x-resume-token",
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
}


class ScriptedApi:
    """Opens sessions.

    Attributes:
        said: what a new session is told, besides itself.
        refused: the settings that no session may have.
        field: how such a refusal names one.
        refuses_all: no session may be had, whatever it asks for.
        is_lost: no session is known any more.
        asked: the settings that were asked for.
    """

    def __init__(self) -> None:
        self.said: Message = {}
        self.refused: set[str] = set()
        self.field = "settings.{}"
        self.refuses_all = False
        self.is_lost = False
        self.asked: list[Message] = []
        self.cors = CORS
        self.url = ""

    def answer(self, method: str, body: Message) -> tuple[int, Message]:
        """Answer a request for a session, or for what one has had."""
        if method == "GET":
            if self.is_lost:
                problem = {"code": "session_not_found", "detail": "There is none.", "status": 404}
                return 404, problem
            return 200, {"status": "active", "messages": []}
        self.asked.append(body.get("settings", {}))
        wrong = ["voice"] if self.refuses_all else sorted(self.refused & self.asked[-1].keys())
        if wrong:
            field = self.field.format(wrong[0])
            problem = {"code": "bad_request", "detail": f"{field}: expected one of", "field": field}
            return 400, {**problem, "retryable": False}
        return 201, {
            "session_id": "h1",
            "resume_token": "secret",
            "settings": {**SETTINGS, **self.asked[-1]},
            **self.said,
        }

    @contextmanager
    def running(self) -> Iterator[ScriptedApi]:
        """Listen on a port of the system's choice."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                is_real = self.command in ("GET", "POST")
                status, content = api.answer(self.command, body) if is_real else (204, {})
                answer = json.dumps(content).encode() if is_real else b""
                self.send_response(status)
                for name, value in api.cors.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_HEAD = do_OPTIONS = do_DELETE = answer

            def log_message(self, *_arguments: object) -> None:
                return

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi().running() as running:
        yield running


def address(site: str, http_url: str, url: str = NOWHERE) -> str:
    """Of the page, with both of a server's addresses."""
    return f"{site}?url={quote(url)}&http={quote(http_url)}"


def offered(page: Page) -> list[str]:
    """The settings that can be chosen."""
    rows = """[...document.querySelectorAll("#reply-settings .field")]
        .filter((row) => !row.hidden).map((row) => row.querySelector("[name]").name)"""
    return list(page.evaluate(rows))


def test_choices_and_stand_ins_are_known_over_http(
    opened: Open, browser: Browser, site: str, api: ScriptedApi
) -> None:
    choices = {**CHOICES, "settings": ["voice", "speed"]}
    api.said = {"choices": choices, "stand_ins": ["synthesizer"]}
    page = opened(browser, address(site, api.url))
    for then in ("opened", "reloaded"):
        if then == "reloaded":
            page.reload()
            page.wait_for_selector("#state[data-state=ready]", timeout=15_000)
            assert len(api.asked) == 1, "the session goes on"
        expect(page.locator("#transport"), then).to_have_text("over HTTP")
        assert offered(page) == ["voice", "speed"], then
        expect(page.get_by_role("note"), then).to_contain_text("stand-in")


def test_what_another_server_has_said_is_not_believed_of_this_one(
    opened: Open, browser: Browser, site: str, server: ScriptedServer, api: ScriptedApi
) -> None:
    server.choices, server.stand_ins = CHOICES, ["responder"]
    page = opened(browser, f"{site}?url={server.url}")
    expect(page.get_by_role("note")).to_be_visible()
    page.goto(address(site, api.url))
    page.wait_for_selector("#state[data-state=ready]", timeout=15_000)
    assert offered(page) == ["language", "style", "speed", "stability"]
    expect(page.get_by_role("note")).to_be_hidden()


def test_a_setting_of_before_that_is_refused_over_http_is_forgotten(
    opened: Open, browser: Browser, site: str, api: ScriptedApi
) -> None:
    api.said = {"choices": {**CHOICES, "settings": ["voice", "speed"]}}
    page = opened(browser, address(site, api.url))
    api.refused, api.is_lost = {"voice"}, True
    for field in ("settings.{}", "init.settings.{}", "settings"):
        page.evaluate("window.parley.conversation.settings = { voice: 'b', speed: 1.1 }")
        api.field = field
        api.asked.clear()
        page.evaluate("window.parley.conversation.close()")
        page.wait_for_selector("#notice[data-kind=problem]")
        page.get_by_role("button", name="Connect", exact=True).last.click()
        page.wait_for_selector("#notice[data-kind=hint]", timeout=15_000)
        alert = page.get_by_role("alert")
        expect(alert, field).to_contain_text("is not available here any more")
        assert api.asked == [
            {"voice": "b", "speed": 1.1},
            {} if field == "settings" else {"speed": 1.1},
        ], field


def test_an_http_api_that_refuses_every_session_is_not_asked_again_and_again(
    opened: Open, browser: Browser, site: str, api: ScriptedApi
) -> None:
    api.refuses_all = True
    page = opened(browser, address(site, api.url), ready=False)
    expect(page.get_by_role("button", name="Try again")).to_be_visible(timeout=20_000)
    assert len(api.asked) <= 2
    expect(page.get_by_role("alert")).not_to_contain_text("as it was")


@pytest.mark.parametrize("cors", [None, {}], ids=["nobody there", "kept from the page"])
def test_an_address_that_nobody_has_typed_is_not_named(
    cors: dict[str, str] | None, opened: Open, browser: Browser, site: str, api: ScriptedApi
) -> None:
    http_url = "http://127.0.0.1:9/api"
    if cors is not None:
        api.cors, http_url = cors, api.url
    script = """
        Math.random = () => 0.01;
        window.notices = [];
        addEventListener("DOMContentLoaded", () => {
            const text = document.querySelector("#notice-text");
            new MutationObserver(() => window.notices.push(text.textContent))
                .observe(text, { childList: true });
        });
    """
    page = opened(browser, address(site, http_url), ready=False, script=script)
    page.wait_for_selector("#state[data-state=failed]", timeout=40_000)
    expect(page.get_by_role("alert")).to_contain_text("this page's server")
    notices = "\n".join(page.evaluate("window.notices"))
    assert "http:" not in notices.replace(site.rstrip("/"), "")
    assert "/sessions" not in notices
    assert "AllowedOrigins" not in notices


def test_a_problem_without_words_is_a_sentence(
    opened: Open, browser: Browser, site: str, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(browser, address(site, api.url))
    monkeypatch.setattr(api, "answer", lambda *_: (409, {"code": "conflict", "retryable": False}))
    type_message(page, "Hello")
    problem = page.locator(".turn .problem")
    expect(problem).to_contain_text(".", timeout=15_000)
    expect(problem).not_to_contain_text("undefined")
