"""What one does with the page, and what can be heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from playwright.sync_api import Locator, Page, expect

from tests.browser.signals import Samples, samples_of
from tests.e2e.stack import Stack


def page_of(stack: Stack) -> str:
    """The page's address, for the stack that serves it."""
    return f"{stack.info['static_url']}?url={stack.url}"


def type_message(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def say(page: Page, text: str) -> None:
    """Type a message, and wait until its reply is over and has been played."""
    turns = page.locator(".turn").count()
    type_message(page, text)
    page.locator(".turn[data-state=done]").nth(turns).wait_for(timeout=20_000)
    expect(times_of(page, turns)).to_contain_text("first sound", timeout=20_000)
    until_played(page)


def times_of(page: Page, turn: int) -> Locator:
    """Where the times of a turn are shown, in Details."""
    return page.locator("#times li").nth(turn)


def last_reply_audio(stack: Stack) -> Samples:
    """What the synthesizer made for the last reply, without the silence around it."""
    records = [r for r in stack.elevenlabs.requests() if "multi-stream-input" in r["path"]]
    samples = samples_of(stack.elevenlabs.audio(records[-1]["id"], "out"))
    (sounding,) = samples.nonzero()
    return samples[sounding[0] : sounding[-1] + 1]


def heard(page: Page) -> Samples:
    """Everything that has reached the speakers, without the silence around it."""
    return np.array(page.evaluate("window.heardSamples()"), dtype=np.float64) / 32768


def until_played(page: Page) -> None:
    page.wait_for_function("window.parley.player.state === 'idle'", timeout=30_000)


def until_sounding(page: Page, milliseconds: int) -> None:
    page.wait_for_function(f"window.parley.player.playedMs > {milliseconds}", timeout=20_000)


def assert_all_of_it_was_heard(page: Page, made: Samples) -> None:
    """Every sample, in order; in one piece unless the player has counted a gap.

    On a busy machine audio may come late: there is silence where it did.
    """
    samples = heard(page)
    if page.evaluate("window.parley.player.gaps") > 0:
        samples, made = samples[samples.nonzero()], made[made.nonzero()]
    assert np.array_equal(samples, made), f"{len(samples)} of {len(made)} samples were heard"


@contextmanager
def held(page: Page) -> Iterator[None]:
    """The button pressed with the mouse, and the microphone open."""
    page.evaluate(
        """() => {
            window.listenedMs = 0;  // told every 20 ms or a little more
            window.parley.microphone.on("level", () => (window.listenedMs += 20));
        }"""
    )
    page.hover("#hold")
    page.mouse.down()
    expect(page.locator("#hold-label")).to_have_text("Listening …")
    yield
    page.mouse.up()


def until_heard(page: Page, seconds: float) -> None:
    """Wait until the microphone has heard so much since the button is held."""
    page.evaluate(
        """(ms) => new Promise((done) => {
            window.parley.microphone.on("level", () => window.listenedMs > ms && done());
        })""",
        1000 * seconds,
    )


def follow_states(page: Page) -> None:
    """Keep the player's states in `window.states`."""
    page.evaluate(
        """() => {
            window.states = [];
            window.parley.player.on("state", (state) => window.states.push(state));
        }"""
    )
