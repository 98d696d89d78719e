import assert from "node:assert/strict";
import { test } from "node:test";

/** @typedef {{turn: string, played: number, level: number, gaps: number, flushed?: number}} Report */

/** What the audio thread gives a processor, and nothing more. */
class FakePort {
  /** @type {Report[]} */
  reports = [];
  /** @type {(event: {data: unknown}) => void} */
  onmessage = () => undefined;
  /** @param {Report} report */
  postMessage(report) {
    this.reports.push(report);
  }
}

/**
 * @typedef {{port: FakePort, process: (inputs: Float32Array[][], outputs: Float32Array[][]) => boolean}} Playback
 */

/** @type {(new () => Playback) | undefined} */
let Processor;
Object.assign(globalThis, {
  AudioWorkletProcessor: class {
    port = new FakePort();
  },
  /** @param {string} _name @param {new () => Playback} made */
  registerProcessor: (_name, made) => (Processor = made),
});
await import("../player-worklet.js");

function playback() {
  assert.ok(Processor);
  const node = new Processor();
  return {
    /** @param {string} turn @param {number[]} samples */
    add: (turn, samples) =>
      node.port.onmessage({ data: { turn, samples: Float32Array.from(samples) } }),
    /** @param {boolean} fade */
    flush: (fade) => {
      node.port.onmessage({ data: { flush: 7, fade } });
      return /** @type {Report} */ (node.port.reports.find((report) => report.flushed === 7));
    },
    /** @param {number} blocks */
    render: (blocks) => {
      const out = [];
      for (let i = 0; i < blocks; i += 1) {
        const block = new Float32Array(128);
        node.process([], [[block]]);
        out.push(...block);
      }
      return out;
    },
    last: () => /** @type {Report} */ (node.port.reports.at(-1)),
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
