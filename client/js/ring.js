/** The last samples that were heard, up to a number of them. */

export class Ring {
  #at = 0;
  #length = 0;

  /** @param {number} size in samples */
  constructor(size) {
    this.samples = new Float32Array(size);
  }

  /** @param {Float32Array} samples */
  push(samples) {
    const size = this.samples.length;
    for (const sample of samples) {
      this.samples[this.#at] = sample;
      this.#at = (this.#at + 1) % size;
    }
    this.#length = Math.min(size, this.#length + samples.length);
  }

  /**
   * @param {number} count how many; fewer if it has fewer
   * @returns {Float32Array} oldest first
   */
  last(count) {
    const size = this.samples.length;
    const length = Math.min(count, this.#length);
    const start = this.#at - length + size;
    return Float32Array.from({ length }, (_, i) => this.samples[(start + i) % size] ?? 0);
  }
}
