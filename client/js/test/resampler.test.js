import assert from "node:assert/strict";
import { test } from "node:test";

import { Resampler } from "../resampler.js";
import { rms, tone } from "./signals.js";

/**
 * @param {number} from
 * @param {number} to
 * @param {Float32Array} samples
 * @param {number} [piece]
 */
function resampled(from, to, samples, piece = 1024) {
  const resampler = new Resampler(from, to);
  const out = [];
  for (let i = 0; i < samples.length; i += piece) {
    out.push(...resampler.push(samples.subarray(i, i + piece)));
  }
  return Float32Array.from([...out, ...resampler.flush()]);
}

for (const from of [48_000, 44_100, 22_050, 16_000, 8_000]) {
  test(`a second at ${from} Hz is a second at 16,000 Hz`, () => {
    assert.equal(resampled(from, 16_000, tone(440, from, from)).length, 16_000);
  });

  test(`a tone in the passband from ${from} Hz comes out as that tone`, () => {
    const out = resampled(from, 16_000, tone(1_000, from, from));
    const expected = tone(1_000, 16_000, 16_000);
    const error = out.map((sample, i) => sample - (expected[i] ?? 9));
    assert.ok(rms(error.subarray(200, -200)) < 0.002);
  });
}

for (const hz of [8_600, 11_000, 15_000, 23_000]) {
  test(`what lies above half the new rate does not fold back: ${hz} Hz`, () => {
    const out = resampled(48_000, 16_000, tone(hz, 48_000, 48_000));
    assert.ok(rms(out.subarray(200, -200)) < 0.004, `${rms(out.subarray(200, -200))}`);
  });
}

test("the same rate leaves the samples as they are", () => {
  const input = tone(440, 16_000, 1_000);
  const out = resampled(16_000, 16_000, input);
  input.forEach((sample, i) => assert.ok(Math.abs(sample - (out[i] ?? 9)) < 1e-6));
});

for (const piece of [1, 7, 128]) {
  test(`the size of the pieces makes no difference: ${piece}`, () => {
    const input = tone(440, 44_100, 5_000);
    assert.deepEqual(resampled(44_100, 16_000, input, piece), resampled(44_100, 16_000, input));
  });
}
