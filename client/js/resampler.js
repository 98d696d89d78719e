/**
 * Streaming sample rate conversion with a windowed-sinc low-pass filter.
 *
 * Without the filter, what lies above half the new rate folds back into speech and
 * hurts recognition. The two rates are a fraction in whole numbers, so positions never drift,
 * and each of the fraction's phases has its filter computed once.
 */

const ZERO_CROSSINGS = 16;
/** Where the passband ends, as a share of half the lower rate; the rest is the slope. */
const ROLL_OFF = 0.94;

export class Resampler {
  /** Input that is still needed; starts with silence, so that the filter can begin.
   * @type {Float32Array} */
  #input;
  /** The next output lies at `#whole + #phase / up` in `#input`. */
  #whole;
  #phase = 0;
  /** @type {(Float32Array | undefined)[]} */
  #filters = [];

  /**
   * @param {number} fromHz a whole number
   * @param {number} toHz a whole number
   */
  constructor(fromHz, toHz) {
    const divisor = greatestCommonDivisor(fromHz, toHz);
    this.up = toHz / divisor;
    this.down = fromHz / divisor;
    this.cutoff = fromHz === toHz ? 1 : ROLL_OFF * Math.min(1, toHz / fromHz);
    this.reach = Math.ceil(ZERO_CROSSINGS / this.cutoff);
    this.#input = new Float32Array(this.reach);
    this.#whole = this.reach;
  }

  /**
   * The output that is complete with this input.
   * @param {Float32Array} samples
   * @returns {Float32Array<ArrayBuffer>}
   */
  push(samples) {
    const input = new Float32Array(this.#input.length + samples.length);
    input.set(this.#input);
    input.set(samples, this.#input.length);
    const output = new Float32Array(this.#complete(input.length));
    for (let i = 0; i < output.length; i += 1) {
      output[i] = this.#sample(input);
      this.#phase += this.down;
      this.#whole += Math.floor(this.#phase / this.up);
      this.#phase %= this.up;
    }
    const keepFrom = Math.min(input.length, Math.max(0, this.#whole - this.reach));
    this.#input = input.slice(keepFrom);
    this.#whole -= keepFrom;
    return output;
  }

  /**
   * What the filter still holds back of the end.
   * @returns {Float32Array<ArrayBuffer>}
   */
  flush() {
    return this.push(new Float32Array(this.reach));
  }

  /**
   * How many outputs need no input beyond these.
   * @param {number} length
   */
  #complete(length) {
    const room = (length - this.reach - this.#whole) * this.up - this.#phase;
    return Math.max(0, Math.ceil(room / this.down));
  }

  /** @param {Float32Array} input */
  #sample(input) {
    const filter = (this.#filters[this.#phase] ??= this.#filter(this.#phase / this.up));
    const start = this.#whole - this.reach;
    let sum = 0;
    for (let i = 0; i < filter.length; i += 1) sum += (input[start + i] ?? 0) * (filter[i] ?? 0);
    return sum;
  }

  /**
   * A sinc under a Hann window, its weights adding up to 1.
   * @param {number} fraction of an input sample, that the output lies after a whole one
   */
  #filter(fraction) {
    const weights = Float32Array.from({ length: 2 * this.reach + 1 }, (_, i) => {
      const distance = i - this.reach - fraction;
      const x = distance * this.cutoff;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      return sinc * (0.5 + 0.5 * Math.cos((Math.PI * distance) / (this.reach + 1)));
    });
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  }
}

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
