"""A browser that suspends or mutes an open microphone: it hears again by itself, or says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.client_alone import (
    bare_site,
    begin,
    connect,
    in_tab,
    seen,
    until_listening,
)
from tests.browser.scripted import ScriptedServer

MUTE = """(isMuted) => {
    Object.defineProperty(tracks[0], "muted", { value: isMuted, configurable: true });
    tracks[0].dispatchEvent(new Event(isMuted ? "mute" : "unmute"));
}"""


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
    """A page whose conversation is ready, and whose microphone hears a tone without an end."""
    with in_tab(tab, bare) as page:
        connect(page, server.url)
        yield page


def until_told(page: Page, state: str) -> None:
    page.wait_for_function(
        "(state) => seen.findLast(({ kind }) => kind === 'microphone')?.state === state", arg=state
    )


def until_chunks(page: Page, server: ScriptedServer, more: int = 3) -> None:
    server.wait_for("audio_chunk", len(server.of_type("audio_chunk")) + more)


def test_a_suspended_context_is_resumed_at_once_and_hears(
    page: Page, server: ScriptedServer
) -> None:
    begin(page, "speaking")
    server.wait_for("audio_chunk", 2)
    for _ in range(3):
        page.evaluate("contexts[0].suspend()")
        page.wait_for_function("contexts[0].state === 'running'")
        until_chunks(page, server)
    assert seen(page, "microphone") == []


def test_hands_free_says_that_it_is_deaf_and_hears_again_by_itself(
    page: Page, server: ScriptedServer
) -> None:
    begin(page, "hands-free")
    server.wait_for("audio_start")
    page.evaluate("gate('resume')")
    page.evaluate("contexts[0].suspend()")
    until_told(page, "interrupted")
    (problem,) = seen(page, "error")
    assert problem["code"] == "microphone_interrupted"
    assert "goes on by itself" in problem["message"]
    server.wait_for("audio_end")
    page.evaluate("window.open('resume')")
    until_told(page, "hearing")
    server.wait_for("audio_start", 2)
    until_chunks(page, server)
    assert page.evaluate("[window.live(), contexts.length]") == [1, 1]


def test_a_touch_has_it_go_on_where_the_browser_wants_one(
    page: Page, server: ScriptedServer
) -> None:
    begin(page, "speaking")
    server.wait_for("audio_chunk", 2)
    page.evaluate(
        """() => {
            // As on iOS: nothing but a gesture resumes it.
            const resume = contexts[0].resume.bind(contexts[0]);
            window.refused = 0;
            contexts[0].resume = async () => {
                const gestures = ["pointerdown", "touchend", "keydown"];
                if (gestures.includes(window.event?.type)) return resume();
                window.refused += 1;
                throw new DOMException("A gesture is needed.", "InvalidStateError");
            };
            return contexts[0].suspend();
        }"""
    )
    until_told(page, "interrupted")
    page.wait_for_function("window.refused > 2")
    page.click("#press")
    until_told(page, "hearing")
    until_chunks(page, server)


def test_a_muted_track_is_told_and_that_it_is_heard_again(
    page: Page, server: ScriptedServer
) -> None:
    begin(page, "hands-free")
    until_listening(page)
    page.evaluate(MUTE, arg=True)
    until_told(page, "interrupted")
    page.evaluate(MUTE, arg=False)
    until_told(page, "hearing")
    until_chunks(page, server)


def test_a_device_that_is_unplugged_is_told_and_another_can_be_opened(
    page: Page, server: ScriptedServer
) -> None:
    begin(page, "hands-free")
    server.wait_for("audio_start")
    page.evaluate("() => { tracks[0].stop(); tracks[0].dispatchEvent(new Event('ended')); }")
    server.wait_for("audio_end")
    page.wait_for_function("seen.some(({ code }) => code === 'microphone_lost')")
    page.wait_for_function("seen.findLast(({ kind }) => kind === 'hands_free').enabled === false")
    begin(page, "hands-free")
    server.wait_for("audio_start", 2)
    assert page.evaluate("window.live()") == 1
