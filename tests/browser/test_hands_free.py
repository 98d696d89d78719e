"""Hands-free in a real browser: the microphone plays what somebody says, no key is pressed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Hear, Open
from tests.browser.page import follow_states, type_message, until_played, until_sounding
from tests.browser.page_states import CHOICES
from tests.browser.scripted import Message, Reply, ScriptedServer
from tests.browser.signals import (
    Samples,
    cough,
    frequency_hz,
    mixed,
    noise,
    samples_of,
    tone,
)
from tests.e2e.stack import Stack

VOICE_HZ = 500
Listening = Callable[..., Page]
Speech = Callable[[str], bytes]
SPEECH_HZ = 16_000
ROOM = 0.002
"""A quiet room's noise: 54 dB below full scale. The stand-in's voices speak at about 0.1."""


def said(pcm: bytes) -> bytes:
    """Speech without the silence around it."""
    (loud,) = (abs(samples_of(pcm)) > 0.01).nonzero()
    return pcm[2 * loud[0] : 2 * loud[-1] + 2]


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * SPEECH_HZ))


def said_in(messages: list[Message], turn_id: str) -> Samples:
    """The audio of one turn."""
    chunks = [message for message in messages if message.get("turn_id") == turn_id]
    audio = [base64.b64decode(m["audio"]) for m in chunks if m["type"] == "audio_chunk"]
    return samples_of(b"".join(audio))


def loud_s(samples: Samples, above: float = 0.05) -> tuple[float, float]:
    """When the first and the last loud sample come, in s."""
    (loud,) = (abs(samples) > above).nonzero()
    return loud[0] / SPEECH_HZ, loud[-1] / SPEECH_HZ


def in_a_room(*pieces: bytes, loudness: float = ROOM) -> bytes:
    """Pieces of sound, one after the other, in a room's noise."""
    sound = b"".join(pieces)
    return mixed(sound, noise(len(sound) / 2 / SPEECH_HZ, SPEECH_HZ, loudness))


@pytest.fixture
def listening(hear: Hear, open_page: Open) -> Listening:
    """The page, whose microphone will hear 16 kHz PCM, once, from when it opens."""

    def hearing(pcm: bytes) -> Page:
        hear(pcm, SPEECH_HZ)
        return open_page()

    return hearing


def test_speech_begins_a_turn_and_silence_ends_it(
    listening: Listening, server: ScriptedServer, artifacts: Path
) -> None:
    page = listening(silence(1) + tone(VOICE_HZ, 1, SPEECH_HZ, 0.3) + silence(4))
    page.click("#hands-free")
    expect(page.get_by_role("button", name="Hands-free")).to_have_attribute("aria-pressed", "true")
    start = server.wait_for("audio_start")
    page.screenshot(path=artifacts / "page-hands-free.png")
    end = server.wait_for("audio_end")
    assert start["turn_id"] == end["turn_id"]
    chunks = server.of_type("audio_chunk")
    assert [chunk["seq"] for chunk in chunks] == list(range(1, end["chunks"] + 1))
    heard = said_in(chunks, end["turn_id"])
    begun_s, ceased_s = loud_s(heard)
    assert ceased_s - begun_s == pytest.approx(1, abs=0.02), "all of it"
    assert begun_s > 0.15, "and a little from before"
    voice = heard[round(begun_s * SPEECH_HZ) : round(ceased_s * SPEECH_HZ)]
    assert frequency_hz(voice, SPEECH_HZ) == pytest.approx(VOICE_HZ, abs=1)
    Reply(server, end["turn_id"]).end("")
    server.wait_for("ack")
    page.click("#hands-free")
    expect(page.locator("#hold")).to_be_enabled()


def test_pauses_are_told_with_all_that_was_said_before(
    listening: Listening, server: ScriptedServer
) -> None:
    server.choices = {**CHOICES, "preemptive_replies": True}
    word = tone(VOICE_HZ, 0.53, SPEECH_HZ, 0.3)
    page = listening(silence(1) + word + silence(0.4) + word + silence(4))
    page.click("#hands-free")
    start, end = server.wait_for("audio_start"), server.wait_for("audio_end")
    assert start["pauses"] is True
    first, second = server.of_type("speech_paused")
    (resumed,) = server.of_type("speech_resumed")
    assert (first["pause"], resumed["pause"], second["pause"], end["pause"]) == (1, 1, 2, 2)
    types = [m["type"] for m in server.received if m.get("turn_id") == end["turn_id"]]
    assert types.index("speech_paused") < types.index("speech_resumed") < types.index("audio_end")
    for paused, words_s in ((first, 0.53), (second, 2 * 0.53 + 0.4)):
        said_before = [m for m in server.of_type("audio_chunk") if m["seq"] <= paused["chunks"]]
        begun_s, ceased_s = loud_s(said_in(said_before, end["turn_id"]))
        assert ceased_s - begun_s == pytest.approx(words_s, abs=0.03), "all that was said"
    Reply(server, end["turn_id"]).end("")


def test_sentences_with_pauses_are_one_turn_each_and_the_room_is_none(
    listening: Listening, server: ScriptedServer, speech: Speech
) -> None:
    sentences = [
        said(speech("What time")) + silence(0.4) + speech("is it in London?"),
        speech("Tell me a story about the sea."),
        speech("Stop"),
    ]
    before, between = silence(1.5), silence(1.3)
    heard = (sentence + between for sentence in sentences)
    room = in_a_room(before, *heard, loudness=5 * ROOM)  # elsewhere the room is quiet
    page = listening(room)
    page.click("#hands-free")
    at = len(before)
    for number, sentence in enumerate(sentences, start=1):
        end = server.wait_for("audio_end", number)
        assert server.of_type("audio_start")[-1]["turn_id"] == end["turn_id"]
        begun_s, ceased_s = loud_s(said_in(server.of_type("audio_chunk"), end["turn_id"]))
        first_s, last_s = loud_s(samples_of(room[at : at + len(sentence)]))
        at += len(sentence + between)
        assert ceased_s - begun_s == pytest.approx(last_s - first_s, abs=0.05), "all of it"
        assert begun_s > 0.1, "and a little from before"
        Reply(server, end["turn_id"]).end("")
    assert len(server.of_type("audio_start")) == 3


def test_somebody_who_goes_on_speaking_interrupts_a_reply(
    listening: Listening, server: ScriptedServer, speech: Speech
) -> None:
    sentence = speech("Wait a moment, I have another question.")
    page = listening(in_a_room(silence(1.5), sentence, silence(4)))
    type_message(page, "Talk on")
    turn_id = server.wait_for("user_message")["turn_id"]
    Reply(server, turn_id).audio(tone(440, 20, 24_000))
    until_sounding(page, 100)
    page.click("#hands-free")
    message = server.wait_for("interrupt")
    assert message["turn_id"] == turn_id
    assert 0 < message["played_ms"] < 15_000
    end = server.wait_for("audio_end")
    begun_s, ceased_s = loud_s(said_in(server.of_type("audio_chunk"), end["turn_id"]))
    first_s, last_s = loud_s(samples_of(sentence))
    assert ceased_s - begun_s == pytest.approx(last_s - first_s, abs=0.05), "from its first word"


def test_a_cough_pauses_a_reply_and_it_goes_on_by_itself(
    listening: Listening, server: ScriptedServer
) -> None:
    page = listening(in_a_room(silence(1.2), cough(0.3, SPEECH_HZ, 0.3), silence(6)))
    follow_states(page)
    type_message(page, "Talk on")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(440, 4, 24_000))
    reply.end("la")
    until_sounding(page, 100)
    page.click("#hands-free")
    until_played(page)
    assert page.evaluate("window.states") == ["playing", "paused", "playing", "idle"]
    assert page.evaluate("window.parley.player.playedMs") == pytest.approx(4_000, abs=0.1)
    assert not {"interrupt", "audio_start"} & set(server.types())


@pytest.mark.timeout(120)
def test_a_sentence_in_a_room_is_understood_and_answered(
    stack: Stack, hear: Hear, browser: Browser, opened: Open, speech: Speech
) -> None:
    hear(in_a_room(silence(1.5), speech("What time is it?"), silence(20)), SPEECH_HZ)
    page = opened(browser, f"{stack.info['static_url']}?url={stack.url}")
    page.click("#hands-free")
    page.wait_for_selector(".said[data-final=true]", timeout=20_000)
    assert "time" in page.locator(".said").inner_text().lower()
    expect(page.locator(".numbers")).to_contain_text("first sound", timeout=20_000)
    until_played(page)
    assert page.locator(".turn").count() == 1, "the reply is not taken for speech"


@pytest.mark.timeout(120)
def test_who_leaves_the_end_to_speech_recognition_need_not_stop(
    stack: Stack, hear: Hear, browser: Browser, opened: Open, speech: Speech
) -> None:
    hear(silence(0.5) + speech("What time is it?") + silence(20), SPEECH_HZ)
    page = opened(browser, f"{stack.info['static_url']}?url={stack.url}")
    reply = page.evaluate(
        """async () => {
            const turn = window.parley.conversation.startSpeaking({endpointing: "server_vad"});
            return await turn;
        }"""
    )
    assert "time" in reply["said"].lower()
    assert reply["text"]


def test_another_detector_decides_what_speech_is(
    listening: Listening, server: ScriptedServer
) -> None:
    page = listening(silence(1) + tone(VOICE_HZ, 0.5, SPEECH_HZ, 0.3) + silence(4))
    page.evaluate(
        """async (url) => {
            const { Conversation, Microphone } = await import("/client/index.js");
            // Takes the first sound for speech, and so many samples for all of it.
            const detector = {
                heard: 0,
                start(settings, tell) { Object.assign(this, { settings, tell }); },
                stop() { this.isStopped = true; },
                hear(samples) {
                    if (!this.heard && samples.every((sample) => Math.abs(sample) < 0.05)) return;
                    if (this.heard === 0) this.tell("speaking");
                    this.heard += samples.length;
                    const before = this.heard - samples.length;
                    if (this.heard > 16_000 && before <= 16_000) this.tell("silent");
                },
            };
            const microphone = new Microphone({ detector });
            const conversation = new Conversation(url, { microphone });
            Object.assign(window, { detector, another: conversation });
            await conversation.connect();
            await conversation.startHandsFree({ endMs: 900 });
        }""",
        server.url,
    )
    end = server.wait_for("audio_end")
    heard = said_in(server.of_type("audio_chunk"), end["turn_id"])
    begun_s, ceased_s = loud_s(heard)
    assert ceased_s - begun_s == pytest.approx(0.5, abs=0.05), "all of it"
    assert begun_s > 0.15, "and a little from before"
    assert len(heard) / SPEECH_HZ - begun_s == pytest.approx(1, abs=0.2), "until it said so"
    assert page.evaluate("window.detector.settings.endMs") == 900
    page.evaluate("async () => { await another.stopHandsFree(); another.close(); }")
    assert page.evaluate("window.detector.isStopped")


def test_a_detector_that_does_not_start_is_a_sentence(
    open_page: Open, server: ScriptedServer
) -> None:
    page = open_page()
    problem = page.evaluate(
        """async () => {
            const { Conversation, Microphone } = await import("/client/index.js");
            const start = async () => { throw new Error("no model"); };
            const microphone = new Microphone({ detector: { start, stop: () => undefined } });
            const conversation = new Conversation("ws://nowhere", { microphone });
            const { name, code, message } = await conversation.startHandsFree().catch((p) => p);
            return { name, code, message };
        }"""
    )
    assert (problem["name"], problem["code"]) == ("Problem", "detector_failed")
    assert problem["message"].endswith(".")
