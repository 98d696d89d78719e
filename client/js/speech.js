/** A spoken turn on its way out: what was heard, as numbered chunks. */
import { toBase64 } from "./base64.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */

export class Speech {
  /** Heard before the turn was announced.
   * @type {Uint8Array[]} */
  #early = [];
  /** How many chunks have been handed over. */
  chunks = 0;
  started = false;
  /** Whether the microphone has opened for it. */
  isOpen = false;
  /** The user has let go: the microphone has been stopped for it. */
  isFinished = false;
  over = false;
  /** Its turn has failed, and it goes on. */
  isKept = false;

  /**
   * @param {import("./turn.js").Turn} turn
   * @param {"manual" | "server_vad"} endpointing who notices its end
   * @param {(message: ClientMessage) => void} send
   */
  constructor(turn, endpointing, send) {
    this.turn = turn;
    this.endpointing = endpointing;
    this.send = send;
  }

  /**
   * Announce the turn, and hand over what was heard before that.
   * @param {boolean} serverFindsEnds whether the server can notice the end
   */
  start(serverFindsEnds) {
    this.started = true;
    this.send({
      type: "audio_start",
      turn_id: this.turn.id,
      format: "pcm_16000",
      endpointing: serverFindsEnds ? this.endpointing : "manual",
      attempt: this.turn.attempt,
    });
    for (const pcm of this.#early.splice(0)) this.add(pcm);
  }

  /** @param {Uint8Array} pcm 16 kHz, 16-bit, mono */
  add(pcm) {
    if (this.over) return;
    if (!this.started) {
      this.#early.push(pcm);
      return;
    }
    this.chunks += 1;
    const turn_id = this.turn.id;
    this.send({ type: "audio_chunk", turn_id, seq: this.chunks, audio: toBase64(pcm) });
  }

  /** The user has finished. */
  end() {
    if (this.over) return;
    this.over = true;
    this.send({ type: "audio_end", turn_id: this.turn.id, chunks: this.chunks });
  }

  /**
   * Its turn has failed: what follows is not sent but kept, so that all of it can be tried again.
   * @param {ClientMessage[]} messages what there is of it; the rest is added
   */
  keep(messages) {
    this.isKept = true;
    this.send = (/** @type {ClientMessage} */ message) => void messages.push(message);
  }

  /**
   * The turn is tried again before the user has finished: the rest follows.
   * @param {import("./turn.js").Turn} turn the next attempt
   * @param {(message: ClientMessage) => void} send
   */
  goOn(turn, send) {
    this.isKept = false;
    this.turn = turn;
    this.send = send;
  }

  /** Nothing more is sent. */
  cancel() {
    this.over = true;
  }
}
