import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decodeMulaw, encodeMulaw } from "../mulaw.js";

const path = new URL("../../../tests/mulaw.json", import.meta.url);
/** @type {{samples: number[], codes_sha256: string}} */
const REFERENCE = JSON.parse(readFileSync(path, "utf8"));

test("every sample is coded as the reference codes it", () => {
  const samples = Int16Array.from({ length: 65_536 }, (_, index) => index - 32_768);
  const coded = encodeMulaw(new Uint8Array(samples.buffer));
  assert.equal(createHash("sha256").update(coded).digest("hex"), REFERENCE.codes_sha256);
});

test("every code is decoded as the reference decodes it", () => {
  const pcm = decodeMulaw(Uint8Array.from({ length: 256 }, (_, code) => code));
  assert.deepEqual([...new Int16Array(pcm.buffer)], REFERENCE.samples);
});

test("an odd number of samples is followed by silence", () => {
  assert.deepEqual([...encodeMulaw(new Uint8Array(6))], [255, 255, 255, 255]);
  assert.equal(encodeMulaw(new Uint8Array(0)).length, 0);
});
