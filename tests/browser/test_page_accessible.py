"""The page for those who do not see it, do not use a mouse, or have set their system otherwise."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import COLOURS, violations
from tests.browser.conftest import Open
from tests.browser.page import type_message, until_sounding
from tests.browser.page_states import IN_ONE_PAGE, REPLY, STATES, WORDS, prepare
from tests.browser.scripted import Reply, ScriptedServer
from tests.browser.signals import tone

SLIDERS = {
    "Speed": "1",
    "Stability": "0.5",
    "Sensitivity": "0.5",
    "Silence that ends a turn": "700 ms",
    "Speech that interrupts": "450 ms",
}


def objections(page: Page, what: str) -> list[str]:
    """What axe finds in light and dark, wide and narrow."""
    found = []
    for width, height in ((1280, 800), (320, 568)):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        found += [f"{what}, {width} wide: {each}" for each in violations(page)]
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        found += [f"{what}, {width} wide, dark: {each}" for each in violations(page, COLOURS)]
    page.set_viewport_size({"width": 1280, "height": 800})
    return found


@pytest.mark.parametrize("states", IN_ONE_PAGE, ids=", ".join)
def test_axe_finds_nothing_to_object_to(
    states: tuple[str, ...], open_page: Open, server: ScriptedServer
) -> None:
    prepare(server)
    page = open_page(reduced_motion="reduce")
    found = []
    for state in states:
        server.received.clear()
        STATES[state](page, server)
        found += objections(page, state)
    assert found == [], "\n".join(found)


def open_settings(page: Page) -> None:
    page.click("#panel-toggle")
    page.get_by_role("tab", name="Settings").click()


def test_a_slider_has_a_name_and_says_its_value_with_its_unit(open_page: Open) -> None:
    page = open_page()
    open_settings(page)
    for name, value in SLIDERS.items():
        slider = page.get_by_role("slider", name=name, exact=True)
        expect(slider).to_have_attribute("aria-valuetext", value)
        slider.press("ArrowRight")
        expect(slider).not_to_have_attribute("aria-valuetext", value)


def test_a_list_has_a_name(open_page: Open, server: ScriptedServer) -> None:
    prepare(server)
    page = open_page()
    open_settings(page)
    for name in ("Voice", "Language"):
        expect(page.get_by_role("combobox", name=name, exact=True)).to_be_visible()


def test_a_turn_says_who_is_speaking(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "What time is it?")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("A quarter to nine.")
    reply.end("A quarter to nine.")
    expect(page.get_by_role("listitem")).to_match_aria_snapshot("""
      - listitem:
        - heading "You:"
        - paragraph: What time is it?
        - heading "Reply:"
        - paragraph: A quarter to nine.
    """)


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("how", ["interrupted now", "remembered"])
def test_what_was_not_heard_is_called_so(
    how: str, estimated: bool, open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    heard = " ".join(REPLY.split()[:3])
    more = {"heard_estimated": True, "language": "de"} if estimated else {}
    if how == "remembered":
        server.history = [
            {"role": "user", "text": "Tell me.", "turn_id": "a"},
            {"role": "assistant", "text": REPLY, "turn_id": "a", "heard": heard, **more},
        ]
        page.reload()
    else:
        type_message(page, "Tell me.")
        reply = Reply(server, server.wait_for("user_message")["turn_id"])
        reply.text(REPLY)
        reply.audio(tone(440, 9, 24_000), words=WORDS, chunk_ms=1_000)
        until_sounding(page, 200)
        page.keyboard.press("Escape")
        server.wait_for("interrupt")
        reply.end(REPLY, "interrupted", heard=heard, **more)
    where = "roughly from here not heard" if estimated else "not heard"
    rest = REPLY.removeprefix(heard).strip()
    expect(page.get_by_role("listitem")).to_match_aria_snapshot(f"""
      - listitem:
        - paragraph:
          - text: "{heard} – {where}:"
          - deletion: {rest}
    """)
    expect(page.locator("del")).to_have_css("text-decoration-line", "line-through")
    language = page.locator(".reply").get_attribute("lang")
    assert language == ("de" if estimated else None)


def test_of_a_reply_that_was_heard_nothing_is_called_not_heard(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Tell me.")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text(REPLY)
    reply.end(REPLY)
    expect(page.locator("#times .numbers")).to_contain_text("total")
    expect(page.locator("del")).to_have_count(0)
    assert "not heard" not in (page.text_content(".turn") or "")


def test_what_went_wrong_and_what_has_ended_is_read_out(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    STATES["failed turn"](page, server)
    polite = page.locator("[aria-live=polite]")
    expect(polite).to_have_text("The language model is busy. Try again in a moment.")
    server.refused_session = "resume_denied"
    server.drop()
    expect(polite).to_contain_text("could not be continued")


def test_details_take_the_focus_and_give_it_back(open_page: Open) -> None:
    page = open_page()
    page.focus("#panel-toggle")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Events")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Timing")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.get_by_role("button", name="Details")).to_be_focused()
    expect(page.get_by_role("button", name="Details")).to_have_attribute("aria-expanded", "false")


def test_escape_in_details_closes_them_and_the_next_one_stops_the_reply(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    STATES["speaking"](page, server)
    page.click("#panel-toggle")
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    assert server.of_type("interrupt") == []
    page.keyboard.press("Escape")
    server.wait_for("interrupt")


def test_escape_closes_the_address_and_gives_the_focus_back(open_page: Open) -> None:
    page = open_page()
    page.focus("#link summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("textbox", name="WebSocket address")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#url")).to_be_hidden()
    expect(page.locator("#link summary")).to_be_focused()


def test_what_lies_under_the_details_has_no_focus(open_page: Open) -> None:
    page = open_page()
    for width, height in ((390, 844), (844, 390)):
        page.set_viewport_size({"width": width, "height": height})
        page.click("#panel-toggle")
        for _ in range(25):
            page.keyboard.press("Tab")
            is_outside = "document.activeElement.closest('main, footer') !== null"
            assert not page.evaluate(is_outside), f"{width} pixels"
        page.keyboard.press("Escape")
        expect(page.locator("#panel")).to_be_hidden()


@pytest.mark.parametrize("how", ["keyboard", "touch"])
def test_an_event_is_opened_without_a_mouse(
    how: str, open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(has_touch=True)
    STATES["failed turn"](page, server)
    page.click("#panel-toggle")
    row = page.locator("#events summary", has_text="user_message")
    if how == "touch":
        row.tap()
    else:
        page.focus("#save-events")
        while not row.evaluate("(row) => row === document.activeElement"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement !== document.body"), "it is not reached"
        page.keyboard.press("Enter")
    expect(page.locator("#events pre")).to_contain_text('"text": "Hello"')


def test_an_event_that_is_open_stays_open_while_more_of_it_comes(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Count")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    page.click("#panel-toggle")
    reply.text("one ")
    row = page.locator("#events summary", has_text="reply_text")
    row.press("Enter")
    reply.text("two")
    expect(page.locator("#events pre")).to_contain_text("one two")
    expect(row).to_be_focused()


def press_80_ms(page: Page, how: str) -> None:
    """Press the button to talk as somebody who does not know that it is to be held.

    However long it takes on a busy machine, nothing that the page waits for longer than that is
    over meanwhile.
    """
    page.evaluate(
        """() => {
            const wait = (window.realTimeout = window.setTimeout);
            window.setTimeout = (act, ms, ...more) =>
                wait(act, ms > 80 ? 2 ** 31 - 1 : ms, ...more);
        }"""
    )
    press(page, how)
    page.evaluate("() => void (window.setTimeout = window.realTimeout)")


def press(page: Page, how: str) -> None:
    if how == "space":
        page.keyboard.press("Space")
    elif how == "space on the button":
        page.focus("#hold")
        page.keyboard.press("Space")
    elif how == "mouse":
        page.click("#hold")
    else:
        box = page.locator("#hold").bounding_box()
        assert box
        at = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}]
        finger = page.context.new_cdp_session(page)
        finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.parametrize(
    ("how", "is_open"),
    [("mouse", False), ("space", True), ("space on the button", False), ("touch", True)],
    ids=["mouse", "space, microphone open", "space on the button", "touch, microphone open"],
)
def test_a_press_of_80_ms_is_no_turn_but_a_hint(
    how: str, is_open: bool, open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(has_touch=True)
    if is_open:
        page.evaluate("window.parley.microphone.open()")
    press_80_ms(page, how)
    expect(page.get_by_role("alert")).to_have_text("Hold the button while you talk.")
    expect(page.locator("#hold-label")).to_have_text("Hold to talk")
    type_message(page, "Then I type")
    server.wait_for("user_message")
    assert server.types() == ["init", "user_message"]
    expect(page.locator(".turn")).to_have_count(1)


def test_a_press_of_80_ms_does_not_cut_off_the_reply(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    STATES["speaking"](page, server)
    press_80_ms(page, "mouse")
    heard_ms = page.evaluate("window.parley.player.playedMs")
    until_sounding(page, int(heard_ms) + 300)
    assert server.of_type("interrupt") == []


def test_enter_that_is_kept_down_begins_once(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    page.focus("#hold")
    for _ in range(4):
        page.keyboard.down("Enter")  # the second is a repetition, as of a key that is kept down
    server.wait_for("audio_chunk", 3)
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")
    server.wait_for("audio_end")
    assert len(server.of_type("audio_start")) == 1


def test_whoever_wants_no_motion_has_none(open_page: Open, server: ScriptedServer) -> None:
    page = open_page(reduced_motion="reduce")
    STATES["reconnecting"](page, server)
    moving = page.evaluate(
        "document.getAnimations().filter(({ playState }) => playState === 'running').length"
    )
    assert moving == 0


def test_in_forced_colours_the_text_field_shows_that_it_has_the_focus(open_page: Open) -> None:
    page = open_page(forced_colors="active")
    page.focus("#text")
    outline = page.locator(".compose").evaluate("(it) => getComputedStyle(it).outlineStyle")
    assert outline == "solid"


def test_no_control_is_without_a_name(open_page: Open, server: ScriptedServer) -> None:
    prepare(server)
    page = open_page()
    STATES["conversation"](page, server)
    open_settings(page)
    for role in ("button", "textbox", "slider", "combobox", "checkbox", "tab"):
        for control in page.get_by_role(role).all():
            line = control.aria_snapshot().splitlines()[0]
            assert re.match(rf'- {role} "[^"]+', line), line
