/** A spoken turn on its way out: numbered chunks, kept until the server has understood them. */
import { toBase64 } from "./base64.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */

export class Speech {
  /** Base64, in order; kept in case the server misses some (`audio_gap`).
   * @type {string[]} */
  #chunks = [];

  /**
   * @param {string} turnId
   * @param {(message: ClientMessage) => void} send
   */
  constructor(turnId, send) {
    this.turnId = turnId;
    this.send = send;
    this.started = false;
    /** The user let go before the microphone was open. */
    this.released = false;
    this.over = false;
  }

  /** How many chunks there are so far. */
  get chunks() {
    return this.#chunks.length;
  }

  /** Announce the turn, and send what was heard before that. */
  start() {
    this.started = true;
    const { turnId } = this;
    this.send({
      type: "audio_start",
      turn_id: turnId,
      format: "pcm_16000",
      endpointing: "manual",
    });
    this.#chunks.forEach((_, index) => this.#sendChunk(index));
  }

  /** @param {Uint8Array} pcm 16 kHz, 16-bit, mono */
  add(pcm) {
    if (this.over) return;
    this.#chunks.push(toBase64(pcm));
    if (this.started) this.#sendChunk(this.#chunks.length - 1);
  }

  /** The user has finished. */
  end() {
    if (this.over) return;
    this.over = true;
    this.send({ type: "audio_end", turn_id: this.turnId, chunks: this.#chunks.length });
  }

  /** Nothing more is sent. */
  cancel() {
    this.over = true;
  }

  /** @param {number[]} missing chunk numbers, from 1 */
  resend(missing) {
    for (const seq of missing) if (seq <= this.#chunks.length) this.#sendChunk(seq - 1);
  }

  /** @param {number} index */
  #sendChunk(index) {
    const audio = this.#chunks[index];
    if (audio === undefined) return;
    this.send({ type: "audio_chunk", turn_id: this.turnId, seq: index + 1, audio });
  }
}
