/** A spoken turn that is sent in one piece: its chunks, kept until the user has finished. */
import { fromBase64, toBase64 } from "./base64.js";
import { Problem } from "./problem.js";
import { decodeMulaw } from "./mulaw.js";
import { sampleRateOf } from "./pcm.js";

/** What the HTTP API takes (docs/http.md). */
export const MAX_SPEECH_S = 60;
const BYTES_PER_SAMPLE = 2;

export class CollectedSpeech {
  /** By their numbers, from 1.
   * @type {Map<number, Uint8Array>} */
  #chunks = new Map();

  #isMulaw;

  /** @param {import("./messages.js").AudioStart} start of a turn that may have begun over a WebSocket */
  constructor({ format = "pcm_16000", attempt }) {
    this.#isMulaw = format === "mulaw_16000";
    this.format = format === "mulaw_16000" ? "pcm_16000" : format;
    this.attempt = attempt ?? 1;
  }

  /** @param {import("./messages.js").AudioChunk} chunk */
  add({ seq, audio }) {
    const bytes = fromBase64(audio);
    this.#chunks.set(seq, this.#isMulaw ? decodeMulaw(bytes) : bytes);
  }

  /**
   * @param {number} chunks how many there were
   * @returns {string} all of it, as base64
   * @throws {Problem} `no_speech`, `too_large`
   */
  whole(chunks) {
    const numbers = Array.from({ length: chunks }, (_, index) => index + 1);
    const pieces = numbers.map((number) => this.#chunks.get(number) ?? new Uint8Array());
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (!bytes) throw new Problem("no_speech", "Nothing was heard. Please say it again.");
    const seconds = bytes / BYTES_PER_SAMPLE / sampleRateOf(this.format);
    if (seconds > MAX_SPEECH_S) {
      const said = `${Math.ceil(seconds)} s are too long for this network`;
      throw new Problem("too_large", `${said}: at most ${MAX_SPEECH_S} s can be said at once.`);
    }
    const all = new Uint8Array(bytes);
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return toBase64(all);
  }
}
