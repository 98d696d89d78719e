"""`<parley-talk>` in pages of strangers: strict ones, ones that remove it, ones with several."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import violations
from tests.browser.client_alone import until_live
from tests.browser.conftest import Open, opening
from tests.browser.scripted import CACHED, Reply, ScriptedServer, static_site
from tests.browser.signals import tone
from tests.e2e.stack import ROOT

pytestmark = pytest.mark.timeout(120)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://127.0.0.1:*; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""As strict as a page can be that loads the element and lets it connect."""
PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A shop</title>
<script type="module" src="/client/parley-talk.js"></script>
<main><h1>A shop</h1><div id="place"></div></main>
"""
WATCH = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.effectiveDirective}: ${event.sample}`));
    window.tracks = [];
    window.contexts = [];
    const { mediaDevices } = navigator;
    const ask = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async (wanted) => {
        const stream = await ask(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
    window.AudioContext = class extends AudioContext {
        constructor(...given) {
            super(...given);
            window.contexts.push(this);
        }
    };
    window.live = () => window.tracks.filter(({ readyState }) => readyState === "live").length;
    window.openContexts = () => window.contexts.filter(({ state }) => state !== "closed").length;
    window.told = [];
    for (const name of ["parley-state", "parley-turn", "parley-error", "parley-custom"])
        document.addEventListener(name, ({ type, detail, target }) =>
            window.told.push({ type, id: target.id, ...detail, problem: undefined }));
"""


def answer_page(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "text/html")
    request.send_header("Content-Security-Policy", POLICY)
    request.send_header("Content-Length", str(len(PAGE)))
    request.end_headers()
    request.wfile.write(PAGE)


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    folders = {"/client/": ROOT / "client" / "js"}
    with static_site(folders, also=CACHED, instead={"/": answer_page}) as url:
        yield url


@pytest.fixture
def page(browser: Browser, shop: str) -> Iterator[Page]:
    """A shop without the element yet; what its policy refuses fails the test."""
    with opening() as open_page:
        page = open_page(browser, shop, ready=False, script=WATCH, bypass_csp=False)
        page.wait_for_function("customElements.get('parley-talk') !== undefined")
        yield page
        assert page.evaluate("window.violations") == []


def put(page: Page, url: str, **attributes: str) -> None:
    """Put an element into the page, beside those that are there."""
    given = {"url": url, **{name.replace("_", "-"): value for name, value in attributes.items()}}
    page.evaluate(
        """(attributes) => {
            const element = document.createElement("parley-talk");
            for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
            place.append(element);
        }""",
        given,
    )


def told(page: Page, kind: str) -> list[dict[str, Any]]:
    """The details of the element's events of one kind, in order."""
    return [each for each in page.evaluate("window.told") if each["type"] == kind]


def until_state(page: Page, state: str, which: str = "parley-talk") -> None:
    page.wait_for_function(
        "([which, state]) => document.querySelector(which)?.state === state", arg=[which, state]
    )


def test_a_spoken_turn_goes_through_every_state(page: Page, server: ScriptedServer) -> None:
    put(page, server.url, mode="push-to-talk")
    button = page.get_by_role("button", name="Hold to talk")
    button.click()
    server.wait_for("audio_chunk")
    until_state(page, "listening")
    button.click()
    turn_id = server.wait_for("audio_end")["turn_id"]
    until_state(page, "thinking")
    reply = Reply(server, turn_id)
    reply.send("transcript", text="What is this?", final=True)
    reply.text("A shop.")
    reply.audio(tone(440, 0.3, 24_000))
    until_state(page, "speaking")
    reply.end("A shop.")
    until_state(page, "idle")
    states = [each["state"] for each in told(page, "parley-state")]
    assert states == ["connecting", "listening", "thinking", "speaking", "idle"]
    last = told(page, "parley-turn")[-1]
    assert (last["said"], last["text"], last["status"]) == ("What is this?", "A shop.", "done")
    expect(page.get_by_role("listitem")).to_have_text("You: What is this?Agent: A shop.")
