"""Hands-free in a real browser: the microphone plays what somebody says, no key is pressed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Launch, Open
from tests.browser.scripted import Message, Reply, ScriptedServer
from tests.browser.signals import (
    Samples,
    cough,
    frequency_hz,
    mixed,
    noise,
    samples_of,
    tone,
    write_wav,
)
from tests.browser.test_page import type_message, until_played, until_sounding
from tests.e2e.stack import Stack

VOICE_HZ = 500
RATE_HZ = 48_000
Hear = Callable[..., Page]
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


def follow_states(page: Page) -> None:
    """Keep the player's states in `window.states`."""
    page.evaluate(
        """() => {
            window.states = [];
            window.parley.player.on("state", (state) => window.states.push(state));
        }"""
    )


@pytest.fixture
def hear_sound(
    launch: Launch, opened: Open, site: str, server: ScriptedServer, tmp_path: Path
) -> Iterator[Hear]:
    """The page, in a browser whose microphone hears 16 kHz PCM in a room, once."""
    with ExitStack() as stack:

        def with_microphone(*pieces: bytes, loudness: float = ROOM) -> Page:
            sound = b"".join(pieces)
            room = noise(len(sound) / 2 / SPEECH_HZ, SPEECH_HZ, loudness)
            wav = write_wav(tmp_path / "speech.wav", mixed(sound, room), SPEECH_HZ)
            browser = stack.enter_context(launch(wav, once=True))
            page = opened(browser, f"{site}?url={server.url}")
            stack.callback(page.context.close)
            return page

        yield with_microphone


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
    begun_s, ceased_s = loud_s(said_in(server.of_type("audio_chunk"), end["turn_id"]))
    assert ceased_s - begun_s == pytest.approx(1.5, abs=0.02), "from its first moment"


def test_a_cough_pauses_a_reply_and_it_goes_on_by_itself(
    hear: Hear, server: ScriptedServer
) -> None:
    page = hear(("silence", 1.5), ("voice", 0.2), ("silence", 6))
    follow_states(page)
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


@pytest.mark.parametrize("loudness", [ROOM, 5 * ROOM])
def test_sentences_with_pauses_are_one_turn_each_and_the_room_is_none(
    hear_sound: Hear, server: ScriptedServer, speech: Speech, loudness: float
) -> None:
    sentences = [
        said(speech("What time")) + silence(0.4) + speech("is it in London?"),
        speech("Tell me a story about the sea, and about an old man who lives there."),
        speech("Stop"),
    ]
    heard = (sentence + silence(2.5) for sentence in sentences)
    page = hear_sound(silence(3), *heard, loudness=loudness)
    page.click("#hands-free")
    for number, sentence in enumerate(sentences, start=1):
        end = server.wait_for("audio_end", number)
        assert server.of_type("audio_start")[-1]["turn_id"] == end["turn_id"]
        begun_s, ceased_s = loud_s(said_in(server.of_type("audio_chunk"), end["turn_id"]))
        first_s, last_s = loud_s(samples_of(sentence))
        assert ceased_s - begun_s == pytest.approx(last_s - first_s, abs=0.05), "all of it"
        assert begun_s > 0.1, "and a little from before"
        Reply(server, end["turn_id"]).end("")
    assert len(server.of_type("audio_start")) == 3


def test_somebody_who_goes_on_speaking_interrupts_a_reply(
    hear_sound: Hear, server: ScriptedServer, speech: Speech
) -> None:
    sentence = speech("Wait a moment, I have another question.")
    page = hear_sound(silence(3), sentence, silence(4))
    type_message(page, "Talk on")
    turn_id = server.wait_for("user_message")["turn_id"]
    Reply(server, turn_id).audio(tone(440, 20, 24_000))
    until_sounding(page, 100)
    page.click("#hands-free")
    message = server.wait_for("interrupt")
    assert (message["turn_id"], message["played_ms"] < 15_000) == (turn_id, True)
    end = server.wait_for("audio_end")
    begun_s, ceased_s = loud_s(said_in(server.of_type("audio_chunk"), end["turn_id"]))
    first_s, last_s = loud_s(samples_of(sentence))
    assert ceased_s - begun_s == pytest.approx(last_s - first_s, abs=0.05), "from its first word"


def test_a_real_cough_only_pauses_a_reply(hear_sound: Hear, server: ScriptedServer) -> None:
    page = hear_sound(silence(3), cough(0.3, SPEECH_HZ, 0.3), silence(6))
    follow_states(page)
    type_message(page, "Talk on")
    reply = Reply(server, server.wait_for("user_message")["turn_id"])
    reply.audio(tone(440, 5, 24_000))
    reply.end("la")
    until_sounding(page, 100)
    page.click("#hands-free")
    until_played(page)
    assert page.evaluate("window.states") == ["playing", "paused", "playing", "idle"]
    assert not {"interrupt", "audio_start"} & set(server.types())


@pytest.mark.timeout(120)
def test_a_sentence_in_a_room_is_understood_and_answered(
    stack: Stack, launch: Launch, opened: Open, speech: Speech, tmp_path: Path
) -> None:
    sound = silence(3) + speech("What time is it?") + silence(20)
    room = noise(len(sound) / 2 / SPEECH_HZ, SPEECH_HZ, ROOM)
    wav = write_wav(tmp_path / "question.wav", mixed(sound, room), SPEECH_HZ)
    with launch(wav, once=True) as browser:
        page = opened(browser, f"{stack.info['static_url']}?url={stack.url}")
        page.click("#hands-free")
        page.wait_for_selector(".said[data-final=true]", timeout=20_000)
        assert "time" in page.locator(".said").inner_text().lower()
        expect(page.locator(".numbers")).to_contain_text("first sound", timeout=20_000)
        page.wait_for_function("window.parley.player.state === 'idle'", timeout=30_000)
        assert page.locator(".turn").count() == 1, "the reply is not taken for speech"
        page.context.close()


@pytest.mark.timeout(120)
def test_who_leaves_the_end_to_speech_recognition_need_not_stop(
    stack: Stack, launch: Launch, opened: Open, speech: Speech, tmp_path: Path
) -> None:
    sound = silence(0.5) + speech("What time is it?") + silence(20)
    with launch(write_wav(tmp_path / "question.wav", sound, SPEECH_HZ), once=True) as browser:
        page = opened(browser, f"{stack.info['static_url']}?url={stack.url}")
        reply = page.evaluate(
            """async () => {
                const turn = window.parley.conversation.startSpeaking({endpointing: "server_vad"});
                return await turn;
            }"""
        )
        assert "time" in reply["said"].lower()
        assert reply["text"]
        page.context.close()


def test_another_detector_decides_what_speech_is(hear: Hear, server: ScriptedServer) -> None:
    page = hear(("silence", 1), ("voice", 0.5), ("silence", 4))
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
