/** A spoken turn on its way out: what was heard, as numbered chunks. */
import { toBase64 } from "./base64.js";
import { encodeMulaw } from "./mulaw.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {"pcm_16000" | "mulaw_16000"} Coding of speech on its way out */

const PCM_BYTES_PER_MS = 32;

export class Speech {
  /** Heard before the turn was announced.
   * @type {Uint8Array[]} */
  #early = [];
  /** How many chunks have been handed over. */
  chunks = 0;
  /** How much of it has been heard. */
  heardMs = 0;
  /** Of one message, before its base64. */
  maxChunkBytes = 20_480;
  /** @type {Coding} */
  #coding = "pcm_16000";
  started = false;
  /** Whether the microphone has opened for it. */
  isOpen = false;
  /** The user has let go: the microphone has been stopped for it. */
  isFinished = false;
  over = false;
  /** Its turn has failed, and it goes on. */
  isKept = false;
  /** How often the user has paused. */
  #pauses = 0;
  #isPaused = false;

  /**
   * @param {import("./turn.js").Turn} turn
   * @param {"manual" | "server_vad"} endpointing who notices its end
   * @param {boolean} tellsPauses whether somebody notices its pauses
   * @param {(message: ClientMessage) => void} send
   */
  constructor(turn, endpointing, tellsPauses, send) {
    this.turn = turn;
    this.endpointing = endpointing;
    this.tellsPauses = tellsPauses;
    this.send = send;
  }

  /**
   * Announce the turn, and hand over what was heard before that.
   * @param {boolean} serverFindsEnds whether the server can notice the end
   * @param {Coding} [coding] that the server takes
   * @param {boolean} [takesPauses] whether pauses are of use to it
   */
  start(serverFindsEnds, coding = "pcm_16000", takesPauses = false) {
    this.started = true;
    this.#coding = coding;
    this.tellsPauses &&= takesPauses;
    this.send({
      type: "audio_start",
      turn_id: this.turn.id,
      format: coding,
      endpointing: serverFindsEnds ? this.endpointing : "manual",
      attempt: this.turn.attempt,
      ...(this.tellsPauses && { pauses: true }),
    });
    for (const pcm of this.#early.splice(0)) this.#send(pcm);
    if (this.#isPaused) this.#tellPause();
  }

  /** @param {Uint8Array} pcm 16 kHz, 16-bit, mono */
  add(pcm) {
    if (this.over) return;
    this.heardMs += pcm.length / PCM_BYTES_PER_MS;
    if (this.started) this.#send(pcm);
    else this.#early.push(pcm);
  }

  /** @param {Uint8Array} pcm */
  #send(pcm) {
    const turn_id = this.turn.id;
    const coded = this.#coding === "mulaw_16000" ? encodeMulaw(pcm) : pcm;
    const size = this.maxChunkBytes - (this.maxChunkBytes % 2);
    for (let at = 0; at < coded.length; at += size) {
      this.chunks += 1;
      const audio = toBase64(coded.subarray(at, at + size));
      this.send({ type: "audio_chunk", turn_id, seq: this.chunks, audio });
    }
  }

  /** The user pauses: what was said until now has been added. */
  pause() {
    if (this.over || this.#isPaused) return;
    this.#isPaused = true;
    this.#pauses += 1;
    if (this.started) this.#tellPause();
  }

  /** The user goes on. */
  resume() {
    if (this.over || !this.#isPaused) return;
    this.#isPaused = false;
    if (!this.started || !this.tellsPauses) return;
    this.send({ type: "speech_resumed", turn_id: this.turn.id, pause: this.#pauses });
  }

  #tellPause() {
    if (!this.tellsPauses) return;
    const { chunks, turn } = this;
    this.send({ type: "speech_paused", turn_id: turn.id, chunks, pause: this.#pauses });
  }

  /** The user has finished. */
  end() {
    if (this.over) return;
    this.over = true;
    const pause = this.tellsPauses && this.#isPaused && { pause: this.#pauses };
    this.send({ type: "audio_end", turn_id: this.turn.id, chunks: this.chunks, ...pause });
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
