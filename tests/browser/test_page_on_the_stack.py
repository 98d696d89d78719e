"""The page in a real browser, on the real local stack: from the microphone to the speakers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Launch, Open
from tests.browser.signals import Samples, rms, samples_of, write_wav
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)


def page_of(stack: Stack) -> str:
    return f"{stack.info['static_url']}?url={stack.url}"


def say(page: Page, text: str) -> None:
    """Type a message, and wait until its reply is over and has been played."""
    turns = page.locator(".turn").count()
    page.fill("#text", text)
    page.press("#text", "Enter")
    page.locator(".turn").nth(turns).get_by_text("total").wait_for(timeout=20_000)
    page.locator(".turn").nth(turns).get_by_text("first sound").wait_for(timeout=20_000)
    page.wait_for_function("window.parley.player.state === 'idle'", timeout=30_000)


def heard(page: Page) -> Samples:
    return np.array(page.evaluate("window.heardSamples()"), dtype=np.float64) / 32768


def last_reply_audio(stack: Stack) -> Samples:
    """What the synthesizer made for the last reply, without the silence around it."""
    records = [r for r in stack.elevenlabs.requests() if "multi-stream-input" in r["path"]]
    samples = samples_of(stack.elevenlabs.audio(records[-1]["id"], "out"))
    (sounding,) = samples.nonzero()
    return samples[sounding[0] : sounding[-1] + 1]


def test_a_typed_turn_is_answered_and_every_sample_of_it_heard(
    stack: Stack, opened: Open, browser: Browser, artifacts: Path
) -> None:
    page = opened(browser, page_of(stack))
    say(page, "My name is Alice.")
    page.evaluate("window.forgetHeard()")
    say(page, "What is my name?")
    assert "Alice" in page.locator(".reply").nth(1).inner_text()
    expect(page.locator(".turn .bar i").first).to_be_visible()
    made, samples = last_reply_audio(stack), heard(page)
    page.screenshot(path=artifacts / "page-typed.png")
    assert np.array_equal(samples, made), f"{len(samples)} of {len(made)} samples were heard"


def test_a_spoken_turn_is_understood_and_answered(
    stack: Stack,
    opened: Open,
    launch: Launch,
    artifacts: Path,
    speech: Callable[[str], bytes],
    tmp_path: Path,
) -> None:
    pcm = bytes(16_000) + speech("What time is it?") + bytes(3 * 32_000)
    with launch(write_wav(tmp_path / "question.wav", pcm, 16_000), once=True) as browser:
        page = opened(browser, page_of(stack))
        page.hover("#hold")
        page.mouse.down()
        page.wait_for_selector(".said[data-final=false]:not(:empty)", timeout=10_000)
        page.wait_for_timeout(1_500)  # the length of what is still to be said
        page.screenshot(path=artifacts / "page-listening.png")
        page.mouse.up()
        page.wait_for_selector(".said[data-final=true]", timeout=20_000)
        assert "time" in page.locator(".said").inner_text().lower()
        expect(page.locator(".numbers")).to_contain_text("first sound", timeout=20_000)
        page.wait_for_function("window.parley.player.state === 'idle'", timeout=30_000)
        assert page.locator(".reply").inner_text()
        assert rms(heard(page)) > 0.01
        page.screenshot(path=artifacts / "page-spoken.png")
        page.context.close()


def test_what_was_not_heard_is_marked_and_not_remembered_as_said(
    stack: Stack, opened: Open, browser: Browser, artifacts: Path
) -> None:
    stack.llm.put(delays={"llm_token_ms": 40})
    page = opened(browser, page_of(stack))
    page.fill("#text", "Tell me a story about the sea.")
    page.press("#text", "Enter")
    page.wait_for_function("window.parley.player.playedMs > 1200", timeout=20_000)
    page.keyboard.press("Escape")
    expect(page.locator(".numbers")).to_contain_text("total", timeout=10_000)
    unheard = page.locator(".reply[data-voice=cut] .rest").inner_text()
    assert unheard.strip()
    page.screenshot(path=artifacts / "page-interrupted.png")
    stack.llm.put(delays={"llm_token_ms": 0})
    say(page, "Good morning.")
    asked = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    remembered = asked[-1]["body"]["messages"][-2]["content"]
    assert "interrupted" in remembered
    assert unheard.strip() not in remembered


def test_a_reload_resumes_the_session_with_its_history(
    stack: Stack, opened: Open, browser: Browser
) -> None:
    page = opened(browser, page_of(stack))
    say(page, "My name is Alice.")
    page.reload()
    expect(page.locator(".said")).to_have_text("My name is Alice.")
    say(page, "What is my name?")
    assert "Alice" in page.locator(".reply").nth(1).inner_text()


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
    page.fill("#text", "My name is Alice.")
    page.press("#text", "Enter")
    page.wait_for_selector(".reply span:not(:empty)", timeout=20_000)
    # As the browser tells of a network that has gone; the server sees the connection go, too.
    page.evaluate("window.sockets.at(-1).onclose({ code: 1006 })")
    page.locator(".turn").get_by_text("total").wait_for(timeout=20_000)
    page.wait_for_function("window.parley.player.state === 'idle'", timeout=30_000)
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
    page.fill("#text", "Hello?")
    page.press("#text", "Enter")
    expect(page.locator(".turn .problem")).to_contain_text("refused the API key", timeout=15_000)


@pytest.mark.parametrize(
    ("name", "scheme", "size"),
    [
        ("light", "light", (1280, 800)),
        ("dark", "dark", (1280, 800)),
        ("phone", "light", (390, 844)),
    ],
)
def test_the_page_fits_and_is_photographed(
    stack: Stack,
    opened: Open,
    browser: Browser,
    artifacts: Path,
    name: str,
    scheme: str,
    size: tuple[int, int],
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    page = opened(browser, page_of(stack), color_scheme=scheme, viewport=viewport)
    for text in ("My name is Alice.", "What is two plus three?"):
        say(page, text)
    page.fill("#text", "Tell me a story about the sea.")
    page.press("#text", "Enter")
    # Part of the reply has been heard, part of it has not.
    page.wait_for_selector(".turn:nth-child(3) .reply span:first-child:not(:empty)", timeout=20_000)
    page.wait_for_function("window.parley.player.playedMs > 1500", timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "nothing sticks out"
    page.screenshot(path=artifacts / f"page-{name}.png")
    page.keyboard.press("Escape")
    page.locator(".turn").nth(2).get_by_text("total").wait_for(timeout=20_000)
    page.click("#panel-toggle")
    for tab in ("Events", "Timing", "Settings"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], (
            "nothing sticks out"
        )
        page.screenshot(path=artifacts / f"page-{name}-{tab.lower()}.png")
