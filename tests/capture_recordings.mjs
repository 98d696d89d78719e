/**
 * Makes of recordings what a page sends of them: its own resampler, chunks and µ-law.
 *
 * Standard input has recordings as a microphone at 48 kHz gives them: a length (32 bits,
 * little-endian) and so many 32-bit floats. Standard output has for each the number of its chunks,
 * and each chunk with its length in bytes before it.
 */

import { readFileSync, writeSync } from "node:fs";
import { Chunker } from "../client/js/chunker.js";
import { encodeMulaw } from "../client/js/mulaw.js";
import { Resampler } from "../client/js/resampler.js";

const MICROPHONE_HZ = 48_000;
const SPEECH_HZ = 16_000;
/** Samples that an AudioWorklet is given at once. */
const QUANTUM = 128;

const input = readFileSync(0);
for (let at = 0; at < input.length; ) {
  const length = input.readUInt32LE(at);
  const from = input.byteOffset + at + 4;
  const samples = new Float32Array(input.buffer.slice(from, from + 4 * length));
  at += 4 + 4 * length;
  /** @type {Uint8Array[]} */
  const chunks = [];
  const resampler = new Resampler(MICROPHONE_HZ, SPEECH_HZ);
  const chunker = new Chunker(SPEECH_HZ, (pcm) => chunks.push(encodeMulaw(pcm)));
  for (let n = 0; n < length; n += QUANTUM) {
    chunker.push(resampler.push(samples.subarray(n, n + QUANTUM)));
  }
  chunker.push(resampler.flush());
  chunker.flush();
  write(sizeOf(chunks.length));
  for (const chunk of chunks) {
    write(sizeOf(chunk.length));
    write(chunk);
  }
}

/** @param {number} size */
function sizeOf(size) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(size);
  return bytes;
}

/** @param {Uint8Array} bytes */
function write(bytes) {
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}
