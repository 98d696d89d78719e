import assert from "node:assert/strict";
import { test } from "node:test";

import { fromBase64, toBase64 } from "../base64.js";
import { decodePcm, encodePcm, sampleRateOf } from "../pcm.js";

test("base64 survives any length", () => {
  for (const length of [0, 1, 2, 3, 4095, 100_000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31) & 255);
    assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  }
});

test("PCM survives the way there and back, and clips", () => {
  const samples = Float32Array.from([0, 0.5, -0.5, 1, -1, 2, -2]);
  const back = decodePcm(encodePcm(samples));
  samples.forEach((sample, i) => {
    const clipped = Math.max(-1, Math.min(1, sample));
    assert.ok(Math.abs((back[i] ?? 9) - clipped) < 1e-4);
  });
});

test("a format names its sample rate", () => {
  assert.equal(sampleRateOf("pcm_24000"), 24_000);
});
