"""Hold to talk in the page: what the microphone hears is on the wire, whole and well numbered."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from parley.audio.mulaw import decode_mulaw
from tests.browser.conftest import MICROPHONE_HZ, MICROPHONE_LEVEL, REFUSE_MICROPHONE, Launch, Open
from tests.browser.page import held, type_message, until_played, until_sounding
from tests.browser.scripted import Reply, ScriptedServer, until_heard_whole
from tests.browser.signals import Samples, frequency_hz, rms, samples_of, tone

TAKES_MULAW = {
    "settings": [],
    "voices": [],
    "languages": [],
    "speech_formats": ["pcm_16000", "mulaw_16000"],
}


def utterance(server: ScriptedServer, page: Page) -> Samples:
    """What was said, well numbered and asked for as people's microphones need it."""
    start, end = server.wait_for("audio_start"), server.wait_for("audio_end")
    is_mulaw = start["format"] == "mulaw_16000"
    assert is_mulaw == (server.choices == TAKES_MULAW)
    assert start["endpointing"] == "manual"
    chunks = server.of_type("audio_chunk")
    assert [chunk["seq"] for chunk in chunks] == list(range(1, end["chunks"] + 1))
    assert {chunk["turn_id"] for chunk in chunks} == {start["turn_id"]} == {end["turn_id"]}
    audio = [base64.b64decode(chunk["audio"]) for chunk in chunks]
    if is_mulaw:
        audio = [decode_mulaw(chunk) for chunk in audio]
    first, *others, last = map(len, audio)
    assert first >= 3_200, "100 ms, or what was heard before"
    assert set(others) == {15_360}, "480 ms each"
    assert 0 < last <= 15_360
    (asked,) = page.evaluate("window.asked")
    assert asked["echoCancellation"] is True
    assert asked["noiseSuppression"] is True
    return samples_of(b"".join(audio))[1_600:]  # the device needs a moment to come up


def check_utterance(server: ScriptedServer, page: Page) -> None:
    """What was said is the microphone's tone, whole."""
    said = utterance(server, page)
    assert frequency_hz(said, 16_000) == pytest.approx(MICROPHONE_HZ, abs=1)
    assert rms(said) == pytest.approx(MICROPHONE_LEVEL / np.sqrt(2), rel=0.05)


def test_what_is_said_while_the_button_is_held_arrives_as_it_sounds(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    with held(page):
        server.wait_for("audio_chunk", 3)
        reply = Reply(server, server.wait_for("audio_start")["turn_id"])
        reply.send("transcript", text="good", final=False)
        expect(page.locator(".said[data-final=false]")).to_have_text("good")
    check_utterance(server, page)
    reply.send("transcript", text="Good morning.", final=True)
    expect(page.locator(".said[data-final=true]")).to_have_text("Good morning.")
    expect(page.locator(".numbers")).to_contain_text("transcript")
    expect(page.locator("#hold-label")).to_have_text("Hold to talk")


def test_a_server_that_takes_it_in_fewer_bits_gets_it_so(
    open_page: Open, server: ScriptedServer
) -> None:
    server.choices = TAKES_MULAW
    page = open_page()
    with held(page):
        server.wait_for("audio_chunk", 3)
    check_utterance(server, page)


def test_a_finger_talks(open_page: Open, server: ScriptedServer) -> None:
    page = open_page(has_touch=True, viewport={"width": 390, "height": 844})
    box = page.locator("#hold").bounding_box()
    assert box
    finger = page.context.new_cdp_session(page)
    at = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}]
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at})
    server.wait_for("audio_chunk", 3)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    check_utterance(server, page)


def test_the_space_bar_talks_and_enter_on_the_button_begins_and_ends_an_utterance(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    page.keyboard.down("Space")
    server.wait_for("audio_chunk", 3)
    page.keyboard.up("Space")
    check_utterance(server, page)
    Reply(server, server.wait_for("audio_end")["turn_id"]).end("")
    server.wait_for("ack")
    server.received.clear()
    page.focus("#hold")
    page.keyboard.press("Enter")
    server.wait_for("audio_chunk", 3)
    page.keyboard.press("Enter")
    check_utterance(server, page)


def test_escape_while_talking_takes_it_back(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    with held(page):
        server.wait_for("audio_chunk", 2)
        page.keyboard.press("Escape")
        server.wait_for("interrupt")
    type_message(page, "over")
    server.wait_for("user_message")
    assert server.of_type("audio_end") == []


def test_a_second_utterance_has_numbers_of_its_own_and_its_beginning(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    page.evaluate("""() => {
        for (const kind of ["pointerdown", "pointerup"])
            document.addEventListener(kind, ({ timeStamp }) => (window[kind] = timeStamp));
    }""")
    for number in (1, 2):
        with held(page):
            server.wait_for("audio_start", number)
        end = server.wait_for("audio_end", number)
        chunks = [c for c in server.of_type("audio_chunk") if c["turn_id"] == end["turn_id"]]
        assert [chunk["seq"] for chunk in chunks] == list(range(1, end["chunks"] + 1))
        Reply(server, end["turn_id"]).end("")
        server.wait_for("ack", number)
        page.wait_for_timeout(400)  # of sound, before the key is pressed again
    held_ms = page.evaluate("window.pointerup - window.pointerdown")
    said = samples_of(b"".join(base64.b64decode(chunk["audio"]) for chunk in chunks))
    assert len(said) / 16 > held_ms + 150, "300 ms, less what the device is late"
    assert frequency_hz(said[:4_800], 16_000) == pytest.approx(MICROPHONE_HZ, abs=2)


def test_without_audio_worklets_it_hears_and_is_heard_all_the_same(
    open_page: Open, server: ScriptedServer
) -> None:
    none = "Object.defineProperty(BaseAudioContext.prototype, 'audioWorklet', { value: undefined })"
    page = open_page(script=none)
    with held(page):
        heard = until_heard_whole(server)
    utterance(server, page)
    assert heard.hz == pytest.approx(MICROPHONE_HZ, abs=1)
    assert heard.level == pytest.approx(MICROPHONE_LEVEL, rel=0.05)
    type_message(page, "Sing")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(440, 0.5, 24_000))
    until_sounding(page, 450)
    until_played(page)
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(500, abs=0.1)


def test_without_permission_for_the_microphone_both_buttons_say_why_and_typing_goes_on(
    launch: Launch, opened: Open, site: str, server: ScriptedServer, artifacts: Path
) -> None:
    with launch(REFUSE_MICROPHONE) as browser:
        page = opened(browser, f"{site}?url={server.url}")
        page.hover("#hold")
        page.mouse.down()
        expect(page.get_by_role("alert")).to_contain_text("The microphone is not allowed")
        expect(page.get_by_role("alert")).to_contain_text("You can go on typing")
        page.screenshot(path=artifacts / "page-microphone-refused.png")
        page.mouse.up()
        type_message(page, "Then I type")
        server.wait_for("user_message")
        expect(page.get_by_role("alert")).to_be_hidden()
        page.click("#hands-free")
        expect(page.get_by_role("alert")).to_contain_text("The microphone is not allowed")
        expect(page.get_by_role("alert")).to_contain_text("go on typing")
        expect(page.locator("#hands-free")).to_have_attribute("aria-pressed", "false")
        expect(page.locator("#hands-free")).to_have_text("Hands-free")
        assert "audio_start" not in server.types()
        page.context.close()


def test_a_microphone_that_is_lost_is_a_sentence_and_ends_what_is_said(
    open_page: Open, server: ScriptedServer
) -> None:
    keep = """
        const ask = navigator.mediaDevices.getUserMedia;
        navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await ask(wanted));
    """
    page = open_page(script=keep)
    with held(page):
        server.wait_for("audio_chunk", 2)
        page.evaluate("window.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
        server.wait_for("audio_end")
        expect(page.get_by_role("alert")).to_contain_text("The microphone is gone")
        expect(page.locator("#hold-label")).to_have_text("Hold to talk")


def test_connecting_anew_ends_hands_free(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    page.click("#hands-free")
    expect(page.locator("#hands-free")).to_have_attribute("aria-pressed", "true")
    page.click("#link summary")
    page.click("#connect")
    server.wait_for("init", 2)
    expect(page.locator("#hands-free")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#hold")).to_be_enabled()


def test_a_microphone_that_hears_nothing_is_told_until_it_hears_again(
    open_page: Open, server: ScriptedServer
) -> None:
    keep = """
        const ask = navigator.mediaDevices.getUserMedia;
        navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await ask(wanted));
        window.mute = (muted) => {
            const [track] = window.stream.getTracks();
            Object.defineProperty(track, "muted", { value: muted, configurable: true });
            track.dispatchEvent(new Event(muted ? "mute" : "unmute"));
        };
    """
    page = open_page(script=keep)
    page.click("#hands-free")
    page.wait_for_function("window.stream !== undefined")
    expect(page.locator("#hands-free")).to_have_text("Hands-free")
    page.evaluate("window.mute(true)")
    expect(page.get_by_role("alert")).to_contain_text("goes on by itself")
    page.evaluate("window.mute(false)")
    expect(page.locator("#notice")).to_be_hidden()


SLOW_PERMISSION = """
    window.tracks = [];
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
        await new Promise((allow) => (window.allow = allow));
        const stream = await open(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
"""
LIVE = "window.tracks.filter(({ readyState }) => readyState === 'live').length"


def test_hands_free_can_be_withdrawn_while_the_browser_asks(open_page: Open) -> None:
    page = open_page(script=SLOW_PERMISSION)
    button = page.locator("#hands-free")
    for number, how in enumerate(("click", "Escape", "Escape and click, twice"), start=1):
        button.click()
        page.wait_for_function("window.allow !== undefined")
        expect(button, how).to_have_attribute("aria-pressed", "true")
        expect(button, how).to_have_text("One moment …")
        if how == "click":
            button.click()
        else:
            page.keyboard.press("Escape")
        if "twice" in how:
            button.click()
            expect(button, how).to_have_attribute("aria-pressed", "true")
            button.click()
        expect(button, how).to_have_attribute("aria-pressed", "false")
        expect(button, how).to_have_text("Hands-free")
        expect(page.locator("#hold"), how).to_be_enabled()
        page.evaluate("() => { const allow = window.allow; delete window.allow; allow(); }")
        page.wait_for_function(f"window.tracks.length === {number} && {LIVE} === 0")
        expect(button, how).to_have_attribute("aria-pressed", "false")
        expect(page.locator("#notice"), how).to_be_hidden()


def test_hands_free_that_was_withdrawn_and_is_wanted_again_listens(open_page: Open) -> None:
    page = open_page(script=SLOW_PERMISSION)
    button = page.locator("#hands-free")
    for _ in range(3):
        button.click()
    page.wait_for_function("window.allow !== undefined")
    page.evaluate("window.allow()")
    expect(button).to_have_text("Hands-free")
    expect(button).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(f"{LIVE} === 1")
    expect(page.locator("#text")).to_have_attribute("placeholder", re.compile("Just speak"))


@pytest.mark.parametrize("how", ["Connect", "New conversation"])
def test_whoever_begins_elsewhere_has_no_microphone_open(
    how: str, open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(script=SLOW_PERMISSION)
    page.hover("#hold")
    page.mouse.down()
    page.wait_for_function("window.allow !== undefined")
    page.evaluate("window.allow()")
    expect(page.locator("#hold-label")).to_have_text("Listening …")
    page.mouse.up()
    server.wait_for("audio_end")
    page.keyboard.press("Escape")
    if how == "Connect":
        page.click("#link summary")
        page.press("#url", "Enter")
    else:
        page.get_by_role("button", name="New conversation").click()
        server.wait_for("end")
        server.send(type="session_ended", session_id="s1", reason="ended")
    server.wait_for("init", 2)
    page.wait_for_function(f"{LIVE} === 0")
