"""The page in a real browser, against a server that does as the tests say.

What it shows, and what it sends for what is typed and pressed.
"""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.page import type_message, until_played
from tests.browser.scripted import Reply, ScriptedServer
from tests.browser.signals import tone


def test_a_typed_turn_goes_out_and_its_reply_comes_in(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Good morning")
    message = server.wait_for("user_message")
    assert message["text"] == "Good morning"
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", message["turn_id"])
    reply = Reply(server, message["turn_id"])
    reply.text("Good ")
    expect(page.locator(".reply")).to_have_text("Good ")
    reply.text("evening!")
    reply.end("Good evening!")
    expect(page.locator(".said")).to_have_text("Good morning")
    expect(page.locator(".reply")).to_have_text("Good evening!")
    assert server.wait_for("ack") == {"type": "ack", "turn_id": message["turn_id"], "seq": 3}
    assert page.input_value("#text") == ""


def test_where_the_time_went_is_shown(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("Hello.")
    reply.audio(tone(440, 0.2, 24_000))
    until_played(page)
    reply.end("Hello.")
    expect(page.locator(".numbers")).to_have_text(
        re.compile(r"first text \d+ ms\s*first sound \d+ ms\s*total \d+ ms")
    )
    expect(page.locator(".figures .bar i")).to_have_count(5)
    page.click("#panel-toggle")
    page.get_by_role("tab", name="Timing").click()
    page.click(".figures summary")
    expect(page.locator(".parts")).to_contain_text("model")
    expect(page.locator(".parts")).to_contain_text("228 ms")


def test_events_that_come_twice_or_in_disorder_are_shown_once_and_in_order(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Count")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    events = [reply.event("reply_text", delta=word) for word in ("one ", "two ", "three ", "four")]
    for index in (2, 0, 0, 3, 2, 1, 1):
        server.send(**events[index])
    reply.end("one two three four")
    server.wait_for("ack")
    expect(page.locator(".reply")).to_have_text("one two three four")


def test_the_space_bar_stays_with_what_has_the_focus(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    for place, effect in (
        ("#text", "document.activeElement.value === ' '"),
        ("#panel-toggle", "document.querySelector('#panel-toggle').ariaExpanded === 'true'"),
        ("#link summary", "document.activeElement.parentElement.open"),
    ):
        page.focus(place)
        page.keyboard.down("Space")
        assert page.get_attribute("#hold", "aria-pressed") == "false", place
        page.keyboard.up("Space")
        assert page.evaluate(effect) is True, place
    assert server.types() == ["init"]


def test_errors_are_sentences_where_they_belong(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    sentence = "The language model is busy. Try again in a moment."
    reply.send("error", code="reply_failed", message=sentence, retryable=True)
    reply.end("", "failed")
    expect(page.locator(".turn .problem")).to_have_text(sentence)
    server.send(type="error", code="bad_request", message="That is not valid.", retryable=False)
    # Which of the page's messages it was is of no use to who reads this.
    expect(page.get_by_role("alert")).to_have_text(
        "The server does not understand this page. Reload it: one of the two may be newer."
    )
    server.send_text('{"message": "Internal server error", "connectionId": "c", "requestId": "r"}')
    expect(page.get_by_role("alert")).to_have_text(
        "The server could not take a message (Internal server error). Try again."
    )
    type_message(page, "Again")
    server.wait_for("user_message", 2)
    expect(page.locator("#notice")).to_be_hidden()


def test_a_failed_reply_can_be_tried_again(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "Hello")
    message = server.wait_for("user_message")
    reply = Reply(server, message["turn_id"])
    reply.send("error", code="reply_failed", message="Busy. Try again.", retryable=True)
    reply.end("", "failed", code="reply_failed", retryable=True)
    page.get_by_role("button", name="Try again").click()
    again = server.wait_for("user_message", 2)
    assert (again["turn_id"], again["text"], again["attempt"]) == (message["turn_id"], "Hello", 2)
    server.send(type="reply_text", turn_id=message["turn_id"], seq=1, attempt=2, delta="Hello!")
    expect(page.locator(".reply")).to_have_text("Hello!")
    expect(page.locator(".turn")).to_have_count(1)


def test_a_reload_goes_on_with_the_conversation(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    server.history = [
        {"role": "user", "text": "My name is Alice.", "turn_id": "a"},
        {
            "role": "assistant",
            "text": "Hello Alice, nice to",
            "turn_id": "a",
            "heard": "Hello Alice,",
        },
    ]
    page.reload()
    assert server.wait_for("init", 2)["session_id"] == "s1"
    expect(page.locator(".said")).to_have_text("My name is Alice.")
    expect(page.locator(".reply[data-voice=cut] .rest")).to_have_text("nice to")


def test_settings_go_to_the_server_one_by_one(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    page.click("#panel-toggle")
    page.get_by_role("tab", name="Settings").click()
    page.select_option("[name=language]", "de")
    assert server.wait_for("config")["settings"] == {"language": "de"}
    page.locator("#speed").fill("1.1")
    assert server.wait_for("config", 2)["settings"] == {"speed": 1.1}
    server.send(type="config_updated", settings={"language": "de", "stability": 0.8})
    expect(page.locator("output[for=stability]")).to_have_text("0.8")


def test_events_are_filtered_and_exported_without_the_token(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Hello")
    server.wait_for("user_message")
    page.click("#panel-toggle")
    page.fill("#filter", "user_message")
    expect(page.locator("#events li:visible")).to_have_count(1)
    with page.expect_download() as saved:
        page.click("#save-events")
    entries = [json.loads(line) for line in saved.value.path().read_text().splitlines()]
    assert [entry["type"] for entry in entries] == ["init", "ready", "user_message"]
    assert "secret" not in json.dumps(entries)


def test_everything_has_a_name_for_those_who_do_not_see_it(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    for role, name in (
        ("button", "Hold to talk"),
        ("button", "Send"),
        ("button", "Details"),
        ("textbox", "Your message"),
    ):
        expect(page.get_by_role(role, name=name)).to_be_visible()  # type: ignore[arg-type] # a Literal
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    expect(page.get_by_role("button", name="Stop")).to_be_enabled()
    reply.text("Only text.")
    reply.end("Only text.")
    expect(page.locator("[aria-live=polite]")).to_have_text("Only text.")


def test_the_tab_key_goes_from_above_to_below_and_shows_where_it_is(open_page: Open) -> None:
    page = open_page()
    visited = []
    for _ in range(13):
        page.keyboard.press("Tab")
        # Whatever has the focus has a ring; the text field's is the border around it, which
        # changes its colour softly.
        page.wait_for_function(
            """() => {
                const at = document.activeElement;
                if (at.id !== "text") return getComputedStyle(at).outlineStyle === "solid";
                const accent = getComputedStyle(document.querySelector(".primary"));
                const { borderColor } = getComputedStyle(at.closest(".compose"));
                return borderColor === accent.backgroundColor;
            }"""
        )
        visited.append(
            page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id")
        )
    assert visited == [
        "New conversation",
        "Connected",
        "Settings",
        "Details",
        "What time is it?",
        "Tell me a story about the sea.",
        "What is two plus three?",
        "text",
        "Hold to talk space",
        "Hands-free",
        "mute",
        "mute-voice",
        "say",
    ]
