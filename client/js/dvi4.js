/** DVI4: IMA ADPCM, 16-bit PCM in 4 bits a sample, as RTP has it (RFC 3551, section 4.5.1). */

const HEADER_BYTES = 4;
// prettier-ignore
const STEPS = [
  7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66,
  73, 80, 88, 97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408,
  449, 494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066,
  2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630,
  9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794,
  32767,
];
const INDEX_CHANGES = [-1, -1, -1, -1, 2, 4, 6, 8];

/** What encoder and decoder know alike: the predicted value, and the index of the step. */
class Predictor {
  /** @param {number} value @param {number} index */
  constructor(value = 0, index = 0) {
    this.value = value;
    this.index = index;
  }

  get step() {
    return STEPS[this.index] ?? 0;
  }

  /** @param {number} code of the next sample, which is then the value */
  follow(code) {
    const { step } = this;
    let change = step >> 3;
    if (code & 4) change += step;
    if (code & 2) change += step >> 1;
    if (code & 1) change += step >> 2;
    const value = this.value + (code & 8 ? -change : change);
    this.value = Math.min(Math.max(value, -32_768), 32_767);
    const index = this.index + (INDEX_CHANGES[code & 7] ?? 0);
    this.index = Math.min(Math.max(index, 0), STEPS.length - 1);
  }
}

/** Codes one stream of PCM, block by block. Each block can be decoded by itself. */
export class Dvi4Encoder {
  #predictor = new Predictor();

  /**
   * @param {Uint8Array} pcm the next piece: 16-bit, little-endian
   * @returns {Uint8Array} a block of an even number of bytes: up to three samples like the last one
   *   follow
   */
  encode(pcm) {
    const view = new DataView(pcm.buffer, pcm.byteOffset, pcm.byteLength);
    const samples = pcm.length >> 1;
    const block = new Uint8Array(HEADER_BYTES + 2 * Math.ceil(samples / 4));
    new DataView(block.buffer).setInt16(0, this.#predictor.value);
    block[2] = this.#predictor.index;
    const codeAt = (/** @type {number} */ i) =>
      this.#code(view.getInt16(2 * Math.min(i, samples - 1), true));
    for (let at = HEADER_BYTES, i = 0; at < block.length; at += 1, i += 2) {
      block[at] = (codeAt(i) << 4) | codeAt(i + 1);
    }
    return block;
  }

  /** @param {number} sample */
  #code(sample) {
    const predictor = this.#predictor;
    let { step } = predictor;
    let rest = sample - predictor.value;
    let code = rest < 0 ? 8 : 0;
    rest = Math.abs(rest);
    for (const bit of [4, 2, 1]) {
      if (rest >= step) {
        code |= bit;
        rest -= step;
      }
      step >>= 1;
    }
    predictor.follow(code);
    return code;
  }
}

/**
 * @param {Uint8Array} block
 * @returns {Uint8Array<ArrayBuffer>} 16-bit PCM, little-endian
 */
export function decodeDvi4(block) {
  const header = new DataView(block.buffer, block.byteOffset, HEADER_BYTES);
  const predictor = new Predictor(header.getInt16(0), header.getUint8(2));
  const pcm = new Uint8Array(4 * (block.length - HEADER_BYTES));
  const view = new DataView(pcm.buffer);
  block.subarray(HEADER_BYTES).forEach((byte, index) => {
    [byte >> 4, byte & 15].forEach((code, half) => {
      predictor.follow(code);
      view.setInt16(2 * (2 * index + half), predictor.value, true);
    });
  });
  return pcm;
}
