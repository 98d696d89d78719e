/**
 * Cuts an utterance into PCM chunks. Each message costs its sender's power and its receiver's money,
 * so much speech goes into one; what somebody waits for does not wait for more.
 */
import { encodePcm } from "./pcm.js";

/** What is usual: in µ-law, with its keys, it just fits into 8 write units of the server's table. */
export const CHUNK_MS = 480;
/** The first one, which the server's speech recognition begins with. */
export const FIRST_CHUNK_MS = 100;

export class Chunker {
  #filled = 0;
  #first;
  #usual;
  /** Of the chunk that is being filled, in samples. */
  #size;

  /**
   * @param {number} rateHz
   * @param {(pcm: Uint8Array) => void} onChunk 16-bit, mono
   * @param {number} [usualMs] of all chunks but the first
   */
  constructor(rateHz, onChunk, usualMs = CHUNK_MS) {
    this.onChunk = onChunk;
    this.#first = samplesIn(FIRST_CHUNK_MS, rateHz);
    this.#usual = samplesIn(usualMs, rateHz);
    this.#size = this.#first;
    this.chunk = new Float32Array(this.#usual);
  }

  /** @param {Float32Array} samples from before the utterance was begun: they leave as soon as it is worth it */
  begin(samples) {
    this.#size = this.#usual;
    this.push(samples);
    this.#size = this.#first;
    if (this.#filled >= this.#first) this.flush();
  }

  /**
   * @param {Float32Array} samples
   * @param {boolean} [isAwaited] no more is collected than for the first chunk
   */
  push(samples, isAwaited = false) {
    if (isAwaited && this.#filled < this.#first) this.#size = this.#first;
    for (let at = 0; at < samples.length; ) {
      const count = Math.min(samples.length - at, this.#size - this.#filled);
      this.chunk.set(samples.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === this.#size) this.flush();
    }
  }

  /** Hand over what there is. */
  flush() {
    if (!this.#filled) return;
    const pcm = encodePcm(this.chunk.subarray(0, this.#filled));
    this.#filled = 0;
    this.#size = this.#usual;
    this.onChunk(pcm);
  }
}

/**
 * @param {number} ms
 * @param {number} rateHz
 */
function samplesIn(ms, rateHz) {
  return Math.round((ms * rateHz) / 1000);
}
