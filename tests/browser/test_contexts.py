"""A context that is used again: the page after finds nothing of the page before."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import opening
from tests.browser.contexts import distrust
from tests.browser.scripted import ScriptedServer

LEAVE = """async (secure) => {
    localStorage.setItem("left", "here");
    sessionStorage.setItem("left", "here");
    document.cookie = "left=here; max-age=3600";
    await new Promise((done) => (indexedDB.open("left").onsuccess = done));
    await (await caches.open("left")).put("/left", new Response("here"));
    const folder = await navigator.storage.getDirectory();
    await folder.getFileHandle("left", { create: true });
    window.name = "left";
    history.pushState(null, "", "#left");
}"""
FIND = """async () => {
    const files = [];
    for await (const name of (await navigator.storage.getDirectory()).keys()) files.push(name);
    return {
        local: Object.keys(localStorage).filter((key) => key === "left"),
        session: Object.keys(sessionStorage).filter((key) => key === "left"),
        cookies: document.cookie,
        databases: (await indexedDB.databases()).map(({ name }) => name),
        caches: await caches.keys(),
        files,
        geolocation: (await navigator.permissions.query({ name: "geolocation" })).state,
        isOnline: navigator.onLine,
        left: window.left,
        opened: performance.getEntriesByType("navigation")[0].type,
        name: window.name,
        isBack: history.length > 2,
        isNarrow: innerWidth < 1280,
        isDark: matchMedia("(prefers-color-scheme: dark)").matches,
        isMoving: matchMedia("(prefers-reduced-motion: no-preference)").matches,
        isUnderTheMouse: document.querySelector("main:hover") !== null,
        wasUsed: window.wasUsed ?? true,
    };
}"""


def found(page: Page) -> dict[str, object]:
    return dict(page.evaluate(FIND))


@pytest.fixture
def address(site: str, server: ScriptedServer) -> str:
    return f"{site}?url={server.url}"


def test_nothing_of_one_page_is_left_for_the_next(browser: Browser, address: str) -> None:
    with opening() as open_page:
        page = open_page(browser, address, script="window.left = 'here'")
        context = page.context
        page.click("#text")
        page.evaluate(LEAVE)
        page.set_viewport_size({"width": 320, "height": 568})
        page.emulate_media(color_scheme="dark", reduced_motion="no-preference")
        page.hover("main")
        context.grant_permissions(["geolocation"])
        context.set_offline(True)
        there = found(page)
        page.context.new_page()
    with opening() as open_page:
        # Whatever a test evaluates counts as a gesture from then on.
        page = open_page(
            browser, address, script="window.wasUsed = navigator.userActivation.hasBeenActive"
        )
        assert page.context is context, "else it is no test"
        assert page.context.pages == [page]
        assert found(page) == {
            "local": [],
            "session": [],
            "cookies": "",
            "databases": [],
            "caches": [],
            "files": [],
            "geolocation": "prompt",
            "isOnline": True,
            "left": None,
            "opened": "navigate",
            "name": "",
            "isBack": False,
            "isNarrow": False,
            "isDark": False,
            "isMoving": False,
            "isUnderTheMouse": False,
            "wasUsed": False,
        }
    # Before, each of it was there.
    assert [name for name, value in there.items() if not value] == ["isOnline"]


def test_two_pages_at_a_time_share_nothing(browser: Browser, address: str) -> None:
    with opening() as open_page:
        first, second = open_page(browser, address), open_page(browser, address)
        assert first.context is not second.context


def test_other_options_are_another_context(browser: Browser, address: str) -> None:
    with opening() as open_page:
        context = open_page(browser, address).context
    with opening() as open_page:
        assert open_page(browser, address, has_touch=True).context is not context


def test_a_tab_is_used_again_but_not_after_a_test_that_failed(
    browser: Browser, address: str
) -> None:
    with opening() as open_page:
        first = open_page(browser, address)
    assert first.url == "about:blank"
    with opening() as open_page:
        assert open_page(browser, address) is first
        distrust()
    assert first.is_closed()


def test_a_page_that_is_opened_in_a_tab_is_closed(browser: Browser, address: str) -> None:
    with opening() as open_page:
        first = open_page(browser, address)
        with first.expect_popup() as popup:
            first.evaluate("void window.open('about:blank')")
    assert popup.value.is_closed()
    assert not first.is_closed()


def test_of_another_site_that_a_tab_was_at_nothing_is_left(browser: Browser, address: str) -> None:
    other = address.replace("127.0.0.1", "localhost", 1)
    with opening() as open_page:
        page = open_page(browser, address)
        for url in (other, address):
            page.goto(url)
            page.evaluate(LEAVE)
            assert "left" in page.evaluate("sessionStorage")
    with opening() as open_page:
        assert open_page(browser, address) is page
        for url in (address, other):
            page.goto(url)
            assert "left" not in page.evaluate("sessionStorage")
            assert "left" not in page.evaluate("localStorage")
