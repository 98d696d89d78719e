/** A detector of one's own that several wait for: it has started for all of them, or for none. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Microphone } from "../microphone.js";
import { withSound } from "./audio.js";
import { settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

const SETTINGS = { sensitivity: 0.5, startMs: 90, endMs: 700, pauseMs: 200 };

async function rest() {
  for (let step = 0; step < 30; step += 1) await settled();
}

/** Starts when it is told to. */
class SlowDetector {
  stops = 0;
  /** @type {{started: () => void, failed: () => void}[]} */
  starts = [];
  start() {
    return /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
        this.starts.push({ started: resolve, failed: () => reject(new Error("no model")) });
      })
    );
  }
  async stop() {
    this.stops += 1;
  }
}

/** @param {Promise<unknown>} promise */
function outcome(promise) {
  return promise.then(
    () => "ok",
    ({ code }) => code,
  );
}

/**
 * Two that watch with one microphone.
 * @param {Context} t
 */
async function two(t) {
  const sound = withSound(t);
  const detector = new SlowDetector();
  const microphone = new Microphone({ detector, releaseAfterMs: 0 });
  t.after(() => microphone.release());
  const shares = [microphone.share(), microphone.share()];
  const outcomes = shares.map((share) => outcome(share.watch(SETTINGS)));
  await rest();
  sound.asked[0]?.allow();
  await rest();
  return { sound, detector, microphone, shares, outcomes };
}

test("one that fails has failed for everybody, and nothing stays open", async (t) => {
  const { sound, detector, outcomes } = await two(t);
  detector.starts[0]?.failed();
  assert.deepEqual(await Promise.all(outcomes), ["detector_failed", "detector_failed"]);
  assert.deepEqual([detector.starts.length, sound.live()], [1, []]);
});

test("one that has failed is started again by who comes next", async (t) => {
  const { sound, detector, outcomes, microphone } = await two(t);
  detector.starts[0]?.failed();
  await Promise.all(outcomes);
  const again = outcome(microphone.watch(SETTINGS));
  await rest();
  sound.asked[1]?.allow();
  await rest();
  detector.starts[1]?.started();
  assert.deepEqual([await again, detector.starts.length, sound.live().length], ["ok", 2, 1]);
});

test("it has started for everybody, and stops with the last", async (t) => {
  const { detector, outcomes, shares } = await two(t);
  let isDone = false;
  void outcomes[1]?.then(() => (isDone = true));
  await rest();
  assert.equal(isDone, false, "nothing is noticed yet");
  detector.starts[0]?.started();
  assert.deepEqual(await Promise.all(outcomes), ["ok", "ok"]);
  await shares[0]?.unwatch();
  assert.equal(detector.stops, 0);
  await shares[1]?.unwatch();
  assert.equal(detector.stops, 1);
});

test("one that nobody wants once it has started is stopped", async (t) => {
  const { detector, outcomes, shares } = await two(t);
  for (const share of shares) await share.unwatch();
  const before = detector.stops;
  detector.starts[0]?.started();
  await Promise.all(outcomes);
  await rest();
  assert.equal(detector.stops, before + 1);
});

test("one that is wanted again while it starts is started once more, and not stopped by the first", async (t) => {
  const { sound, detector, outcomes, shares, microphone } = await two(t);
  for (const share of shares) await share.unwatch();
  const again = outcome(microphone.watch(SETTINGS));
  await rest();
  sound.asked[1]?.allow();
  await rest();
  const { stops } = detector;
  detector.starts[0]?.failed();
  await Promise.all(outcomes);
  await rest();
  detector.starts[1]?.started();
  assert.deepEqual([await again, detector.starts.length, detector.stops], ["ok", 2, stops]);
});
