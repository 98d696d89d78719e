"""The page where a proxy blocks WebSockets, on the real local stack: it goes on over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.blocking_proxy import BlockingProxy
from tests.browser.conftest import Hear, Open
from tests.browser.page import (
    assert_all_of_it_was_heard,
    heard,
    held,
    last_reply_audio,
    say,
    type_message,
    until_heard,
    until_played,
    until_sounding,
)
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def proxy(stack: Stack) -> BlockingProxy:
    """In front of the WebSocket API; it blocks."""
    port = urlsplit(stack.url).port
    assert port is not None
    return BlockingProxy(port)


@pytest.fixture
def address(stack: Stack, proxy: BlockingProxy) -> Iterator[str]:
    """Of the page, whose WebSocket is behind the proxy."""
    (api,) = stack.info["http_apis"].values()
    with proxy.running() as port:
        url = f"ws://127.0.0.1:{port}{urlsplit(stack.url).path}"
        yield f"{stack.info['static_url']}?url={url}&http={api['http_url']}"


def transport(page: Page) -> str:
    return str(page.evaluate("window.parley.conversation.transport"))


def until_transport(page: Page, wanted: str) -> None:
    page.wait_for_function(f"window.parley.conversation.transport === '{wanted}'", timeout=20_000)


def test_where_websockets_are_blocked_every_sample_is_heard_until_one_opens_again(
    stack: Stack,
    proxy: BlockingProxy,
    address: str,
    opened: Open,
    browser: Browser,
    artifacts: Path,
) -> None:
    page = opened(browser, address)
    expect(page.locator("#transport")).to_be_visible()
    assert proxy.handshakes == 2
    say(page, "Say seven.")
    page.evaluate("window.forgetHeard()")
    say(page, "What did I say?")
    assert "Say seven" in page.locator(".reply").nth(1).inner_text()
    page.screenshot(path=artifacts / "page-over-http.png")
    assert_all_of_it_was_heard(page, last_reply_audio(stack))
    assert transport(page) == "http"
    for width, height in ((390, 844), (320, 568)):
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator("#transport")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=artifacts / f"page-over-http-{width}.png")
    session = page.evaluate("window.parley.conversation.session.id")
    proxy.blocks = False
    # As the browser tells of a network that has changed.
    page.evaluate("window.dispatchEvent(new Event('online'))")
    until_transport(page, "websocket")
    expect(page.locator("#transport")).to_be_hidden()
    say(page, "What did I say?")
    assert "What did I say" in page.locator(".reply").nth(2).inner_text()
    expect(page.locator(".turn")).to_have_count(3)
    assert page.evaluate("window.parley.conversation.session.id") == session
    assert proxy.handshakes == 3


def test_where_websockets_open_and_carry_nothing_a_typed_turn_is_answered_over_http(
    stack: Stack, proxy: BlockingProxy, address: str, opened: Open, browser: Browser
) -> None:
    proxy.blocks, proxy.swallows = False, True
    page = opened(browser, address, ready=False)
    page.wait_for_selector("#state[data-state=ready]", timeout=30_000)
    assert transport(page) == "http"
    assert proxy.handshakes == 2
    page.evaluate("window.forgetHeard()")
    say(page, "My name is Alice.")
    assert "Alice" in page.locator(".reply").inner_text()
    assert np.array_equal(heard(page), last_reply_audio(stack))


def test_where_websockets_are_blocked_a_spoken_turn_is_understood_and_answered(
    stack: Stack,
    address: str,
    hear: Hear,
    opened: Open,
    browser: Browser,
    speech: Callable[[str], bytes],
) -> None:
    question = bytes(16_000) + speech("What time is it?")
    hear(question + bytes(3 * 32_000), 16_000)
    page = opened(browser, address)
    with held(page):
        until_heard(page, len(question) / 32_000)
    page.wait_for_selector(".said[data-final=true]", timeout=20_000)
    assert "time" in page.locator(".said").inner_text().lower()
    expect(page.locator(".numbers")).to_contain_text("total", timeout=20_000)
    until_sounding(page, 500)
    until_played(page)
    made, samples = last_reply_audio(stack), heard(page)
    # The microphone's own graph is silent, and in between; what sounds is the same.
    assert np.array_equal(samples[samples.nonzero()], made[made.nonzero()])
    assert transport(page) == "http"


def test_a_reply_over_http_is_interrupted_where_it_was_heard(
    stack: Stack, address: str, opened: Open, browser: Browser
) -> None:
    page = opened(browser, address)
    type_message(page, "Tell me a story about the sea.")
    until_sounding(page, 1_200)
    page.keyboard.press("Escape")
    expect(page.locator(".reply[data-voice=cut]")).to_be_visible()
    unheard = page.locator(".reply[data-voice=cut] .rest").inner_text()
    assert unheard.strip()
    say(page, "Say seven.")
    asked = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    remembered = asked[-1]["body"]["messages"][-2]["content"]
    assert "interrupted" in remembered
    assert unheard.strip() not in remembered


def test_a_websocket_that_is_blocked_in_the_middle_is_left_for_http_with_its_history(
    stack: Stack, proxy: BlockingProxy, address: str, opened: Open, browser: Browser
) -> None:
    proxy.blocks = False
    page = opened(browser, address)
    say(page, "Say seven.")
    assert transport(page) == "websocket"
    proxy.blocks = True
    proxy.cut()
    until_transport(page, "http")
    say(page, "What did I say?")
    assert "Say seven" in page.locator(".reply").nth(1).inner_text()


def test_a_reply_whose_websocket_is_blocked_half_way_is_heard_to_its_last_sample(
    stack: Stack, proxy: BlockingProxy, address: str, opened: Open, browser: Browser
) -> None:
    stack.llm.put(delays={"llm_token_ms": 60})
    proxy.blocks = False
    page = opened(browser, address)
    type_message(page, "My name is Alice.")
    page.wait_for_selector(".reply span:not(:empty)", timeout=20_000)
    proxy.blocks = True
    proxy.cut()
    until_transport(page, "http")
    page.locator(".turn[data-state=done]").wait_for(timeout=60_000)
    until_played(page)
    made, samples = last_reply_audio(stack), heard(page)
    # Where audio came late there is silence; what sounds is the same.
    assert np.array_equal(samples[samples.nonzero()], made[made.nonzero()])
    expect(page.locator(".reply")).to_contain_text("Nice to meet you, Alice.")


def test_hands_free_goes_on_over_http(
    address: str,
    hear: Hear,
    opened: Open,
    browser: Browser,
    speech: Callable[[str], bytes],
) -> None:
    hear(bytes(32_000) + speech("What time is it?") + bytes(20 * 32_000), 16_000)
    page = opened(browser, address)
    page.click("#hands-free")
    page.wait_for_selector(".said[data-final=true]", timeout=30_000)
    assert "time" in page.locator(".said").inner_text().lower()
    expect(page.locator(".numbers")).to_contain_text("total", timeout=20_000)
    until_sounding(page, 500)
    assert transport(page) == "http"


def test_who_leaves_the_end_to_speech_recognition_need_not_stop_over_http_either(
    address: str,
    hear: Hear,
    opened: Open,
    browser: Browser,
    speech: Callable[[str], bytes],
) -> None:
    hear(bytes(16_000) + speech("What time is it?") + bytes(20 * 32_000), 16_000)
    page = opened(browser, address)
    reply = page.evaluate(
        """async () => {
            const turn = window.parley.conversation.startSpeaking({endpointing: "server_vad"});
            return await turn;
        }"""
    )
    assert "time" in reply["said"].lower()
    assert reply["text"]
    assert transport(page) == "http"


def test_a_reload_resumes_the_session_over_http_and_shows_it_to_no_other_address(
    address: str, opened: Open, browser: Browser
) -> None:
    page = opened(browser, address)
    say(page, "Say seven.")
    before = page.evaluate("window.parley.conversation.session.id")
    page.reload()
    page.wait_for_selector("#state[data-state=ready]", timeout=15_000)
    expect(page.locator(".said")).to_have_text("Say seven.")
    assert page.evaluate("window.parley.conversation.session.id") == before
    page.goto(address.replace("&http=http://localhost", "&http=http://127.0.0.1"))
    page.wait_for_selector("#state[data-state=ready]", timeout=15_000)
    assert page.evaluate("window.parley.conversation.session.id") != before
