"""`<parley-talk>` in pages of strangers: strict ones, ones that remove it, ones with several."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import COLOURS, violations
from tests.browser.conftest import Hear, opening
from tests.browser.scripted import CACHED, Instead, Reply, ScriptedServer, static_site
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
    window.permission = Promise.resolve();
    mediaDevices.getUserMedia = async (wanted) => {
        await window.permission;
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

ASKING = "() => void (window.permission = new Promise((allow) => (window.allow = allow)))"
"""The browser asks for the microphone, until `allow()`."""
DENIED = """() => {
    window.permission = Promise.reject(new DOMException("", "NotAllowedError"));
    window.permission.catch(() => undefined);
}"""


def answer(body: bytes, status: int = 200, **headers: str) -> Instead:
    """What a host says."""

    def answers(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Type": "text/html", **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answers


def token_of_the_signed_in(request: BaseHTTPRequestHandler) -> None:
    is_signed_in = "signed=in" in request.headers.get("Cookie", "")
    token = b'{"token": "secret"}' if is_signed_in else b""
    answer(token, 200 if is_signed_in else 401)(request)


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    instead = {
        "/": answer(PAGE, Content_Security_Policy=POLICY),
        "/login": answer(b"<!doctype html>", Set_Cookie="signed=in; HttpOnly"),
        "/token": token_of_the_signed_in,
    }
    folders = {"/client/": ROOT / "client" / "js"}
    with static_site(folders, also=CACHED, instead=instead) as url:
        yield url


@pytest.fixture
def page(browser: Browser, shop: str) -> Iterator[Page]:
    """A shop without the element yet; what its policy refuses fails the test."""
    with opening() as open_page:
        page = open_page(browser, shop, ready=False, script=WATCH, bypass_csp=False)
        until(page, "customElements.get('parley-talk') !== undefined")
        yield page
        assert page.evaluate("window.violations") == []


def put(page: Page, url: str, **attributes: str) -> None:
    """Put an element into the page, beside those that are there."""
    given = {"url": url, **{name.replace("_", "-"): value for name, value in attributes.items()}}
    page.evaluate(
        """(given) => {
            const element = document.createElement("parley-talk");
            for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
            place.append(element);
        }""",
        given,
    )


def start(page: Page, which: str = "parley-talk") -> None:
    page.locator(which).get_by_role("button", name="Start talking").click()
    until_state(page, "listening", which)


def told(page: Page, kind: str) -> list[dict[str, Any]]:
    """The details of the element's events of one kind, in order."""
    return [each for each in page.evaluate("window.told") if each["type"] == kind]


def until(page: Page, expression: str) -> None:
    # As a function: under the page's policy an expression would be evaluated only once.
    page.wait_for_function(f"() => {expression}")


def until_live(page: Page, tracks: int) -> None:
    until(page, f"window.live() === {tracks}")


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


def test_mute_lets_go_of_the_microphone_and_stop_ends_the_session(
    page: Page, server: ScriptedServer, hear: Hear
) -> None:
    hear(bytes(32_000), 16_000)
    put(page, server.url)
    start(page)
    until_live(page, 1)
    page.get_by_role("button", name="Mute").click()
    until_state(page, "muted")
    until_live(page, 0)
    expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Mute").click()
    until_state(page, "listening")
    until_live(page, 1)
    page.get_by_role("button", name="End the conversation").click()
    server.wait_for("end")
    server.send(type="session_ended", session_id="s1", reason="ended")
    until_state(page, "idle")
    until(page, "window.live() === 0 && window.openContexts() === 0")
    start(page)
    assert "session_id" not in server.wait_for("init", 2)


@pytest.mark.parametrize("when", ["listening", "asking"])
def test_an_element_that_is_removed_leaves_nothing_and_comes_back(
    when: str, page: Page, server: ScriptedServer, hear: Hear
) -> None:
    hear(bytes(32_000), 16_000)
    put(page, server.url)
    if when == "asking":
        page.evaluate(ASKING)
        page.get_by_role("button", name="Start talking").click()
        server.wait_for("init")
    else:
        start(page)
        until_live(page, 1)
    page.evaluate("(window.kept = document.querySelector('parley-talk')).remove()")
    if when == "asking":
        page.evaluate("window.allow()")
    until(page, "kept.conversation.state === 'closed' && window.live() === 0")
    until(page, "window.openContexts() === 0")
    assert told(page, "parley-error") == []
    page.evaluate("place.append(kept)")
    start(page)
    assert server.wait_for("init", 2)["session_id"] == "s1"
    until_live(page, 1)


def test_an_element_that_is_moved_goes_on(page: Page, server: ScriptedServer, hear: Hear) -> None:
    hear(bytes(32_000), 16_000)
    put(page, server.url)
    start(page)
    page.evaluate("document.body.append(document.querySelector('parley-talk'))")
    assert page.evaluate("document.querySelector('parley-talk').state") == "listening"
    page.evaluate("document.querySelector('parley-talk').say('Still here?')")
    server.wait_for("user_message")
    assert server.handshakes == 1


def test_what_has_been_removed_is_forgotten(page: Page, server: ScriptedServer) -> None:
    put(page, server.url, text="")
    type_text(page, "Hello")
    Reply(server, server.wait_for("user_message")["turn_id"]).end("Good day.")
    until_state(page, "idle")
    page.evaluate(
        """() => {
            const element = document.querySelector("parley-talk");
            window.gone = new WeakRef(element);
            const isClosed = new Promise((done) => element.conversation.on("state", ({ state }) =>
                state === "closed" && setTimeout(done)));
            element.remove();
            window.told = window.contexts = window.tracks = [];
            return isClosed;
        }"""
    )
    session = page.context.new_cdp_session(page)
    end = time.monotonic() + 10  # what was closed is let go of by the browser when it likes
    while page.evaluate("window.gone.deref() !== undefined"):
        assert time.monotonic() < end, "something of the page keeps it"
        session.send("HeapProfiler.collectGarbage")


def type_text(page: Page, text: str) -> None:
    field = page.get_by_role("textbox", name="Write a message")
    field.fill(text)
    field.press("Enter")


def test_a_typed_turn_needs_no_microphone_and_escape_stops_its_reply(
    page: Page, server: ScriptedServer
) -> None:
    put(page, server.url, text="", agent="waiter", voice="v1", language="de")
    type_text(page, "Tell me.")
    init = server.wait_for("init")
    assert (init["agent"], init["settings"]) == ("waiter", {"voice": "v1", "language": "de"})
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.send("custom", name="cart", data={"items": 2})
    reply.text("Once upon a time.")
    reply.audio(tone(440, 9, 24_000), chunk_ms=1_000)
    until_state(page, "speaking")
    page.keyboard.press("Escape")
    server.wait_for("interrupt")
    reply.end("Once upon a time.", "interrupted", heard="Once")
    until_state(page, "idle")
    expect(page.get_by_role("deletion")).to_have_text(" upon a time.")
    assert [each["data"] for each in told(page, "parley-custom")] == [{"items": 2}]
    assert page.evaluate("window.tracks.length") == 0


def test_another_address_is_another_conversation(
    page: Page, server: ScriptedServer, hear: Hear
) -> None:
    hear(bytes(32_000), 16_000)
    put(page, server.url)
    start(page)
    with ScriptedServer().running() as other:
        page.evaluate(
            """(url) => {
                const element = document.querySelector("parley-talk");
                element.agent = "cook";
                element.url = url;
            }""",
            other.url,
        )
        assert other.wait_for("init")["agent"] == "cook"
        until_state(page, "listening")
        until_live(page, 1)
        # Both attributes have changed: one conversation was begun for them, not two.
        assert (server.handshakes, other.handshakes) == (1, 1)
        page.evaluate("document.querySelector('parley-talk').voice = 'v2'")
        assert other.wait_for("config")["settings"] == {"voice": "v2"}
        page.evaluate("document.querySelector('parley-talk').mode = 'push-to-talk'")
        expect(page.get_by_role("button", name="Hold to talk")).to_be_visible()
        until_state(page, "idle")


def test_the_pages_own_back_end_gives_the_token(
    page: Page, shop: str, server: ScriptedServer
) -> None:
    server.accepted = "secret"
    put(page, server.url, token_url="token", text="")
    type_text(page, "Hello")
    until_state(page, "error")
    of_the_turn, problem = told(page, "parley-error")
    assert [of_the_turn["code"], problem["code"]] == ["connection_lost", "unauthorized"]
    assert problem["message"] == f"{shop}token gives no token (401): sign in."
    expect(page.get_by_role("status")).to_have_text(problem["message"])
    assert server.handshakes == 0
    page.evaluate("fetch('/login')")
    type_text(page, "Hello")
    assert server.wait_for("user_message")["text"] == "Hello"
    assert server.offered == ["secret"]


def test_what_was_set_before_the_class_was_there_counts(
    browser: Browser, shop: str, server: ScriptedServer
) -> None:
    early = """document.addEventListener("DOMContentLoaded", () => {
        const element = document.createElement("parley-talk");
        Object.assign(element, { url: %r, text: true, getToken: async () => "secret" });
        element.tools = { open_basket: () => "3 apples" };
        place.append(element);
    })"""
    server.accepted = "secret"
    with opening() as open_page:
        # Before any module of the page: they wait for the document.
        page = open_page(browser, shop, ready=False, script=WATCH + early % server.url)
        type_text(page, "What is in it?")
        assert server.wait_for("init")["tools"] == ["open_basket"]
        turn_id = server.wait_for("user_message")["turn_id"]
        call = {"call_id": "c", "name": "open_basket", "arguments": {}, "timeout_ms": 1_000}
        Reply(server, turn_id).send("client_call", **call)
        assert server.wait_for("tool_result")["result"] == "3 apples"


def test_of_several_only_one_listens(page: Page, server: ScriptedServer, hear: Hear) -> None:
    hear(bytes(32_000), 16_000)
    with ScriptedServer().running() as other:
        put(page, server.url, id="one")
        put(page, other.url, id="two")
        start(page, "#one")
        start(page, "#two")
        until_state(page, "muted", "#one")
        until_live(page, 1)
        page.locator("#one").get_by_role("button", name="Mute").click()
        until_state(page, "listening", "#one")
        until_state(page, "muted", "#two")


def test_without_a_microphone_one_can_type(page: Page, server: ScriptedServer) -> None:
    page.evaluate(DENIED)
    put(page, server.url)
    expect(page.get_by_role("textbox")).to_be_hidden()
    page.get_by_role("button", name="Start talking").click()
    until_state(page, "error")
    assert [each["code"] for each in told(page, "parley-error")] == ["microphone_denied"]
    type_text(page, "Then I type.")
    server.wait_for("user_message")
    until_state(page, "thinking")


def test_a_page_may_show_what_goes_wrong_itself(page: Page, server: ScriptedServer) -> None:
    page.evaluate("document.addEventListener('parley-error', (event) => event.preventDefault())")
    put(page, server.url, text="")
    type_text(page, "Hello")
    turn_id = server.wait_for("user_message")["turn_id"]
    sentence = "The language model is busy."
    reply = Reply(server, turn_id)
    reply.send("error", code="reply_failed", message=sentence, retryable=True)
    reply.end("", "failed", code="reply_failed", retryable=True)
    until_state(page, "idle")
    assert [each["message"] for each in told(page, "parley-error")] == [sentence]
    expect(page.get_by_text(sentence)).to_have_count(0)


def test_its_words_are_the_pages(page: Page, server: ScriptedServer) -> None:
    put(page, server.url, label_start="Sprechen", label_idle="Bereit", text="", label_text="Text")
    expect(page.get_by_role("button", name="Sprechen")).to_have_accessible_description("Bereit")
    expect(page.get_by_role("textbox", name="Text")).to_be_visible()
    page.evaluate("document.querySelector('parley-talk').setAttribute('label-start', 'Los')")
    expect(page.get_by_role("button", name="Los")).to_be_visible()


def objections(page: Page) -> list[str]:
    """What axe finds, in light and dark."""
    found = []
    for scheme, rules in (("light", None), ("dark", COLOURS)):
        page.evaluate(
            "(scheme) => void (document.documentElement.style.colorScheme = scheme)", scheme
        )
        found += violations(page, rules)
    return found


def test_axe_finds_nothing_to_object_to_in_any_state(page: Page, server: ScriptedServer) -> None:
    put(page, server.url, mode="push-to-talk", text="", position="floating")
    page.set_viewport_size({"width": 320, "height": 568})
    found = objections(page)
    page.evaluate(ASKING)
    talk = page.get_by_role("button", name="Hold to talk")
    talk.press("Enter")
    until_state(page, "connecting")
    found += objections(page)
    page.evaluate("window.allow()")
    until_state(page, "listening")
    found += objections(page)
    talk.press("Enter")
    reply = Reply(server, server.wait_for("audio_end")["turn_id"])
    until_state(page, "thinking")
    found += objections(page)
    reply.send("transcript", text="What is this?", final=True)
    reply.text("A shop, and a long story about it.")
    reply.audio(tone(440, 30, 24_000), chunk_ms=5_000)
    until_state(page, "speaking")
    found += objections(page)
    talk.press("Escape")
    server.wait_for("interrupt")
    reply.end("A shop, and a long story about it.", "interrupted", heard="A shop,")
    server.close(1008)
    until_state(page, "error")
    found += objections(page)
    assert found == [], "\n".join(found)
