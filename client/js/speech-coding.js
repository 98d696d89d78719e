/** How speech is coded on its way out: which coding a server takes, and what makes and reads it. */
import { decodeDvi4, Dvi4Encoder } from "./dvi4.js";
import { decodeMulaw, encodeMulaw } from "./mulaw.js";

/** @typedef {"pcm_16000" | "mulaw_16000" | "dvi4_16000"} Coding of speech at 16 kHz */

/** @type {Coding[]} */
const FEWEST_BITS_FIRST = ["dvi4_16000", "mulaw_16000"];

/**
 * @param {string[]} [takes] the formats that a server takes; one that does not say takes PCM
 * @returns {Coding} what has the fewest bits of them
 */
export function chooseCoding(takes = []) {
  return FEWEST_BITS_FIRST.find((coding) => takes.includes(coding)) ?? "pcm_16000";
}

/**
 * @param {Coding} coding
 * @returns {(pcm: Uint8Array) => Uint8Array} what codes one utterance, piece by piece
 */
export function encoderOf(coding) {
  if (coding === "dvi4_16000") {
    const encoder = new Dvi4Encoder();
    return (pcm) => encoder.encode(pcm);
  }
  return coding === "mulaw_16000" ? encodeMulaw : (pcm) => pcm;
}

/**
 * @param {string} format
 * @returns {((bytes: Uint8Array) => Uint8Array) | undefined} what makes PCM of it, if it is none
 */
export function decoderOf(format) {
  if (format === "dvi4_16000") return decodeDvi4;
  return format === "mulaw_16000" ? decodeMulaw : undefined;
}
