"""The page in a real browser, on the real local stack: from the microphone to the speakers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Hear, Open
from tests.browser.page import (
    assert_all_of_it_was_heard,
    heard,
    held,
    last_reply_audio,
    page_of,
    say,
    times_of,
    type_message,
    until_heard,
    until_played,
    until_sounding,
)
from tests.browser.signals import rms
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)

Look = tuple[str, Literal["light", "dark"], int, int]
LOOKS: tuple[Look, ...] = (
    ("light", "light", 1280, 800),
    ("dark", "dark", 1280, 800),
    ("phone", "light", 390, 844),
)


def test_a_reload_goes_on_with_the_session_and_every_sample_of_a_reply_is_heard(
    stack: Stack, opened: Open, browser: Browser, artifacts: Path
) -> None:
    page = opened(browser, page_of(stack))
    say(page, "Say seven.")
    page.reload()
    expect(page.locator(".said")).to_have_text("Say seven.")
    say(page, "What did I say?")
    assert "Say seven" in page.locator(".reply").nth(1).inner_text()
    expect(times_of(page, 1).locator(".bar i")).not_to_have_count(0)
    page.screenshot(path=artifacts / "page-typed.png")
    assert_all_of_it_was_heard(page, last_reply_audio(stack))


def test_a_spoken_turn_is_understood_and_answered(
    stack: Stack,
    hear: Hear,
    opened: Open,
    browser: Browser,
    artifacts: Path,
    speech: Callable[[str], bytes],
) -> None:
    question = bytes(16_000) + speech("What time is it?")
    hear(question + bytes(3 * 32_000), 16_000)
    page = opened(browser, page_of(stack))
    with held(page):
        page.wait_for_selector(".said[data-final=false]:not(:empty)", timeout=30_000)
        page.screenshot(path=artifacts / "page-listening.png")
        until_heard(page, len(question) / 32_000)
    page.wait_for_selector(".said[data-final=true]", timeout=20_000)
    assert "time" in page.locator(".said").inner_text().lower()
    expect(page.locator(".numbers")).to_contain_text("first sound", timeout=20_000)
    until_played(page)
    assert page.locator(".reply").inner_text()
    assert rms(heard(page)) > 0.01
    page.screenshot(path=artifacts / "page-spoken.png")


def test_what_was_not_heard_is_marked_and_not_remembered_as_said(
    stack: Stack, opened: Open, browser: Browser, artifacts: Path
) -> None:
    stack.llm.put(delays={"llm_token_ms": 40})
    page = opened(browser, page_of(stack))
    type_message(page, "Tell me a story about the sea.")
    until_sounding(page, 1_200)
    page.keyboard.press("Escape")
    expect(page.locator(".numbers")).to_contain_text("total", timeout=10_000)
    unheard = page.locator(".reply[data-voice=cut] .rest").inner_text()
    assert unheard.strip()
    page.screenshot(path=artifacts / "page-interrupted.png")
    stack.llm.put(delays={"llm_token_ms": 0})
    say(page, "Say seven.")
    asked = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    remembered = asked[-1]["body"]["messages"][-2]["content"]
    assert "interrupted" in remembered
    assert unheard.strip() not in remembered


def test_a_connection_that_breaks_during_a_reply_costs_not_one_sample(
    stack: Stack, opened: Open, browser: Browser
) -> None:
    stack.llm.put(delays={"llm_token_ms": 60})
    watched = """
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); window.sockets.push(this); }
    };"""
    page = opened(browser, page_of(stack), script=watched)
    type_message(page, "My name is Alice.")
    page.wait_for_selector(".reply span:not(:empty)", timeout=20_000)
    # As the browser tells of a network that has gone; the server sees the connection go, too.
    page.evaluate("window.sockets.at(-1).onclose({ code: 1006 })")
    page.locator(".turn[data-state=done]").wait_for(timeout=20_000)
    until_played(page)
    assert page.evaluate("window.sockets.length") == 2
    made, samples = last_reply_audio(stack), heard(page)
    # Where audio came late there is silence; what sounds is the same.
    assert np.array_equal(samples[samples.nonzero()], made[made.nonzero()])
    expect(page.locator(".turn")).to_have_count(1)
    assert (
        page.locator(".reply").inner_text()
        == "Nice to meet you, Alice. What would you like to talk about?"
    )


def test_a_refused_key_is_a_sentence(stack: Stack, opened: Open, browser: Browser) -> None:
    stack.llm.put(faults={"llm": {"status": 401, "times": "always"}})
    page = opened(browser, page_of(stack))
    type_message(page, "Hello?")
    expect(page.locator(".turn .problem")).to_contain_text("Tell whoever runs this", timeout=15_000)


def test_the_page_fits_and_is_photographed(
    stack: Stack, opened: Open, browser: Browser, artifacts: Path
) -> None:
    page = opened(browser, page_of(stack))

    def photograph(suffix: str = "", looks: tuple[Look, ...] = LOOKS) -> None:
        for name, scheme, width, height in looks:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            sticking_out = page.evaluate("document.documentElement.scrollWidth") - width
            assert sticking_out <= 0, f"{name}{suffix}"
            page.screenshot(path=artifacts / f"page-{name}{suffix}.png")

    say(page, "What is two plus three?")
    type_message(page, "Tell me a story about the sea.")
    # Part of the reply has been heard, part of it has not.
    page.wait_for_selector(".turn:nth-child(2) .reply span:first-child:not(:empty)", timeout=20_000)
    until_sounding(page, 1_500)
    photograph()
    page.keyboard.press("Escape")
    page.locator(".turn[data-state=done]").nth(1).wait_for(timeout=20_000)
    page.click("#panel-toggle")
    for tab in ("Events", "Timing", "Settings"):
        page.get_by_role("tab", name=tab).click()
        # `test_page_fits.py` has them in all sizes.
        photograph(f"-{tab.lower()}", LOOKS[-1:])
