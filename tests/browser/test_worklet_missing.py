"""A worklet's file that cannot be loaded: sound goes on in the page, and the file is named."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.client_alone import (
    FOLDERS,
    bare_site,
    begin,
    connect,
    in_tab,
    seen,
    until_loaded,
)
from tests.browser.conftest import MICROPHONE_HZ, REFUSE_MICROPHONE, Launch, Open
from tests.browser.scripted import Instead, Reply, ScriptedServer, until_heard_whole
from tests.browser.signals import tone

CAPTURE, PLAYER = "/client/capture-worklet.js", "/client/player-worklet.js"
BARE = {"ready": False, "bypass_csp": False}


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    with bare_site() as url:
        yield url


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """For all of the tests, one after the other."""
    tab = browser.new_page()
    yield tab
    tab.close()


def answer(status: int, content_type: str, body: bytes) -> Instead:
    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", content_type)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return send


def break_off(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


SOURCE = (FOLDERS["/client/"] / "capture-worklet.js").read_bytes()
FAULTS: dict[str, Instead] = {
    "not there": answer(404, "text/plain", b"No such file."),
    # As hosts of single-page applications answer whatever they do not have.
    "the app's page": answer(200, "text/html", b"<!doctype html><p>The app."),
    "a wrong type": answer(200, "text/plain", SOURCE),
    "another file": answer(200, "text/javascript", b"export const nothing = 1;"),
    "no JavaScript": answer(200, "text/javascript", b"this is no JavaScript"),
    "no answer": break_off,
}


def policy_without_worklets() -> str:
    """A content security policy that allows each of the client's files but the worklets'."""
    files = [path.name for path in FOLDERS["/client/"].glob("*.js")]
    allowed = [f"/client/{name}" for name in files if not name.endswith("-worklet.js")]
    # A source needs a host; the port is not known yet.
    sources = " ".join(f"127.0.0.1:*{path}" for path in ["/client.js", *allowed])
    # Playwright's own conditions are evaluated.
    return f"script-src 'unsafe-eval' {sources}; worker-src 'none'"


def check_that_it_hears_and_is_heard(page: Page, server: ScriptedServer) -> None:
    begin(page, "speaking")
    assert until_heard_whole(server).hz == pytest.approx(MICROPHONE_HZ, abs=1)
    page.evaluate("conversation.stopSpeaking()")
    server.wait_for("audio_end")
    page.click("#press")
    page.evaluate("() => { player.unlock(); void conversation.say('Sing'); }")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(440, 0.5, 24_000))
    reply.end("la")
    page.wait_for_function("player.playedMs > 499 && player.state === 'idle'")
    for file in (CAPTURE, PLAYER):
        (warning,) = [one for one in seen(page, "warning") if file in one["message"]]
        assert warning["code"] == "worklet_missing"
        assert f"{file} could not be loaded" in warning["message"]
    assert seen(page, "error") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_without_the_worklets_files_it_hears_and_is_heard_and_names_them(
    tab: Page, server: ScriptedServer, fault: str
) -> None:
    with (
        bare_site(instead=dict.fromkeys((CAPTURE, PLAYER), FAULTS[fault])) as url,
        in_tab(tab, url) as page,
    ):
        connect(page, server.url, player=True)
        check_that_it_hears_and_is_heard(page, server)


def test_under_a_policy_that_forbids_the_worklets_it_hears_and_is_heard(
    tab: Page, server: ScriptedServer
) -> None:
    with (
        bare_site(also={"Content-Security-Policy": policy_without_worklets()}) as url,
        in_tab(tab, url) as page,
    ):
        connect(page, server.url, player=True)
        check_that_it_hears_and_is_heard(page, server)


def test_a_host_that_does_not_answer_for_a_worklet_keeps_nobody_waiting(
    tab: Page, server: ScriptedServer
) -> None:
    over = threading.Event()

    def wait(request: BaseHTTPRequestHandler) -> None:
        over.wait()
        break_off(request)

    with bare_site(instead={CAPTURE: wait}) as url, in_tab(tab, url) as page:
        try:
            connect(page, server.url)
            begin(page, "speaking")
            server.wait_for("audio_chunk", 2)
            assert CAPTURE in seen(page, "warning")[0]["message"]
        finally:
            over.set()


def test_where_nothing_else_works_the_problem_names_the_file(
    tab: Page, server: ScriptedServer
) -> None:
    with bare_site(instead={CAPTURE: FAULTS["not there"]}) as url, in_tab(tab, url) as page:
        page.evaluate("delete BaseAudioContext.prototype.createScriptProcessor")
        connect(page, server.url)
        begin(page, "speaking")
        (problem,) = until_error(page)
        assert f"{CAPTURE} could not be loaded" in problem["message"]
        assert "Another program" not in problem["message"]
        page.wait_for_function("window.openContexts() === 0 && window.live() === 0")


def until_error(page: Page) -> list[dict[str, Any]]:
    page.wait_for_function("seen.some(({ kind }) => kind === 'error')")
    return seen(page, "error")


CAUSES = [
    ("NotAllowedError", "Permission denied", "microphone_denied", "address bar"),
    ("NotAllowedError", "Permission denied by system", "microphone_denied", "The system"),
    ("NotAllowedError", "Permission dismissed", "microphone_denied", "without an answer"),
    ("SecurityError", "", "microphone_denied", "security settings"),
    ("NotFoundError", "Requested device not found", "microphone_missing", "No microphone was"),
    ("OverconstrainedError", "", "microphone_missing", "can do what is asked"),
    ("NotReadableError", "Could not start", "microphone_failed", "Another program"),
    ("AbortError", "Starting failed", "microphone_failed", "did not start"),
    ("InvalidStateError", "", "microphone_failed", "while the page is shown"),
    ("WeirdError", "", "microphone_failed", "could not be opened (WeirdError)"),
]
"""The browser's name and words, and what is made of them."""


def test_each_cause_of_a_missing_microphone_has_a_sentence_of_its_own(
    bare: str, tab: Page, server: ScriptedServer
) -> None:
    with in_tab(tab, bare) as page:
        page.evaluate(
            """() => {
                const refuse = async () => { throw new DOMException(...window.cause); };
                navigator.mediaDevices.getUserMedia = refuse;
            }"""
        )
        for name, message, code, sentence in CAUSES:
            page.evaluate("(cause) => void (window.cause = cause)", [message, name])
            connect(page, server.url)
            begin(page, "speaking")
            (problem,) = until_error(page)
            assert problem["code"] == code, name
            assert sentence in problem["message"], name
            assert problem["message"].endswith("."), name


def test_a_user_who_says_no_is_told_where_to_say_yes(
    launch: Launch, bare: str, opened: Open, server: ScriptedServer
) -> None:
    with launch(REFUSE_MICROPHONE) as browser:
        page = opened(browser, bare, **BARE)
        until_loaded(page)
        connect(page, server.url)
        begin(page, "speaking")
        assert "address bar" in until_error(page)[0]["message"]
        page.context.close()


def test_a_page_that_may_not_use_it_whatever_the_user_says_tells_so(
    tab: Page, server: ScriptedServer
) -> None:
    with bare_site(also={"Permissions-Policy": "microphone=()"}) as url, in_tab(tab, url) as page:
        connect(page, server.url)
        begin(page, "speaking")
        assert "Permissions-Policy" in until_error(page)[0]["message"]


def test_an_insecure_page_is_told_to_be_https(browser: Browser, bare: str, opened: Open) -> None:
    page = opened(browser, bare.replace("127.0.0.1", "insecure.example"), **BARE)
    assert page.evaluate("isSecureContext") is False
    problem = page.evaluate(
        """async () => {
            const { Microphone } = await import("/client/index.js");
            const opening = new Microphone().start(() => undefined);
            return opening.catch(({ code, message }) => [code, message]);
        }"""
    )
    assert problem[0] == "microphone_missing"
    assert "https, or localhost" in problem[1]
