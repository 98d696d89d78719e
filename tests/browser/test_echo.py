"""The reply in the microphone: it does not interrupt itself, and the user still does.

The detector of speech and hands-free are the client's own, and the voices are samples of speech.
The clock, the loudspeaker and the air between it and the microphone are computed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Open
from tests.browser.signals import noise
from tests.browser.test_hands_free import ROOM, SPEECH_HZ, said

Speech = Callable[[str], bytes]
REPLY = "Long ago, in a small house at the end of a road, there lived a girl who loved the sea."
USER = "Please stop, I would like to ask for something else now."

LISTEN = """async ({ reply, user, room, echoDb, delayMs, userAtMs }) => {
    const { HandsFree } = await import("/client/hands-free.js");
    const { VoiceDetector } = await import("/client/capture.js");
    const samplesOf = (text) => {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        return Float32Array.from(new Int16Array(bytes.buffer), (sample) => sample / 32768);
    };
    const [said, asked, noise] = [reply, user, room].map(samplesOf);
    const FRAME = 160;  // 10 ms
    const detector = new VoiceDetector(16_000);
    let [now, heard, state, pauses, interruptedMs] = [0, () => {}, () => {}, 0, null];
    let isPlaying = true;
    const timers = new Map();
    const real = { setTimeout, clearTimeout };
    window.setTimeout = (act, ms) => {
        const key = {};
        timers.set(key, [now + ms, act]);
        return key;
    };
    window.clearTimeout = (key) => void timers.delete(key);
    const tell = (playing) => {
        if (playing === isPlaying) return;
        isPlaying = playing;
        pauses += !playing;
        state(playing ? "playing" : "paused");
    };
    const handsFree = new HandsFree({
        conversation: {
            canInterrupt: true,
            canSpeak: true,
            startSpeaking: () => (interruptedMs ??= now),
            stopSpeaking: async () => undefined,
        },
        detection: {
            watch: async (settings) => void (detector.settings = settings),
            unwatch: async () => undefined,
            expectEcho: async (extraDb) => void (detector.extraDb = extraDb),
            on: (_name, listener) => ((heard = listener), () => undefined),
        },
        player: {
            pause: () => tell(false),
            resume: () => tell(true),
            on: (_name, listener) => ((state = listener), () => undefined),
        },
    });
    await handsFree.start();
    state("playing");
    const played = [];  // of the loudspeaker, frame by frame
    let at = 0;
    const gain = 10 ** (echoDb / 20);
    const from = Math.round((userAtMs ?? Infinity) / 10);
    for (let frame = 0; at < said.length && interruptedMs === null; frame += 1, now += 10) {
        played.push(isPlaying ? said.subarray(at, (at += FRAME)) : new Float32Array(FRAME));
        const echo = played[frame - Math.round(delayMs / 10)];
        const input = Float32Array.from({ length: FRAME }, (_, i) =>
            (noise[(frame * FRAME + i) % noise.length] ?? 0) + gain * (echo?.[i] ?? 0) +
            (asked[(frame - from) * FRAME + i] ?? 0));
        const voice = detector.push(input);
        if (voice) heard({ voice });
        for (const [key, [due, act]] of timers) {
            if (due > now) continue;
            timers.delete(key);
            act();
        }
    }
    Object.assign(window, real);
    return { interruptedMs, pauses };
}"""


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page()


def listen(page: Page, speech: Speech, **air: Any) -> dict[str, Any]:
    """What becomes of a reply whose echo is heard, perhaps with the user speaking into it."""
    sounds = {
        "reply": said(speech(REPLY)),
        "user": said(speech(USER)),
        "room": noise(2, SPEECH_HZ, ROOM),
    }
    coded = {name: base64.b64encode(pcm).decode() for name, pcm in sounds.items()}
    found: dict[str, Any] = page.evaluate(LISTEN, {**coded, "userAtMs": None, **air})
    return found


def test_a_reply_in_the_microphone_does_not_interrupt_itself(page: Page, speech: Speech) -> None:
    for echo_db in (-40, -30, -20, -10, 0):
        for delay_ms in (20, 80, 150, 250):
            air = {"echoDb": echo_db, "delayMs": delay_ms}
            found = listen(page, speech, **air)
            assert found["interruptedMs"] is None, air
            # What a browser's canceller leaves is not even noticed.
            assert echo_db > -30 or found["pauses"] == 0, air


@pytest.mark.parametrize("echo_db", [-40, -20])
def test_who_speaks_into_an_echo_interrupts(page: Page, speech: Speech, echo_db: int) -> None:
    found = listen(page, speech, echoDb=echo_db, delayMs=80, userAtMs=1_500)
    assert found["interruptedMs"] is not None
    assert 1_500 < found["interruptedMs"] < 3_000
