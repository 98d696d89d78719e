import assert from "node:assert/strict";
import { test } from "node:test";

import { Chunker } from "../chunker.js";
import { MicrophoneShare } from "../microphone-share.js";

const RATE_HZ = 16_000;

/** @param {number} ms */
const quiet = (ms) => new Float32Array((RATE_HZ * ms) / 1000);
/** @param {number} ms */
const loud = (ms) => quiet(ms).map((_, i) => 0.3 * Math.sin(i));

/** @param {number[]} sizes in bytes of 16-bit PCM */
const inMs = (sizes) => sizes.map((bytes) => (bytes / 2 / RATE_HZ) * 1000);

test("the first chunk is short, the others are long, and nothing is lost at the end", () => {
  /** @type {number[]} */
  const sizes = [];
  const chunker = new Chunker(RATE_HZ, (pcm) => sizes.push(pcm.length));
  for (let i = 0; i < 120; i += 1) chunker.push(quiet(10));
  chunker.flush();
  chunker.flush();
  assert.deepEqual(inMs(sizes), [100, 480, 480, 140]);
});

for (const [beforeMs, expected] of /** @type {[number, number[]][]} */ ([
  [0, [100, 480]],
  [50, [100, 480]],
  [300, [300, 480]],
  [500, [480, 100, 480]],
  [700, [480, 220, 480]],
])) {
  test(`of ${beforeMs} ms from before, what is worth it leaves at once`, () => {
    /** @type {number[]} */
    const sizes = [];
    const chunker = new Chunker(RATE_HZ, (pcm) => sizes.push(pcm.length));
    chunker.begin(quiet(beforeMs));
    chunker.push(quiet(700));
    assert.deepEqual(inMs(sizes), expected);
  });
}

/**
 * @param {{endpointing?: "manual" | "server_vad", isWatched?: boolean}} [options]
 * @returns {Promise<{hear: (samples: Float32Array) => void, share: MicrophoneShare, chunks: number[][]}>}
 *   and of each chunk, at which ms of sound it came and how long it is
 */
async function speaking({ endpointing, isWatched } = {}) {
  const host = {
    rateHz: RATE_HZ,
    restMs: () => 0,
    open: async () => undefined,
    closeIfUnused: () => undefined,
    released: () => undefined,
    join: () => undefined,
    heardBefore: () => quiet(0),
    flushed: async () => undefined,
    watch: async () => undefined,
    unwatch: async () => undefined,
    expectEcho: () => undefined,
  };
  const share = new MicrophoneShare(host);
  if (isWatched) await share.watch({ sensitivity: 0.5, startMs: 90, endMs: 700, pauseMs: 200 });
  /** @type {number[][]} */
  const chunks = [];
  let heardMs = 0;
  const options = endpointing ? { endpointing } : {};
  await share.start((pcm) => chunks.push([heardMs, pcm.length / 32]), options);
  return {
    share,
    chunks,
    hear: (samples) => {
      for (let at = 0; at < samples.length; at += 320) {
        heardMs += 20;
        share.hear(samples.subarray(at, at + 320));
      }
    },
  };
}

const CASES = /** @type {const} */ ([
  {
    name: "speech goes into long chunks",
    options: {},
    sound: [loud(1060)],
    chunks: [[100, 100], [580, 480], [1060, 480]],
  },
  {
    name: "a pause of 100 ms sends what was said before it",
    options: {},
    sound: [loud(300), quiet(120), loud(480)],
    chunks: [[100, 100], [420, 320], [900, 480]],
  },
  {
    name: "silence goes into long chunks where nobody waits for it",
    options: {},
    sound: [loud(300), quiet(600)],
    chunks: [[100, 100], [420, 320], [900, 480]],
  },
  {
    name: "silence goes into short chunks where the server waits for it",
    options: { endpointing: "server_vad" },
    sound: [loud(300), quiet(320), loud(480)],
    chunks: [[100, 100], [420, 320], [520, 100], [620, 100], [1100, 480]],
  },
  {
    name: "a pause that somebody else notices is not looked for",
    options: { isWatched: true },
    sound: [loud(300), quiet(280)],
    chunks: [[100, 100], [580, 480]],
  },
]);

for (const { name, options, sound, chunks: expected } of CASES) {
  test(name, async () => {
    const { hear, chunks } = await speaking(options);
    for (const samples of sound) hear(samples);
    assert.deepEqual(chunks, expected);
  });
}

test("a pause that is noticed sends what was said before its listener is told", async () => {
  const { hear, share, chunks } = await speaking({ isWatched: true });
  /** @type {[string, number][]} */
  const told = [];
  share.on("speech", ({ voice }) => told.push([voice, chunks.length]));
  hear(loud(300));
  share.notice("speaking");
  hear(quiet(200));
  share.notice("pausing");
  assert.deepEqual(chunks, [[100, 100], [500, 400]]);
  assert.deepEqual(told, [["speaking", 1], ["pausing", 2]]);
});

test("the end of an utterance sends what is left of it at once", async () => {
  const { hear, share, chunks } = await speaking();
  hear(loud(360));
  await share.stop();
  assert.deepEqual(chunks, [[100, 100], [360, 260]]);
});
