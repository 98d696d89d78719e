"""The page in a real browser, against a server that does as the tests say.

What it sends is checked on the wire, what is heard is taken from the audio graph.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import MICROPHONE_HZ, MICROPHONE_LEVEL, Open
from tests.browser.scripted import Message, Reply, ScriptedServer
from tests.browser.signals import Samples, frequency_hz, rms, samples_of, tone


def type_message(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def heard(page: Page) -> Samples:
    """Everything that has reached the speakers, without the silence around it."""
    return np.array(page.evaluate("window.heardSamples()"), dtype=np.float64) / 32768


def until_played(page: Page) -> None:
    page.wait_for_function("window.parley.player.state === 'idle'", timeout=10_000)


def until_sounding(page: Page, milliseconds: int) -> None:
    page.wait_for_function(f"window.parley.player.playedMs > {milliseconds}", timeout=10_000)


@contextmanager
def held(page: Page) -> Iterator[None]:
    """The button pressed with the mouse, and the microphone open."""
    page.hover("#hold")
    page.mouse.down()
    expect(page.locator("#hold-label")).to_have_text("Listening …")
    yield
    page.mouse.up()


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


def test_every_sample_of_a_reply_is_heard_in_one_piece(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Sing")
    pcm = tone(440, 1, 24_000)
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(pcm)
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
    reply.audio(tone(440, 0.3, 24_000))
    until_sounding(page, 290)
    until_played(page)
    reply.audio(tone(440, 0.5, 24_000))
    reply.end("la")
    server.wait_for("ack")
    page.wait_for_function("window.parley.player.state === 'playing'")
    until_played(page)
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(800, abs=0.1)
    assert page.evaluate("window.parley.player.gaps") == 1


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_a_reply_at_another_rate_keeps_its_pitch_and_length(
    open_page: Open, server: ScriptedServer, rate_hz: int
) -> None:
    page = open_page()
    type_message(page, "Sing")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(660, 0.6, rate_hz), rate_hz)
    until_sounding(page, 500)
    until_played(page)
    samples = heard(page)
    assert frequency_hz(samples, 24_000) == pytest.approx(660, abs=0.5)
    assert len(samples) / 24_000 == pytest.approx(0.6, abs=0.005)
    assert rms(samples) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


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


def check_utterance(server: ScriptedServer, page: Page) -> Message:
    """What was said is the microphone's tone, whole and well numbered; gives its `audio_end`."""
    start, end = server.wait_for("audio_start"), server.wait_for("audio_end")
    assert (start["format"], start["endpointing"]) == ("pcm_16000", "manual")
    chunks = server.of_type("audio_chunk")
    assert [chunk["seq"] for chunk in chunks] == list(range(1, end["chunks"] + 1))
    assert {chunk["turn_id"] for chunk in chunks} == {start["turn_id"]} == {end["turn_id"]}
    audio = [base64.b64decode(chunk["audio"]) for chunk in chunks]
    assert {len(chunk) for chunk in audio[:-1]} == {3_200}, "100 ms each"
    assert 0 < len(audio[-1]) <= 3_200
    said = samples_of(b"".join(audio))[1_600:]  # the device needs a moment to come up
    assert frequency_hz(said, 16_000) == pytest.approx(MICROPHONE_HZ, abs=1)
    assert rms(said) == pytest.approx(MICROPHONE_LEVEL / np.sqrt(2), rel=0.05)
    (asked,) = page.evaluate("window.asked")
    assert asked["echoCancellation"] is True
    assert asked["noiseSuppression"] is True
    return end


def test_what_is_said_while_the_button_is_held_arrives_as_it_sounds(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    with held(page):
        server.wait_for("audio_chunk", 8)
        reply = Reply(server, server.wait_for("audio_start")["turn_id"])
        reply.send("transcript", text="good", final=False)
        expect(page.locator(".said[data-final=false]")).to_have_text("good")
    check_utterance(server, page)
    reply.send("transcript", text="Good morning.", final=True)
    expect(page.locator(".said[data-final=true]")).to_have_text("Good morning.")
    expect(page.locator(".numbers")).to_contain_text("transcript")
    expect(page.locator("#hold-label")).to_have_text("Hold to talk")


def test_a_second_utterance_has_numbers_of_its_own(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    for number in (1, 2):
        with held(page):
            server.wait_for("audio_start", number)
            turn_id = server.of_type("audio_start")[-1]["turn_id"]
            page.wait_for_timeout(300)
        end = server.wait_for("audio_end", number)
        seqs = [c["seq"] for c in server.of_type("audio_chunk") if c["turn_id"] == turn_id]
        assert seqs == list(range(1, end["chunks"] + 1))
        Reply(server, turn_id).end("")
        server.wait_for("ack", number)


def test_the_space_bar_talks(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    page.keyboard.down("Space")
    server.wait_for("audio_chunk", 6)
    page.keyboard.up("Space")
    check_utterance(server, page)


def test_a_finger_talks(open_page: Open, server: ScriptedServer) -> None:
    page = open_page(has_touch=True, viewport={"width": 390, "height": 844})
    box = page.locator("#hold").bounding_box()
    assert box
    finger = page.context.new_cdp_session(page)
    at = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}]
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at})
    server.wait_for("audio_chunk", 6)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    check_utterance(server, page)


@pytest.mark.parametrize(
    ("place", "effect"),
    [
        ("#text", "document.activeElement.value === ' '"),
        ("#panel-toggle", "document.activeElement.ariaExpanded === 'true'"),
        ("#link summary", "document.activeElement.parentElement.open"),
    ],
)
def test_the_space_bar_stays_with_what_has_the_focus(
    open_page: Open, server: ScriptedServer, place: str, effect: str
) -> None:
    page = open_page()
    page.focus(place)
    page.keyboard.down("Space")
    assert page.get_attribute("#hold", "aria-pressed") == "false"
    page.keyboard.up("Space")
    assert page.evaluate(effect) is True
    assert server.types() == ["init"]


def test_enter_on_the_button_begins_and_ends_an_utterance(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    page.focus("#hold")
    page.keyboard.press("Enter")
    server.wait_for("audio_chunk", 6)
    page.keyboard.press("Enter")
    check_utterance(server, page)


@pytest.mark.parametrize("how", ["Escape", "button"])
def test_interrupting_goes_quiet_and_says_exactly_how_much_was_heard(
    open_page: Open, server: ScriptedServer, how: str
) -> None:
    page = open_page()
    type_message(page, "Talk on")
    turn_id = server.wait_for("user_message")["turn_id"]
    reply = Reply(server, turn_id)
    reply.text("One two three.")
    words = [["One", 0, 300], ["two", 300, 8_000], ["three.", 8_000, 9_000]]
    reply.audio(tone(440, 9, 24_000), words=words)
    until_sounding(page, 700)
    if how == "Escape":
        page.keyboard.press("Escape")
    else:
        page.click("#interrupt")
    message = server.wait_for("interrupt")
    assert message["turn_id"] == turn_id
    reply.audio(tone(440, 1, 24_000))
    reply.end("One two three.", "interrupted", heard="One two")
    server.wait_for("ack")
    page.wait_for_timeout(200)
    samples = heard(page)
    assert 700 <= message["played_ms"] < 3_000
    assert len(samples) == pytest.approx(message["played_ms"] * 24, abs=3)
    assert rms(samples[-12:]) < 0.05 < rms(samples[-400:-200]), "it fades out, without a click"
    expect(page.locator(".reply[data-voice=cut] .rest")).to_have_text("three.")
    expect(page.locator("#interrupt")).to_be_disabled()


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


def test_escape_while_talking_takes_it_back(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    with held(page):
        server.wait_for("audio_chunk", 2)
        page.keyboard.press("Escape")
        server.wait_for("interrupt")
    type_message(page, "over")
    server.wait_for("user_message")
    assert server.of_type("audio_end") == []


def test_errors_are_sentences_where_they_belong(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    type_message(page, "Hello")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    sentence = "The language model is busy. Try again in a moment."
    reply.send("error", code="reply_failed", message=sentence, retryable=True)
    reply.end("", "failed")
    expect(page.locator(".turn .problem")).to_have_text(sentence)
    server.send(type="error", code="bad_request", message="That is not valid.", retryable=False)
    expect(page.get_by_role("alert")).to_have_text("That is not valid.")
    server.send_text('{"message": "Internal server error", "connectionId": "c", "requestId": "r"}')
    expect(page.get_by_role("alert")).to_have_text("Internal server error")
    type_message(page, "Again")
    server.wait_for("user_message", 2)
    expect(page.locator("#notice")).to_be_hidden()


def test_without_permission_for_the_microphone_typing_goes_on(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page(microphone=False)
    page.hover("#hold")
    page.mouse.down()
    expect(page.get_by_role("alert")).to_contain_text("The microphone is not allowed")
    expect(page.get_by_role("alert")).to_contain_text("You can go on typing")
    page.mouse.up()
    type_message(page, "Then I type")
    server.wait_for("user_message")
    assert "audio_start" not in server.types()


def test_without_audio_worklets_it_hears_and_is_heard_all_the_same(
    open_page: Open, server: ScriptedServer
) -> None:
    none = "Object.defineProperty(BaseAudioContext.prototype, 'audioWorklet', { value: undefined })"
    page = open_page(script=none)
    with held(page):
        server.wait_for("audio_chunk", 8)
    check_utterance(server, page)
    type_message(page, "Sing")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(440, 0.5, 24_000))
    until_sounding(page, 450)
    until_played(page)
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(500, abs=0.1)


def test_what_was_said_just_before_the_key_was_pressed_is_not_cut_off(
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
        page.wait_for_timeout(400)  # of sound, before the key is pressed again
    held_ms = page.evaluate("window.pointerup - window.pointerdown")
    pcm = [c["audio"] for c in server.of_type("audio_chunk") if c["turn_id"] == end["turn_id"]]
    said = samples_of(b"".join(base64.b64decode(chunk) for chunk in pcm))
    assert len(said) / 16 > held_ms + 150, "300 ms, less what the device is late"
    assert frequency_hz(said[:4_800], 16_000) == pytest.approx(MICROPHONE_HZ, abs=2)


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


def test_a_lost_connection_comes_back_and_nothing_is_lost_or_doubled(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Hello")
    turn_id = server.wait_for("user_message")["turn_id"]
    reply = Reply(server, turn_id)
    pcm = tone(440, 1, 24_000)
    half = len(pcm) // 2
    first = reply.event("reply_text", delta="Good ")
    server.send(**first)
    reply.audio(pcm[:half], chunk_ms=1_000)
    expect(page.locator(".reply")).to_contain_text("Good")
    until_sounding(page, 100)
    server.drop()
    resumed = server.wait_for("init", 2)
    assert (resumed["session_id"], resumed["resume_token"]) == ("s1", "secret")
    assert resumed["received"] == {"turn_id": turn_id, "seq": 2}
    assert server.wait_for("user_message", 2)["turn_id"] == turn_id, "said again: it costs nothing"
    server.send(**first)  # and what comes twice is shown once
    reply.text("day.")
    reply.audio(pcm[half:], chunk_ms=1_000)
    reply.end("Good day.")
    server.wait_for("ack")
    expect(page.get_by_role("status")).to_have_text("Connected")
    expect(page.locator(".reply")).to_have_text("Good day.")
    until_sounding(page, 950)
    until_played(page)
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(1_000, abs=0.1)


def test_what_is_typed_without_a_connection_is_said_as_soon_as_there_is_one(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    server.refuse = True
    server.drop()
    expect(page.get_by_role("status")).to_contain_text("Reconnecting")
    type_message(page, "Meanwhile")
    expect(page.locator(".said")).to_have_text("Meanwhile")
    server.refuse = False
    assert server.wait_for("user_message")["text"] == "Meanwhile"
    expect(page.get_by_role("status")).to_have_text("Connected")


def test_a_connection_that_is_refused_for_good_is_seen_and_can_be_made_again(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    type_message(page, "Hello")
    server.wait_for("user_message")
    server.close(1008)
    expect(page.get_by_role("status")).to_have_text("Not connected")
    expect(page.get_by_role("alert")).to_contain_text("does not allow this connection")
    expect(page.locator(".turn .problem")).to_contain_text("before the reply was complete")
    for control in ("#hold", "#text", "#say", "#interrupt", "#hands-free"):
        expect(page.locator(control)).to_be_disabled()
    page.click("#link summary")
    page.click("#connect")
    expect(page.get_by_role("status")).to_have_text("Connected")
    type_message(page, "Again")
    server.wait_for("user_message", 2)


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


def test_settings_go_to_the_server_one_by_one(open_page: Open, server: ScriptedServer) -> None:
    page = open_page()
    page.click("#panel-toggle")
    page.get_by_role("tab", name="Settings").click()
    page.fill("[name=language]", "de")
    page.press("[name=language]", "Tab")
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


def test_an_address_that_does_not_answer_is_a_sentence_and_can_be_mended(
    opened: Open, browser: Browser, site: str, server: ScriptedServer
) -> None:
    page = opened(browser, f"{site}?url=ws://127.0.0.1:9/dev", ready=False)
    expect(page.get_by_role("alert")).to_contain_text("Is the address right")
    page.fill("#url", server.url)
    page.press("#url", "Enter")
    expect(page.get_by_role("status")).to_have_text("Connected")
    page.goto(site)
    expect(page.get_by_role("status")).to_have_text("Connected")
    assert page.input_value("#url") == server.url, "it is remembered"


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
    for _ in range(9):
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
        "Connected",
        "Details",
        "What time is it?",
        "Tell me a story about the sea.",
        "What is two plus three?",
        "text",
        "Hold to talk space",
        "Hands-free",
        "say",
    ]
