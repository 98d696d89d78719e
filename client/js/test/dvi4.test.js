import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decodeDvi4, Dvi4Encoder } from "../dvi4.js";

const path = new URL("../../../tests/dvi4.json", import.meta.url);
/** @type {{pieces: {pcm: string, block: string, decoded: string}[]}} */
const { pieces: PIECES } = JSON.parse(readFileSync(path, "utf8"));

/** @param {string} text */
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

test("a stream is coded block by block as the reference codes it", () => {
  const encoder = new Dvi4Encoder();
  for (const { pcm, block } of PIECES) assert.deepEqual(encoder.encode(bytes(pcm)), bytes(block));
});

test("every block is decoded by itself as the reference decodes it", () => {
  for (const { block, decoded } of PIECES.toReversed()) {
    assert.deepEqual(decodeDvi4(bytes(block)), bytes(decoded));
  }
});

test("a block is filled up with its last sample", () => {
  const samples = [5, 900, -800, 7, 3_000];
  const [odd, even] = [samples, [...samples, 3_000, 3_000, 3_000]].map((each) =>
    new Dvi4Encoder().encode(new Uint8Array(Int16Array.from(each).buffer)),
  );
  assert.deepEqual(odd, even);
  assert.equal(odd?.length, 4 + 4);
  assert.deepEqual(new Dvi4Encoder().encode(new Uint8Array()), new Uint8Array(4));
});
