/** Signals for the tests, and what is measured of them. */

/**
 * @param {number} hz
 * @param {number} rateHz
 * @param {number} count
 */
export function tone(hz, rateHz, count) {
  return Float32Array.from({ length: count }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rateHz));
}

/** @param {Float32Array} samples */
export function rms(samples) {
  return Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
}
