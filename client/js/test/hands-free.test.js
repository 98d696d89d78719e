import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Capture, VoiceDetector } from "../capture.js";
import { HandsFree } from "../hands-free.js";
import { tone } from "./signals.js";

const RATE = 16_000;

/** @param {number} ms @param {number} level */
function noise(ms, level) {
  // The same at every run, and as flat as white noise.
  let seed = 1;
  return Float32Array.from({ length: (RATE * ms) / 1000 }, () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return level * ((2 * seed) / 2_147_483_647 - 1);
  });
}

/** @param {number} ms @param {number} level */
function voice(ms, level) {
  const base = tone(220, RATE, (RATE * ms) / 1000);
  const bright = tone(1_800, RATE, (RATE * ms) / 1000);
  return base.map((sample, i) => level * (0.6 * sample + 0.4 * (bright[i] ?? 0)));
}

/**
 * What a detector hears, and when, in ms.
 * @param {Float32Array[]} pieces
 * @param {Partial<import("../capture.js").VoiceSettings>} [settings]
 */
function heard(pieces, settings = {}) {
  const detector = new VoiceDetector(RATE);
  Object.assign(detector.settings, settings);
  /** @type {[string, number][]} */
  const changes = [];
  let at = 0;
  for (const piece of pieces) {
    for (let i = 0; i < piece.length; i += 160) {
      at += 10;
      const change = detector.push(piece.subarray(i, i + 160));
      if (change) changes.push([change, at]);
    }
  }
  return changes;
}

test("speech in a quiet room is noticed at once, and its end after the silence", () => {
  const changes = heard([noise(1_000, 0.001), voice(600, 0.1), noise(1_500, 0.001)]);
  assert.deepEqual(changes, [
    ["speaking", 1_090],
    ["pausing", 1_810],
    ["silent", 2_310],
  ]);
});

test("a pause between words does not end the utterance", () => {
  const quiet = noise(500, 0.001);
  const changes = heard([quiet, voice(400, 0.1), quiet, voice(400, 0.1), quiet, quiet]);
  assert.deepEqual(
    changes.map(([change]) => change),
    ["speaking", "pausing", "speaking", "pausing", "silent"],
  );
});

for (const level of [0.0003, 0.003, 0.02]) {
  test(`the noise of a room is no speech, however loud it is: ${level}`, () => {
    const changes = heard([noise(6_000, level)]);
    assert.deepEqual(changes.filter(([, at]) => at > 3_000), []);
  });
}

test("speech stands out of a noisy room too", () => {
  const changes = heard([noise(6_000, 0.01), voice(600, 0.2)]);
  assert.deepEqual(changes.at(-1), ["speaking", 6_090]);
});

test("hum is no speech", () => {
  const hum = tone(50, RATE, RATE * 3).map((sample) => sample * 0.02);
  assert.deepEqual(heard([noise(500, 0.0003), hum]), []);
});

test("a click is no speech", () => {
  assert.deepEqual(heard([noise(1_000, 0.001), voice(40, 0.5), noise(500, 0.001)]), []);
});

test("sensitivity decides what is loud enough", () => {
  const quietly = [noise(2_000, 0.004), voice(500, 0.05)];
  assert.deepEqual(heard(quietly, { sensitivity: 0 }), []);
  assert.deepEqual(heard(quietly, { sensitivity: 1 }), [["speaking", 2_090]]);
});

test("the audio thread hands blocks over, and what is left when asked", () => {
  /** @type {any[]} */
  const messages = [];
  const capture = new Capture(RATE, (message) => messages.push(message));
  capture.push(new Float32Array(1_500));
  capture.take({ flush: 3 });
  assert.deepEqual(
    messages.map(({ samples, flushed }) => samples?.length ?? flushed),
    [1_024, 476, 3],
  );
});

function listening({ canInterrupt = false } = {}) {
  mock.timers.enable({ apis: ["setTimeout"] });
  /** @type {unknown[]} */
  const seen = [];
  /** @type {(speech: {voice: import("../capture.js").Voice}) => void} */
  let listener = () => undefined;
  const conversation = {
    canInterrupt,
    canSpeak: true,
    /** @param {{prerollMs: number}} options */
    startSpeaking: ({ prerollMs }) => seen.push(["start", prerollMs]),
    pauseSpeaking: () => seen.push("user pauses"),
    resumeSpeaking: () => seen.push("user goes on"),
    stopSpeaking: async () => void seen.push("stop"),
  };
  const detection = {
    watch: async () => undefined,
    unwatch: async () => undefined,
    expectEcho: async () => undefined,
    /** @param {"speech"} _name @param {typeof listener} on */
    on: (_name, on) => {
      listener = on;
      return () => (listener = () => undefined);
    },
  };
  const player = { pause: () => seen.push("pause"), resume: () => seen.push("resume") };
  const handsFree = new HandsFree({ conversation, detection, player });
  void handsFree.start();
  return {
    seen,
    handsFree,
    /** @param {import("../capture.js").Voice} voice @param {number} [thenMs] */
    hears: (voice, thenMs = 0) => {
      listener({ voice });
      mock.timers.tick(thenMs);
    },
  };
}

test("speech begins a turn, with what came before it was noticed; silence ends it", (t) => {
  t.after(() => mock.timers.reset());
  const { seen, hears } = listening();
  hears("speaking", 1_000);
  hears("pausing");
  hears("speaking");
  hears("silent");
  assert.deepEqual(seen, [["start", 590], "user pauses", "user goes on", "stop"]);
});

test("speech during a reply pauses it, and interrupts it when it goes on", (t) => {
  t.after(() => mock.timers.reset());
  const { seen, hears } = listening({ canInterrupt: true });
  hears("speaking", 559);
  assert.deepEqual(seen, ["pause"]);
  mock.timers.tick(1);
  assert.deepEqual(seen, ["pause", ["start", 1_150]]);
});

test("a cough during a reply pauses it, and then it goes on", (t) => {
  t.after(() => mock.timers.reset());
  const { seen, hears } = listening({ canInterrupt: true });
  hears("speaking", 550);
  hears("pausing", 500);
  hears("silent", 1_000);
  assert.deepEqual(seen, ["pause", "resume"]);
});

test("leaving hands-free finishes what is being said", async (t) => {
  t.after(() => mock.timers.reset());
  const { seen, hears, handsFree } = listening();
  hears("speaking");
  await handsFree.stop();
  hears("speaking");
  assert.deepEqual(seen, [["start", 590], "stop"]);
});
