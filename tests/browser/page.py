"""What one does with the page, and what can be heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from playwright.sync_api import Page, expect

from tests.browser.signals import Samples


def type_message(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def heard(page: Page) -> Samples:
    """Everything that has reached the speakers, without the silence around it."""
    return np.array(page.evaluate("window.heardSamples()"), dtype=np.float64) / 32768


def until_played(page: Page) -> None:
    page.wait_for_function("window.parley.player.state === 'idle'", timeout=30_000)


def until_sounding(page: Page, milliseconds: int) -> None:
    page.wait_for_function(f"window.parley.player.playedMs > {milliseconds}", timeout=20_000)


@contextmanager
def held(page: Page) -> Iterator[None]:
    """The button pressed with the mouse, and the microphone open."""
    page.hover("#hold")
    page.mouse.down()
    expect(page.locator("#hold-label")).to_have_text("Listening …")
    yield
    page.mouse.up()


def talk(page: Page, seconds: float) -> None:
    """Hold the button until the microphone has heard so much."""
    page.evaluate(
        """() => {
            window.blocks = 0;  // of about 20 ms
            window.parley.microphone.on("level", () => (window.blocks += 1));
        }"""
    )
    with held(page):
        page.wait_for_function(f"window.blocks * 20 > {1000 * seconds}", timeout=20_000)


def follow_states(page: Page) -> None:
    """Keep the player's states in `window.states`."""
    page.evaluate(
        """() => {
            window.states = [];
            window.parley.player.on("state", (state) => window.states.push(state));
        }"""
    )
