/**
 * Streaming sample rate conversion with a windowed-sinc low-pass filter.
 *
 * Without the filter, what lies above half the new rate folds back into speech and
 * hurts recognition.
 */

const ZERO_CROSSINGS = 16;

export class Resampler {
  /**
   * @param {number} fromHz
   * @param {number} toHz
   */
  constructor(fromHz, toHz) {
    this.step = fromHz / toHz;
    this.cutoff = Math.min(1, toHz / fromHz);
    this.reach = Math.ceil(ZERO_CROSSINGS / this.cutoff);
    /** Input that is still needed; starts with silence, so that the filter can begin.
     * @type {Float32Array} */
    this.input = new Float32Array(this.reach);
    /** Where in `input` the next output sample lies. */
    this.position = this.reach;
  }

  /**
   * The output that is complete with this input.
   * @param {Float32Array} samples
   * @returns {Float32Array<ArrayBuffer>}
   */
  push(samples) {
    const input = new Float32Array(this.input.length + samples.length);
    input.set(this.input);
    input.set(samples, this.input.length);
    const last = input.length - this.reach - 1;
    const count = Math.max(0, Math.floor((last - this.position) / this.step) + 1);
    const output = new Float32Array(count);
    for (let i = 0; i < count; i += 1) output[i] = this.#at(input, this.position + i * this.step);
    const next = this.position + count * this.step;
    const keepFrom = Math.max(0, Math.floor(next) - this.reach);
    this.input = input.slice(keepFrom);
    this.position = next - keepFrom;
    return output;
  }

  /**
   * @param {Float32Array} input
   * @param {number} position
   */
  #at(input, position) {
    let sum = 0;
    const first = Math.ceil(position - this.reach);
    const end = Math.floor(position + this.reach);
    for (let i = first; i <= end; i += 1) {
      const distance = i - position;
      sum += (input[i] ?? 0) * this.#kernel(distance);
    }
    return sum;
  }

  /** @param {number} distance in input samples */
  #kernel(distance) {
    const x = distance * this.cutoff;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    const window = 0.5 + 0.5 * Math.cos((Math.PI * distance) / (this.reach + 1));
    return this.cutoff * sinc * window;
  }
}
