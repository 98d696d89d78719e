"""The page in a real browser, talking to the real stack."""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)

Launch = Callable[..., Any]


def say(page: Page, text: str) -> None:
    """Type a message, and wait until its reply is over and has been played."""
    turns = page.locator(".turn").count()
    page.fill("#text", text)
    page.press("#text", "Enter")
    page.wait_for_function(f"document.querySelectorAll('.turn').length === {turns + 1}")
    page.locator(".turn").nth(turns).get_by_text("total").wait_for(timeout=20_000)
    page.wait_for_function("!window.parley.player.busy", timeout=30_000)


def loudness(samples: list[int]) -> float:
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples)))


def reply_audio(stack: Stack, number: int = -1) -> array.array[int]:
    """What the synthesizer made for a reply, as samples."""
    records = [r for r in stack.elevenlabs.requests() if "multi-stream-input" in r["path"]]
    samples = array.array("h")
    samples.frombytes(stack.elevenlabs.audio(records[number]["id"], "out"))
    return samples


def test_a_typed_turn_is_read_and_heard(stack: Stack, launch: Launch, artifacts: Path) -> None:
    with launch(stack) as page:
        say(page, "My name is Alice.")
        say(page, "What is my name?")
        assert "Alice" in page.locator(".reply").nth(1).inner_text()
        assert page.locator(".bars li").count() == 2
        for figure in ("first text", "first sound", "total"):
            assert figure in page.locator(".numbers").nth(1).inner_text()
        page.wait_for_timeout(300)  # the tap hands over blocks of 4096 samples
        heard = page.evaluate("window.heardSamples()")
        page.screenshot(path=artifacts / "page-typed.png")
    made = reply_audio(stack)
    assert contains(heard, made), "every sample of the reply, in one piece, and none changed"


def contains(heard: list[int], made: array.array[int]) -> bool:
    """Whether the speakers got exactly the synthesizer's samples, silence around them aside."""
    wanted = list(made)
    first = next(i for i, sample in enumerate(wanted) if abs(sample) > 500)
    probe = wanted[first : first + 50]
    for start in range(len(heard) - len(wanted) + first):
        if heard[start] == probe[0] and heard[start : start + 50] == probe:
            begin = start - first
            if begin >= 0 and heard[begin : begin + len(wanted)] == wanted:
                return True
    return False


def test_holding_the_button_holds_a_spoken_turn(
    stack: Stack,
    launch: Launch,
    artifacts: Path,
    speech: Callable[[str], bytes],
    recording: Callable[[bytes], Path],
) -> None:
    pcm = bytes(16_000) + speech("What time is it?") + bytes(3 * 32_000)
    with launch(stack, microphone=recording(pcm)) as page:
        box = page.locator("#hold").bounding_box()
        assert box
        page.mouse.move(box["x"] + 20, box["y"] + 10)
        page.mouse.down()
        page.wait_for_selector("#hold[aria-pressed=true]")
        page.wait_for_selector(".said[data-final=false]")
        page.wait_for_timeout(2500)  # the length of what is being said
        page.screenshot(path=artifacts / "page-listening.png")
        page.mouse.up()
        page.wait_for_selector(".said[data-final=true]", timeout=20_000)
        page.locator(".numbers").get_by_text("total").wait_for(timeout=20_000)
        page.wait_for_function("window.parley.player.playedMs > 500", timeout=20_000)
        assert "time" in page.locator(".said").inner_text().lower()
        assert ":" in page.locator(".reply").inner_text() or page.locator(".reply").inner_text()
        page.wait_for_function("!window.parley.player.busy", timeout=30_000)
        assert loudness(page.evaluate("window.heardSamples()")) > 100
        page.screenshot(path=artifacts / "page-spoken.png")


def test_the_space_bar_talks_and_typing_a_space_does_not(
    stack: Stack, launch: Launch, speech: Callable[[str], bytes], recording: Callable[[bytes], Path]
) -> None:
    pcm = bytes(9_600) + speech("Good morning.") + bytes(3 * 32_000)
    with launch(stack, microphone=recording(pcm)) as page:
        page.focus("#text")
        page.keyboard.press("Space")
        assert page.locator(".turn").count() == 0
        page.evaluate("document.activeElement.blur()")
        page.keyboard.down("Space")
        page.wait_for_selector("#hold[aria-pressed=true]")
        page.wait_for_selector(".said")
        page.wait_for_timeout(1800)  # the length of what is being said
        page.keyboard.up("Space")
        page.wait_for_selector(".said[data-final=true]", timeout=20_000)


def test_stopping_a_reply_goes_quiet_at_once_and_marks_what_was_heard(
    stack: Stack, launch: Launch, artifacts: Path
) -> None:
    stack.llm.put(delays={"llm_token_ms": 40})
    with launch(stack) as page:
        page.fill("#text", "Tell me a story about the sea.")
        page.press("#text", "Enter")
        page.wait_for_function("window.parley.player.playedMs > 1200", timeout=20_000)
        page.press("#text", "Escape")
        page.wait_for_selector(".unheard", timeout=10_000)
        page.wait_for_timeout(400)  # the tap hands over blocks of 4096 samples
        before = len(page.evaluate("window.heardSamples()"))
        page.wait_for_timeout(700)
        heard = page.evaluate("window.heardSamples()")
        assert len(heard) > before
        assert loudness(heard[before:]) == 0, "not a sample of the old reply is left"
        assert page.locator(".unheard").inner_text().strip()
        page.screenshot(path=artifacts / "page-interrupted.png")
        stack.llm.put(delays={"llm_token_ms": 0})
        say(page, "Good morning.")
    frames = [r for r in stack.llm.requests() if r["path"].endswith("/chat/completions")]
    history = frames[-1]["body"]["messages"]
    assert "interrupted" in history[-2]["content"]


def test_without_a_microphone_typing_goes_on(stack: Stack, launch: Launch) -> None:
    with launch(stack, allowed=False) as page:
        page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = () => "
            "Promise.reject(new DOMException('no', 'NotAllowedError')); }"
        )
        page.locator("#hold").dispatch_event("pointerdown", {"pointerId": 1})
        page.get_by_text("You can go on typing").wait_for()
        say(page, "Good morning.")
        assert page.locator(".reply").inner_text()


def test_an_error_is_shown_as_a_sentence(stack: Stack, launch: Launch) -> None:
    stack.llm.put(faults={"llm": {"status": 401, "times": "always"}})
    with launch(stack) as page:
        page.fill("#text", "Hello?")
        page.press("#text", "Enter")
        page.locator(".problem").get_by_text("refused the API key").wait_for(timeout=15_000)


def test_an_address_that_does_not_answer_is_a_sentence(stack: Stack, launch: Launch) -> None:
    with launch(stack) as page:
        page.fill("#url", "ws://localhost:9/dev")
        page.press("#url", "Enter")
        page.get_by_text("Is the address right").wait_for(timeout=15_000)
        assert page.locator("#say").is_disabled()


@pytest.mark.parametrize(
    ("name", "dark", "size"),
    [("light", False, (1280, 800)), ("dark", True, (1280, 800)), ("phone", False, (390, 844))],
)
def test_the_page_fits_and_is_photographed(
    stack: Stack, launch: Launch, artifacts: Path, name: str, dark: bool, size: tuple[int, int]
) -> None:
    with launch(stack, dark=dark, size=size) as page:
        for text in ("My name is Alice.", "What is two plus three?", "What is my name?"):
            say(page, text)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size[0], "nothing sticks out"
        page.screenshot(path=artifacts / f"page-{name}.png")
