"""Hands-free in a real browser: the microphone plays what somebody says, no key is pressed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Launch, Open
from tests.browser.scripted import Reply, ScriptedServer
from tests.browser.signals import frequency_hz, samples_of, tone, write_wav
from tests.browser.test_page import type_message, until_played, until_sounding

VOICE_HZ = 500
RATE_HZ = 48_000
Hear = Callable[..., Page]


@pytest.fixture
def hear(
    launch: Launch, opened: Open, site: str, server: ScriptedServer, tmp_path: Path
) -> Iterator[Hear]:
    """The page, in a browser whose microphone hears pieces of sound, once, from when it opens."""
    with ExitStack() as stack:

        def with_microphone(*pieces: tuple[str, float]) -> Page:
            pcm = b"".join(
                tone(VOICE_HZ, seconds, RATE_HZ, 0.3 if kind == "voice" else 0)
                for kind, seconds in pieces
            )
            wav = write_wav(tmp_path / "room.wav", pcm, RATE_HZ)
            browser = stack.enter_context(launch(wav, once=True))
            page = opened(browser, f"{site}?url={server.url}")
            stack.callback(page.context.close)
            return page

        yield with_microphone


def test_speech_begins_a_turn_and_silence_ends_it(
    hear: Hear, server: ScriptedServer, artifacts: Path
) -> None:
    page = hear(("silence", 1), ("voice", 1), ("silence", 4))
    page.click("#hands-free")
    expect(page.get_by_role("button", name="Hands-free")).to_have_attribute("aria-pressed", "true")
    start = server.wait_for("audio_start")
    page.screenshot(path=artifacts / "page-hands-free.png")
    end = server.wait_for("audio_end")
    assert start["turn_id"] == end["turn_id"]
    chunks = server.of_type("audio_chunk")
    assert [chunk["seq"] for chunk in chunks] == list(range(1, end["chunks"] + 1))
    said = samples_of(b"".join(base64.b64decode(chunk["audio"]) for chunk in chunks))
    (loud,) = (abs(said) > 0.05).nonzero()
    assert (loud[-1] - loud[0]) / 16_000 == pytest.approx(1, abs=0.02), "all of it"
    assert loud[0] / 16_000 > 0.15, "and a little from before"
    assert frequency_hz(said[loud[0] : loud[-1]], 16_000) == pytest.approx(VOICE_HZ, abs=1)
    Reply(server, end["turn_id"]).end("")
    server.wait_for("ack")
    page.click("#hands-free")
    expect(page.locator("#hold")).to_be_enabled()


def test_speech_interrupts_a_reply(hear: Hear, server: ScriptedServer) -> None:
    page = hear(("silence", 1.5), ("voice", 1.5), ("silence", 4))
    type_message(page, "Talk on")
    turn_id = server.wait_for("user_message")["turn_id"]
    Reply(server, turn_id).audio(tone(440, 20, 24_000))
    until_sounding(page, 100)
    page.click("#hands-free")
    message = server.wait_for("interrupt")
    assert message["turn_id"] == turn_id
    assert 0 < message["played_ms"] < 15_000
    end = server.wait_for("audio_end")
    said = samples_of(
        b"".join(
            base64.b64decode(chunk["audio"])
            for chunk in server.of_type("audio_chunk")
            if chunk["turn_id"] == end["turn_id"]
        )
    )
    (loud,) = (abs(said) > 0.05).nonzero()
    assert (loud[-1] - loud[0]) / 16_000 == pytest.approx(1.5, abs=0.02), "from its first moment"


def test_a_cough_pauses_a_reply_and_it_goes_on_by_itself(
    hear: Hear, server: ScriptedServer
) -> None:
    page = hear(("silence", 1.5), ("voice", 0.2), ("silence", 6))
    page.evaluate(
        """() => {
            window.states = [];
            window.parley.player.on("state", (state) => window.states.push(state));
        }"""
    )
    type_message(page, "Talk on")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(440, 5, 24_000))
    reply.end("la")
    until_sounding(page, 100)
    page.click("#hands-free")
    until_played(page)
    assert page.evaluate("window.states") == ["playing", "paused", "playing", "idle"]
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(5_000, abs=0.1)
    assert not {"interrupt", "audio_start"} & set(server.types())


def test_without_permission_hands_free_says_why(open_page: Open, server: ScriptedServer) -> None:
    page = open_page(microphone=False)
    page.click("#hands-free")
    expect(page.get_by_role("alert")).to_contain_text("You can go on typing")
    expect(page.locator("#hands-free")).to_have_attribute("aria-pressed", "false")
