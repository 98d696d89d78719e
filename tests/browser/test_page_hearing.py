"""A reply in the page: every sample is heard, and what is not heard is known exactly.

The samples are taken from the audio graph.
"""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.page import heard, held, type_message, until_played, until_sounding
from tests.browser.scripted import Reply, ScriptedServer
from tests.browser.signals import frequency_hz, rms, samples_of, tone


def test_every_sample_of_a_reply_is_heard_in_one_piece(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Sing")
    pcm = tone(440, 1, 24_000)
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(pcm, chunk_ms=250)
    reply.end("la")
    until_sounding(page, 900)
    until_played(page)
    samples = heard(page)
    assert frequency_hz(samples, 24_000) == pytest.approx(440, abs=0.5)
    assert np.array_equal(samples, samples_of(pcm)), f"{len(samples)} samples were heard"


def test_a_reply_whose_audio_comes_late_is_played_until_all_of_it_is_heard(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Sing")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(440, 0.3, 24_000), chunk_ms=300)  # between two a busy page may fall silent
    until_sounding(page, 290)
    until_played(page)
    reply.audio(tone(440, 0.5, 24_000), chunk_ms=500)
    reply.end("la")
    server.wait_for("ack")
    page.wait_for_function("window.parley.player.state === 'playing'")
    until_played(page)
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(800, abs=0.1)
    assert page.evaluate("window.parley.player.gaps") == 1


def test_a_reply_at_another_rate_keeps_its_pitch_and_length(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    for number, rate_hz in enumerate((16_000, 44_100), start=1):
        page.evaluate("window.forgetHeard()")
        type_message(page, "Sing")
        turn_id = server.wait_for("user_message", number)["turn_id"]
        reply = Reply(server, turn_id)
        reply.audio(tone(660, 0.6, rate_hz), rate_hz, chunk_ms=300)
        reply.end("la")
        page.wait_for_function(f"window.parley.player.turn === '{turn_id}'")
        until_sounding(page, 500)
        until_played(page)
        samples = heard(page)
        assert frequency_hz(samples, 24_000) == pytest.approx(660, abs=0.5), rate_hz
        assert len(samples) / 24_000 == pytest.approx(0.6, abs=0.005), rate_hz
        assert rms(samples) == pytest.approx(0.5 / np.sqrt(2), rel=0.02), rate_hz


def test_words_darken_as_they_are_heard(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "Talk")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.text("First second third.")
    words = [["First", 0, 300], ["second", 300, 3_500], ["third.", 3_500, 4_000]]
    reply.audio(tone(440, 4, 24_000), words=words)
    until_sounding(page, 500)
    assert page.locator(".reply span").first.inner_text() == "First second "
    assert page.locator(".reply .rest").inner_text() == "third."


def test_interrupting_goes_quiet_and_says_exactly_how_much_was_heard(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    for number, how in enumerate(("Escape", "button"), start=1):
        page.evaluate("window.forgetHeard()")
        type_message(page, "Talk on")
        turn_id = server.wait_for("user_message", number)["turn_id"]
        reply = Reply(server, turn_id)
        reply.text("One two three.")
        words = [["One", 0, 300], ["two", 300, 8_000], ["three.", 8_000, 9_000]]
        # In few pieces: a browser that is busy may be late with the next, and be silent meanwhile.
        reply.audio(tone(440, 9, 24_000), words=words, chunk_ms=1_000)
        page.wait_for_function(f"window.parley.player.turn === '{turn_id}'")
        until_sounding(page, 700)
        if how == "Escape":
            page.keyboard.press("Escape")
        else:
            page.click("#interrupt")
        message = server.wait_for("interrupt", number)
        assert message["turn_id"] == turn_id, how
        reply.audio(tone(440, 1, 24_000))
        reply.end("One two three.", "interrupted", heard="One two")
        server.wait_for("ack", number)
        # Long enough to know that nothing more is heard.
        page.wait_for_function("window.soundNowS() > window.soundUntilS + 0.2")
        samples = heard(page)
        assert 700 <= message["played_ms"] < 3_000, how
        assert len(samples) == pytest.approx(message["played_ms"] * 24, abs=3), how
        fades = rms(samples[-12:]) < 0.05 < rms(samples[-400:-200])
        assert fades, f"{how}: it fades out, without a click"
        rest = page.locator(".turn").nth(number - 1).locator(".reply[data-voice=cut] .rest")
        expect(rest, how).to_have_text("three.")
        expect(page.locator("#interrupt"), how).to_be_disabled()


def test_an_interrupted_reply_is_quiet_within_30_ms(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    page.evaluate(
        """() => document.addEventListener("keydown", ({ key }) => {
            if (key === "Escape") window.pressedS = window.soundNowS();
        }, { capture: true })"""
    )
    quiet_ms = []
    for number in range(1, 6):
        type_message(page, "Talk on")
        turn_id = server.wait_for("user_message", number)["turn_id"]
        reply = Reply(server, turn_id)
        reply.audio(tone(440, 5, 24_000))
        page.wait_for_function(f"window.parley.player.turn === '{turn_id}'")
        until_sounding(page, 100)
        page.keyboard.press("Escape")
        server.wait_for("interrupt", number)
        reply.end("", "interrupted")
        server.wait_for("ack", number)
        # If it went on, it would be heard for so long.
        page.wait_for_function("window.soundNowS() > window.pressedS + 0.2")
        quiet_ms.append(1000 * page.evaluate("async () => await lastSoundS() - pressedS"))
    # By the speakers' clock, of five: a machine that is busy elsewhere may be late once.
    assert statistics.median(quiet_ms) < 30, quiet_ms


@pytest.mark.parametrize("how", ["typing", "talking"])
def test_a_new_turn_interrupts_the_one_before(
    open_page: Open, server: ScriptedServer, how: str
) -> None:
    page = open_page()
    type_message(page, "Talk on")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(440, 6, 24_000))
    until_sounding(page, 200)
    if how == "typing":
        type_message(page, "Wait")
        server.wait_for("user_message", 2)
        assert server.types() == ["init", "user_message", "interrupt", "user_message"]
        reply.audio(tone(440, 1, 24_000))  # was on its way already
        reply.end("", "interrupted")
        server.wait_for("ack")
    else:
        with held(page):
            server.wait_for("audio_start")
        server.wait_for("audio_end")
        kinds = [kind for kind in server.types() if kind != "audio_chunk"]
        assert kinds == ["init", "user_message", "interrupt", "audio_start", "audio_end"]
    assert page.evaluate("window.parley.player.state") == "idle"


def test_sound_that_the_browser_holds_back_waits_for_a_press(
    open_page: Open, server: ScriptedServer
) -> None:
    pcm = tone(440, 0.5, 24_000)

    def speak_unasked() -> None:
        reply = Reply(server, "greeting")
        reply.audio(pcm)
        reply.end("Hello!")

    server.after_ready = speak_unasked
    page = open_page(ready=False)
    # Playwright's look at a page is a gesture to Chromium, so the audio graph has to be there
    # before: the reply is acknowledged when it is.
    server.wait_for("ack")
    expect(page.locator("#unblock")).to_be_visible()
    assert len(heard(page)) == 0
    page.click("#unblock")
    expect(page.locator("#unblock")).to_be_hidden()
    until_sounding(page, 450)
    until_played(page)
    assert np.array_equal(heard(page), samples_of(pcm)), "and nothing of it is lost"


def test_connecting_anew_silences_the_reply(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "Talk on")
    turn_id = server.wait_for("user_message")["turn_id"]
    Reply(server, turn_id).audio(tone(440, 20, 24_000))
    until_sounding(page, 100)
    page.click("#link summary")
    page.click("#connect")
    server.wait_for("init", 2)
    assert server.wait_for("interrupt")["turn_id"] == turn_id
    assert page.evaluate("window.parley.player.state") == "idle"
