"""Tools and the agent's own turns in the page: what is called, noted, begun and hung up."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open
from tests.browser.page import page_of, type_message
from tests.browser.scripted import Reply, ScriptedServer
from tests.browser.signals import tone
from tests.browser.test_page_accessible import objections
from tests.e2e.stack import Stack

BOOKED = "It is booked, number 4711."


def asked(page: Page, server: ScriptedServer) -> Reply:
    """A turn in which the agent has something to do."""
    type_message(page, "Book a table for two at eight.")
    return Reply(server, server.wait_for("user_message")["turn_id"])


def test_a_reply_shows_what_was_called_and_what_only_filled_the_silence(
    open_page: Open, server: ScriptedServer, artifacts: Path
) -> None:
    page = open_page()
    reply = asked(page, server)
    call = {"call_id": "c", "name": "book_table", "title": "Book a table"}
    reply.send("tool", **call, state="running", arguments={"people": 2})
    chip = page.get_by_role("list", name="What was called").get_by_role("listitem")
    expect(chip.locator("summary")).to_have_text("Book a table running …")
    expect(page.locator("#announce")).to_have_text("Book a table: running …")
    reply.send("reply_text", delta="One moment. ", filler=True)
    reply.send("tool", **call, state="done", ms=1100, arguments={"people": 2}, result="4711")
    reply.send("custom", name="booked", data={"number": 4711})
    reply.text(BOOKED)
    reply.send("tool", call_id="d", name="tell", title="Tell the cook", state="unknown", ms=900)
    reply.end(f"One moment. {BOOKED}")
    expect(chip.first.locator("summary")).to_have_text("Book a table done 1.1 s")
    expect(chip.nth(1)).to_have_text("Tell the cook may or may not have been done 0.9 s")
    expect(page.locator(".reply")).to_have_text(f"One moment. {BOOKED}")
    expect(page.locator(".reply .filler")).to_have_text("One moment. ")
    page.click("#panel-toggle")
    expect(page.locator("#events b", has_text="custom")).to_be_visible()
    expect(page.locator("#faults")).to_be_hidden()
    page.screenshot(path=artifacts / "page-tools.png")
    assert objections(page, "tools") == []


def test_a_call_whose_turn_has_failed_is_not_shown_as_if_it_still_ran(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    reply = asked(page, server)
    reply.send("tool", call_id="c", name="book_table", title="Book a table", state="running")
    reply.send("error", code="reply_failed", message="It broke off.", retryable=True)
    reply.send(
        "turn_end", reason="failed", text="", metrics={}, code="reply_failed", retryable=True
    )
    chip = page.get_by_role("list", name="What was called").get_by_role("listitem")
    expect(chip).to_have_text("Book a table may or may not have been done")


def test_a_turn_that_died_after_a_call_goes_on_by_itself_once(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Book a table for two at eight.")
    turn_id = server.wait_for("user_message")["turn_id"]
    call = {"call_id": "c", "name": "book_table", "title": "Book a table"}
    died = {"reason": "failed", "text": "", "metrics": {}, "code": "internal", "retryable": True}
    first = Reply(server, turn_id)
    first.send("tool", **call, state="running")
    first.send("turn_end", **died)
    assert server.wait_for("user_message", 2)["attempt"] == 2
    again = page.get_by_role("button", name="Try again")
    expect(again).to_have_count(0)
    second = Reply(server, turn_id)
    second.send("tool", **call, state="done", attempt=2)
    second.send("turn_end", **died, attempt=2)
    expect(again).to_be_visible()


def test_the_agent_shows_a_note_on_the_page(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    assert server.wait_for("init")["tools"] == ["show_note"]
    reply = asked(page, server)
    call = {"call_id": "c", "name": "show_note", "timeout_ms": 5_000}
    reply.send("client_call", **call, arguments={"text": "<b>Table 4</b> at eight"})
    assert server.wait_for("tool_result")["result"] == "The note is on the page."
    expect(page.locator("#note-text")).to_have_text("<b>Table 4</b> at eight")
    assert objections(page, "note") == []
    page.get_by_role("button", name="Close the note").click()
    expect(page.locator("#note")).to_be_hidden()
    expect(page.locator("#text")).to_be_focused()
    reply.send("client_call", **call | {"call_id": "d"}, arguments={"text": " "})
    assert server.wait_for("tool_result", 2)["error"] == "text: there is nothing to show."


def test_the_agent_greets_and_hangs_up_once_it_was_heard(
    open_page: Open, server: ScriptedServer
) -> None:
    server.after_ready = lambda: greeting.send("agent_turn", cause="greeting")
    greeting = Reply(server, "a-greeting")
    page = open_page(viewport={"width": 390, "height": 500})
    greeting.text("Hello, I am the waiter.")
    greeting.end("Hello, I am the waiter.")
    turn = page.locator(".turn[data-agent=greeting]")
    expect(turn.locator(".reply")).to_have_text("Hello, I am the waiter.")
    expect(turn.locator(".said")).to_be_hidden()
    server.after_ready = lambda: None
    reply = asked(page, server)
    reply.text(goodbye := "Goodbye, and come again.\n" * 8)
    reply.audio(tone(400, 1.0, 24_000))
    reply.end(goodbye, ends_session=True)
    server.wait_for("ack", 2)
    assert server.of_type("end") == [], "the goodbye is still being heard"
    server.wait_for("end")
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(1_000, abs=30)
    server.send(type="session_ended", session_id="s1", reason="ended")
    expect(page.locator("#notice-text")).to_have_text("The agent has ended the conversation.")
    assert page.evaluate("talk.scrollHeight > talk.clientHeight")
    page.wait_for_function("talk.scrollHeight - talk.scrollTop - talk.clientHeight < 2")
    page.locator("#notice").get_by_role("button", name="New conversation").click()
    expect(page.locator("#state")).to_have_attribute("data-state", "ready")
    assert "session_id" not in server.wait_for("init", 2)


def killed(page: Page) -> int:
    """Press the button; return how many functions it has killed."""
    with page.expect_response("**/kill") as answer:
        page.get_by_role("button", name="Kill the function").click()
    return int(answer.value.json()["killed"])


@pytest.mark.timeout(120)
def test_a_developer_kills_the_function_that_runs_and_tries_its_turn_again(
    stack: Stack, opened: Open, browser: Browser
) -> None:
    page = opened(browser, page_of(stack))
    page.click("#panel-toggle")
    assert killed(page) == 0
    expect(page.locator("#kill-told")).to_have_text("No turn runs now.")
    stack.llm.put(delays={"llm_first_token_ms": 10_000})
    try:
        type_message(page, "What time is it?")
        while killed(page) == 0:
            assert page.locator(".turn[data-state=waiting]").count() == 1
    finally:
        stack.llm.reset()
    expect(page.locator("#kill-told")).to_have_text("Killed. Its turn can be tried again.")
    page.get_by_role("button", name="Try again").click()
    page.locator(".turn[data-state=done]").wait_for(timeout=20_000)
    expect(page.locator(".reply")).not_to_be_empty()


@pytest.mark.timeout(120)
def test_a_developer_kills_the_function_that_runs_from_the_inspector(
    stack: Stack, opened: Open, browser: Browser
) -> None:
    page = opened(browser, page_of(stack))
    inspector = opened(browser, f"{stack.info['static_url']}_local", ready=False)
    stack.llm.put(delays={"llm_first_token_ms": 10_000})
    try:
        type_message(page, "What time is it?")
        running = inspector.locator("#rows [data-type=invocation][data-state=busy]")
        running.filter(has_text="TurnFunction").click()
        inspector.get_by_role("button", name="Kill the function").click()
        expect(page.get_by_role("button", name="Try again")).to_be_visible(timeout=20_000)
    finally:
        stack.llm.reset()
