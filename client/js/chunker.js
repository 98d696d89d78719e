/** Collects samples into PCM chunks of one size; the last may be shorter. */
import { encodePcm } from "./pcm.js";

export class Chunker {
  #filled = 0;

  /**
   * @param {number} size in samples
   * @param {(pcm: Uint8Array) => void} onChunk 16-bit, mono
   */
  constructor(size, onChunk) {
    this.onChunk = onChunk;
    this.chunk = new Float32Array(size);
  }

  /** @param {Float32Array} samples */
  push(samples) {
    for (let at = 0; at < samples.length; ) {
      const count = Math.min(samples.length - at, this.chunk.length - this.#filled);
      this.chunk.set(samples.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === this.chunk.length) this.flush();
    }
  }

  /** Hand over what there is. */
  flush() {
    if (this.#filled) this.onChunk(encodePcm(this.chunk.subarray(0, this.#filled)));
    this.#filled = 0;
  }
}
