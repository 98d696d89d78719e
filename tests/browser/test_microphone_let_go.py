"""Whoever started the microphone being gone, no track of a real browser stays live."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.client_alone import (
    bare_site,
    begin,
    connect,
    in_tab,
    until_listening,
    until_live,
)
from tests.browser.scripted import ScriptedServer
from tests.e2e.stack import Stack

Way = Callable[[Page, ScriptedServer], None]


def refuse_until_failed(page: Page, server: ScriptedServer) -> None:
    server.refuse = True
    server.drop()
    page.wait_for_function("conversation.state === 'failed'")


def session_ended(reason: str) -> Way:
    def ends(_page: Page, server: ScriptedServer) -> None:
        server.send(type="session_ended", session_id="s1", reason=reason)

    return ends


WAYS: dict[str, Way] = {
    "close": lambda page, _server: page.evaluate("conversation.close()"),
    "end": lambda page, _server: page.evaluate("() => void conversation.end()"),
    "final close code": lambda _page, server: server.close(1008),
    "session ended": session_ended("ended"),
    "session replaced": session_ended("replaced"),
    "failed": refuse_until_failed,
}
STOPS = {
    "speaking": "() => void conversation.stopSpeaking()",
    "hands-free": "() => void conversation.stopHandsFree()",
}
GATES = ["permission", "worklet", "resume"]
LATE = [
    (use, gate, way)
    for (gate, way), use in zip(
        itertools.product(GATES, [*WAYS, "stopped by hand"]), itertools.cycle(STOPS), strict=False
    )
]
"""Every way at every gate, with both uses in turn; `microphone-let-go.test.js` has them all."""


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


@pytest.fixture
def page(bare: str, tab: Page, server: ScriptedServer) -> Iterator[Page]:
    """A page whose conversation is ready."""
    with in_tab(tab, bare) as page:
        connect(page, server.url, attempts=1, baseDelayMs=10)
        yield page


def assert_nothing_is_open(page: Page) -> None:
    page.wait_for_function("window.openContexts() === 0")
    assert page.evaluate("window.live()") == 0
    assert page.evaluate("microphone.isOpen") is False


@pytest.mark.parametrize("use", STOPS)
@pytest.mark.parametrize("way", WAYS)
def test_an_open_microphone_is_let_go_at_once(
    page: Page, server: ScriptedServer, use: str, way: str
) -> None:
    begin(page, use)
    until_listening(page)
    assert page.evaluate("window.live()") == 1
    WAYS[way](page, server)
    until_live(page, 0)
    assert_nothing_is_open(page)


@pytest.mark.parametrize(("use", "gate", "way"), LATE)
def test_a_microphone_that_is_given_too_late_is_let_go_at_once(
    page: Page, server: ScriptedServer, use: str, gate: str, way: str
) -> None:
    page.evaluate("(name) => gate(name)", gate)
    begin(page, use)
    page.wait_for_function("(name) => window.reached(name)", arg=gate)
    if gate != "permission":
        until_live(page)
    if way in WAYS:
        WAYS[way](page, server)
    else:
        page.evaluate(STOPS[use])
    if gate != "permission":
        until_live(page, 0)
    page.evaluate("(name) => window.open(name)", gate)
    if gate == "permission":
        page.wait_for_function("window.tracks.length === 1")
    assert_nothing_is_open(page)


def test_one_conversation_that_ends_does_not_take_it_from_another(
    page: Page, server: ScriptedServer
) -> None:
    page.evaluate("gate('permission')")
    begin(page, "speaking")
    connect(page, server.url)
    begin(page, "hands-free")
    page.evaluate("conversations[0].close()")
    page.evaluate("window.open('permission')")
    until_listening(page)
    assert page.evaluate("[window.tracks.length, window.live()]") == [1, 1]
    page.evaluate("conversations[1].close()")
    assert_nothing_is_open(page)


def test_begun_twice_quickly_it_is_opened_once_and_let_go_once(page: Page) -> None:
    page.evaluate("gate('permission')")
    for _ in range(2):
        begin(page, "speaking")
        page.evaluate(STOPS["speaking"])
    begin(page, "speaking")
    page.evaluate("window.open('permission')")
    until_listening(page)
    assert page.evaluate("[window.tracks.length, window.live()]") == [1, 1]
    page.evaluate("conversation.close()")
    assert_nothing_is_open(page)


def test_a_device_that_goes_while_it_is_being_opened_leaves_nothing(page: Page) -> None:
    page.evaluate("gate('worklet')")
    begin(page, "hands-free")
    until_live(page)
    page.evaluate("() => { tracks[0].stop(); tracks[0].dispatchEvent(new Event('ended')); }")
    page.evaluate("window.open('worklet')")
    assert_nothing_is_open(page)
    begin(page, "speaking")
    until_listening(page)
    assert page.evaluate("window.live()") == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way", ["close", "end"])
@pytest.mark.parametrize("is_asking", [True, False], ids=["asking", "open"])
def test_over_http_nothing_stays_open_either(
    stack: Stack, bare: str, tab: Page, way: str, is_asking: bool
) -> None:
    with in_tab(tab, bare) as page:
        end_over_http(page, stack, way, is_asking)


def end_over_http(page: Page, stack: Stack, way: str, is_asking: bool) -> None:
    (api,) = stack.info["http_apis"].values()
    # Nobody listens on the discard port, as behind a proxy that blocks WebSockets.
    connect(page, "ws://127.0.0.1:9", httpUrl=api["http_url"], baseDelayMs=10)
    assert page.evaluate("conversation.transport") == "http"
    if is_asking:
        page.evaluate("gate('permission')")
    begin(page, "speaking")
    if not is_asking:
        until_listening(page)
    page.evaluate(f"() => void conversation.{way}()")
    if is_asking:
        page.evaluate("window.open('permission')")
        page.wait_for_function("window.tracks.length === 1")
    until_live(page, 0)
    assert_nothing_is_open(page)
