import assert from "node:assert/strict";
import { test } from "node:test";

import { Playback } from "../playback.js";

/** @typedef {{turn: string, played: number, level: number, gaps: number, flushed?: number}} Report */

function playback(rateHz = 24_000) {
  /** @type {Report[]} */
  const reports = [];
  const node = new Playback(rateHz, (report) => reports.push(/** @type {Report} */ (report)));
  return {
    /** @param {string} turn @param {number[]} samples */
    add: (turn, samples) => node.take({ turn, samples: Float32Array.from(samples) }),
    /** @param {boolean} fade */
    flush: (fade) => {
      node.take({ flush: 7, fade });
      return /** @type {Report} */ (reports.find((report) => report.flushed === 7));
    },
    /** @param {boolean} paused */
    pause: (paused) => node.take({ paused }),
    /** @param {string} begin */
    begin: (begin) => node.take({ begin }),
    /** @param {string} finish */
    finish: (finish) => node.take({ finish }),
    /** @param {number} blocks */
    render: (blocks) => {
      const out = [];
      for (let i = 0; i < blocks; i += 1) {
        const block = new Float32Array(128);
        node.render(block);
        out.push(...block);
      }
      return out;
    },
    last: () => /** @type {Report} */ (reports.at(-1)),
  };
}

/** @param {number} count @param {number} [from] */
function ramp(count, from = 0) {
  return Array.from({ length: count }, (_, i) => (from + i + 1) / 4096);
}

test("chunks of any size follow each other without a gap or a change", () => {
  const player = playback();
  player.add("a", ramp(100));
  player.add("a", ramp(1, 100));
  player.add("a", ramp(299, 101));
  assert.deepEqual(player.render(4), [...ramp(400), ...new Array(112).fill(0)]);
  assert.equal(player.last().played, 400);
  assert.equal(player.last().gaps, 0);
});

test("audio that comes late is counted as a gap", () => {
  const player = playback();
  player.add("a", ramp(128));
  player.render(2);
  player.add("a", ramp(128));
  player.finish("a");
  player.render(2);
  assert.equal(player.last().gaps, 1);
  assert.equal(player.last().played, 256);
});

test("a flush fades out within a block, and says exactly how much was played", () => {
  const player = playback();
  player.add("a", new Array(10_000).fill(0.5));
  player.render(3);
  const report = player.flush(true);
  assert.equal(report.played, 3 * 128 + 128);
  const rest = player.render(3);
  assert.equal(rest[0], 0.5);
  assert.ok((rest[127] ?? 1) < 0.01);
  assert.ok(rest.slice(0, 127).every((sample, i) => sample > (rest[i + 1] ?? 1)));
  assert.deepEqual(new Set(rest.slice(128)), new Set([0]));
  assert.equal(player.last().played, 512, "the fade is not counted twice");
});

test("a flush without a fade leaves nothing", () => {
  const player = playback();
  player.add("a", ramp(1_000));
  assert.equal(player.flush(false).played, 0);
  assert.deepEqual(new Set(player.render(2)), new Set([0]));
});

test("each turn is counted for itself", () => {
  const player = playback();
  player.add("a", ramp(200));
  player.render(2);
  player.add("b", ramp(100));
  player.render(1);
  assert.deepEqual([player.last().turn, player.last().played], ["b", 100]);
});

test("after audio came late, some is collected before it goes on", () => {
  const player = playback();
  player.add("a", ramp(128));
  player.render(2);
  player.add("a", ramp(1_000));
  assert.deepEqual(new Set(player.render(2)), new Set([0]), "80 ms are 1,920 samples");
  player.add("a", ramp(1_000));
  assert.deepEqual(player.render(1), ramp(128));
});

test("but it is not waited for more than 200 ms", () => {
  const player = playback();
  player.add("a", ramp(128));
  player.render(2);
  player.add("a", ramp(500));
  const rest = player.render(45);
  assert.equal(rest.filter((sample) => sample !== 0).length, 500);
  assert.equal(Math.ceil(rest.findIndex((sample) => sample !== 0) / 128), 37, "4,800 samples");
});

test("a pause is silent within a block, and afterwards goes on where it was", () => {
  const player = playback();
  player.add("a", new Array(2_000).fill(0.5));
  player.render(1);
  player.pause(true);
  const fading = player.render(4);
  assert.ok(fading.slice(0, 127).every((sample, i) => sample > (fading[i + 1] ?? 1)));
  assert.deepEqual(new Set(fading.slice(128)), new Set([0]));
  player.pause(false);
  const back = player.render(2);
  assert.ok(back.slice(0, 120).every((sample, i) => sample < (back[i + 1] ?? 0)));
  assert.deepEqual(new Set(back.slice(128)), new Set([0.5]));
  player.render(20);
  assert.equal(player.last().played, 2_000, "nothing was lost");
  assert.equal(player.last().gaps, 0);
});

test("a turn that begins after a pause is heard whole, from its first sample", () => {
  const player = playback();
  player.pause(true);
  player.render(3);
  player.pause(false);
  player.render(3);
  player.add("a", ramp(256));
  assert.deepEqual(player.render(2), ramp(256));
  player.pause(true);
  player.render(1);
  player.add("b", ramp(256));
  assert.deepEqual(new Set(player.render(3)), new Set([0]), "silent while it is paused");
  player.pause(false);
  assert.deepEqual(player.render(2), ramp(256));
});

test("a turn that a pause cut fades in, also where it is the rest of it that comes late", () => {
  const player = playback();
  player.add("a", new Array(64).fill(0.5));
  player.render(1);
  player.pause(true);
  player.render(1);
  player.add("a", new Array(256).fill(0.5));
  player.finish("a");
  player.pause(false);
  const back = player.render(2);
  assert.ok(back.slice(0, 127).every((sample, i) => sample < (back[i + 1] ?? 0)));
  assert.deepEqual(new Set(back.slice(128)), new Set([0.5]));
});

test("a turn that begins again is counted from nothing, and of the attempt before nothing is heard", () => {
  const player = playback();
  player.add("a", ramp(1_000));
  player.finish("a");
  player.render(2);
  player.begin("a");
  assert.deepEqual([player.last().turn, player.last().played], ["", 0]);
  player.add("a", ramp(100, 2_000));
  assert.deepEqual(player.render(1).slice(0, 100), ramp(100, 2_000), "it is no gap");
  assert.deepEqual([player.last().turn, player.last().played, player.last().gaps], ["a", 100, 0]);
});

test("another turn that begins changes nothing for the one that is heard", () => {
  const player = playback();
  player.add("a", ramp(256));
  player.render(1);
  player.begin("b");
  assert.deepEqual(player.render(1), ramp(128, 128));
  assert.deepEqual([player.last().turn, player.last().played], ["a", 256]);
});
