"""The inspector in Chromium: what happens on the stack is there, live and by keyboard."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.sync.client import ClientConnection, connect

from samwire_tests import conftest as emulator
from tests.browser.axe import violations

app = emulator.app
pytestmark = pytest.mark.timeout(120)

Colours = Literal["light", "dark"]
COLOURS: tuple[Colours, ...] = ("light", "dark")


@pytest.fixture
def page(browser: Browser, app: emulator.App) -> Iterator[Page]:
    """The page, following the stack; nothing may go wrong in it."""
    context = browser.new_context(
        color_scheme="light",
        viewport={"width": 1280, "height": 800},
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.goto(f"{app.info['static_url']}_local")
    expect(page.locator("#state")).to_have_text("live")
    page.keyboard.press("c")
    yield page
    context.close()
    assert problems == []


def say(socket: ClientConnection, **message: Any) -> str:
    """Send a message and wait for the answer."""
    socket.send(json.dumps(message))
    return str(socket.recv(20))


def rows(page: Page, kind: str = "") -> Any:
    return page.locator(f"#rows li[data-type={kind}]" if kind else "#rows li")


def photograph(page: Page, folder: Path, name: str) -> None:
    for colours in COLOURS:
        page.emulate_media(color_scheme=colours)
        page.screenshot(path=folder / f"{name}-{colours}.png")


def choose(page: Page, view: str) -> None:
    page.locator(f"[role=tab][data-view={view}]").click()


def test_a_conversation_is_there_as_it_happens(
    page: Page, app: emulator.App, artifacts: Path
) -> None:
    with connect(app.url) as socket:
        assert say(socket, action="post", data="good morning") == "good morning"
        expect(rows(page, "connection")).to_have_count(1)
        expect(rows(page, "message").first).to_contain_text("good morning")
        expect(rows(page, "post")).to_contain_text("good morning")
        assert "Internal server error" in say(socket, action="raise")
        expect(page.locator("[data-view=connections] b")).to_have_text("1")
        expect(rows(page, "message").first).to_contain_text("Internal server error")
        failed = page.locator("#rows li[data-type=invocation][data-state=bad]")
        expect(failed).to_have_count(1)
        failed.click()
        expect(page.locator("#details")).to_contain_text("ValueError")
        expect(page.locator("#details pre").nth(1)).to_contain_text("START RequestId")
        photograph(page, artifacts, "inspector")
    expect(rows(page, "connection")).to_contain_text("disconnected")
    expect(page.locator("[data-view=connections] b")).to_have_text("0")


def test_an_invocation_shows_its_event_result_log_and_figures(
    page: Page, app: emulator.App
) -> None:
    event = {"table": app.info["tables"]["Connections"], "id": "inspected"}
    for _ in range(2):
        app.client("lambda").invoke(FunctionName="local-Worker", Payload=json.dumps(event))
    choose(page, "invocations")
    expect(rows(page)).to_have_count(2)
    rows(page).first.click()
    details = page.locator("#details")
    for text in ("Worker", "warm", "of 128 MB", '"id": "inspected"', '"done": "inspected"'):
        expect(details).to_contain_text(text)
    expect(details).to_contain_text("REPORT RequestId")
    expect(details.locator("dl")).to_contain_text("ms")


def test_everything_can_be_done_by_keyboard(page: Page, app: emulator.App) -> None:
    with connect(app.url) as socket:
        for data in ("one", "two"):
            assert say(socket, action="post", data=data) == data
    page.keyboard.press("4")
    expect(rows(page)).to_have_count(2)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#details pre")).to_have_text("two")
    page.keyboard.press("j")
    expect(page.locator("#details pre")).to_have_text("one")
    page.keyboard.press("/")
    page.keyboard.type("TWO")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    expect(page.locator("#details pre")).to_have_text("two")


def test_while_it_is_paused_nothing_moves_and_afterwards_nothing_is_missing(
    page: Page, app: emulator.App
) -> None:
    page.keyboard.press("p")
    expect(page.locator("#state")).to_have_text("paused")
    with connect(app.url) as socket:
        assert say(socket, action="post", data="meanwhile") == "meanwhile"
        page.wait_for_function(
            "fetch('/_local/events.json').then(r => r.text()).then(t => t.includes('meanwhile'))"
        )
        expect(rows(page)).to_have_count(0)
        page.keyboard.press("p")
        expect(rows(page, "message")).to_contain_text("meanwhile")


def test_faults_are_listed(page: Page, app: emulator.App) -> None:
    url = f"{app.info['static_url']}_local/faults"
    plan = {"faults": [{"kind": "duplicate_message", "times": 1}]}
    put = urllib.request.Request(url, method="PUT", data=json.dumps(plan).encode())
    urllib.request.urlopen(put).close()
    try:
        with connect(app.url) as socket:
            say(socket, action="post", data="twice")
            page.keyboard.press("5")
            expect(rows(page)).to_contain_text("duplicate_message")
    finally:
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE")).close()


def test_a_narrow_window_shows_both_halves(page: Page, app: emulator.App, artifacts: Path) -> None:
    page.set_viewport_size({"width": 400, "height": 760})
    with connect(app.url) as socket:
        say(socket, action="post", data="narrow")
    page.locator("#rows li[data-type=connection]").click()
    expect(page.locator("#details")).to_contain_text("on this connection")
    page.locator("#details .related button", has_text="post out").click()
    expect(page.locator("#details pre")).to_have_text("narrow")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 400
    photograph(page, artifacts, "inspector-narrow")


def test_a_row_is_opened_and_left_by_keyboard(page: Page, app: emulator.App) -> None:
    with connect(app.url) as socket:
        assert say(socket, action="post", data="hello") == "hello"
    page.keyboard.press("4")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_focused()
    expect(page.locator("#details pre")).to_have_text("hello")
    page.keyboard.press("Tab")
    expect(page.locator("#details summary").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_focused()
    expect(page.get_by_role("option", selected=True)).to_contain_text("hello")


def test_a_row_is_opened_by_touch(browser: Browser, app: emulator.App) -> None:
    context = browser.new_context(has_touch=True, viewport={"width": 400, "height": 760})
    touched = context.new_page()
    touched.goto(f"{app.info['static_url']}_local")
    expect(touched.locator("#state")).to_have_text("live")
    with connect(app.url) as socket:
        assert say(socket, action="post", data="by finger") == "by finger"
    touched.get_by_role("option").filter(has_text="by finger").first.tap()
    expect(touched.get_by_role("option", selected=True)).to_contain_text("by finger")
    expect(touched.locator("#details pre").first).to_contain_text("by finger")
    context.close()


def test_the_lists_are_tabs_that_arrows_move_between(page: Page) -> None:
    page.get_by_role("tab", name="Everything").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Connections")).to_be_focused()
    expect(page.get_by_role("tab", selected=True)).to_contain_text("Connections")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Faults")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox", name="Filter")).to_be_focused()


@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (400, "dark")])
def test_axe_finds_nothing_to_object_to(
    page: Page, app: emulator.App, width: int, colours: Colours
) -> None:
    page.emulate_media(color_scheme=colours)
    page.set_viewport_size({"width": width, "height": 760})
    found = violations(page)
    with connect(app.url) as socket:
        say(socket, action="post", data="a post")
        say(socket, action="raise")
        expect(page.locator("#rows li[data-type=invocation][data-state=bad]")).to_have_count(1)
        for kind in ("connection", "post", "message", "invocation"):
            rows(page, kind).first.click()
            found += violations(page)
    page.keyboard.press("p")
    found += violations(page)
    assert found == [], "\n".join(found)
