/** 16-bit little-endian PCM and floating point samples, whatever the machine's byte order. */

/**
 * @param {Float32Array} samples from -1 to 1; what is beyond is clipped
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodePcm(samples) {
  const bytes = new Uint8Array(samples.length * 2);
  const view = new DataView(bytes.buffer);
  samples.forEach((sample, index) => {
    const clipped = Math.max(-1, Math.min(1, sample));
    view.setInt16(index * 2, Math.round(clipped * 32767), true);
  });
  return bytes;
}

/**
 * @param {Uint8Array} bytes whole samples
 * @returns {Float32Array<ArrayBuffer>}
 */
export function decodePcm(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const samples = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < samples.length; i += 1) samples[i] = view.getInt16(i * 2, true) / 32768;
  return samples;
}

/**
 * The sample rate that a format such as `pcm_24000` names.
 * @param {string} format
 * @returns {number} Hz
 */
export function sampleRateOf(format) {
  return Number(format.replace("pcm_", ""));
}
