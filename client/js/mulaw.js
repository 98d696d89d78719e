/** µ-law (ITU-T G.711): 16-bit PCM in 8 bits a sample, finer where it is quiet. */

/** Added to every magnitude of 14 bits before it is coded. */
const BIAS = 33;
const LOUDEST = 8_191 - BIAS;
const SILENCE = 0xff;

/**
 * @param {Uint8Array} pcm 16-bit, little-endian
 * @returns {Uint8Array} a byte for each sample, and one more of silence if their number is odd: the
 *   server takes pairs
 */
export function encodeMulaw(pcm) {
  const view = new DataView(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  const samples = pcm.length >> 1;
  const coded = new Uint8Array(samples + (samples % 2)).fill(SILENCE);
  for (let i = 0; i < samples; i += 1) coded[i] = code(view.getInt16(2 * i, true));
  return coded;
}

/**
 * @param {Uint8Array} coded
 * @returns {Uint8Array<ArrayBuffer>} 16-bit PCM, little-endian
 */
export function decodeMulaw(coded) {
  const pcm = new Uint8Array(2 * coded.length);
  const view = new DataView(pcm.buffer);
  coded.forEach((byte, index) => view.setInt16(2 * index, sampleOf(byte), true));
  return pcm;
}

/** @param {number} sample of 16 bits */
function code(sample) {
  const short = sample >> 2;
  const magnitude = Math.min(Math.abs(short), LOUDEST) + BIAS;
  const exponent = 26 - Math.clz32(magnitude);
  const mantissa = (magnitude >> (exponent + 1)) & 15;
  return ~((short < 0 ? 0x80 : 0) | (exponent << 4) | mantissa) & 0xff;
}

/** @param {number} byte */
function sampleOf(byte) {
  const inverted = ~byte & 0xff;
  const magnitude = ((2 * (inverted & 15) + BIAS) << ((inverted >> 4) & 7)) - BIAS;
  return (inverted & 0x80 ? -magnitude : magnitude) * 4;
}
