/**
 * What is said and has not been answered: bounded, in order, and there to be said again after
 * the connection was lost. The server takes every message of a turn once, however often it comes.
 */
import { Problem } from "./problem.js";
import { checkBytes, checkWellFormed } from "./message-checks.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/**
 * @typedef {object} Entry
 * @property {ClientMessage} message
 * @property {string | undefined} turnId
 * @property {boolean} keep until its turn is forgotten, or the settings are answered
 * @property {number} bytes
 * @property {boolean} sent
 */

export class Outgoing {
  /** @type {Entry[]} */
  #entries = [];
  /** Of what has not left yet. */
  #waiting = { messages: 0, bytes: 0 };

  /**
   * @param {(message: ClientMessage) => boolean} send whether it left
   * @param {object} [limits] of what waits for a connection
   * @param {number} [limits.maxMessages]
   * @param {number} [limits.maxBytes] 4 MB are a minute and a half of speech
   */
  constructor(send, { maxMessages = 1_000, maxBytes = 4_000_000 } = {}) {
    this.send = send;
    this.maxMessages = maxMessages;
    this.maxBytes = maxBytes;
    /** The server says how long a message may be. */
    this.maxMessageBytes = 32_768;
  }

  /**
   * Send, now or as soon as there is a connection.
   * @param {ClientMessage} message kept for another time until its turn is forgotten, or what it
   *   asks for is answered
   * @param {boolean} [keep] false: sent once and forgotten
   * @throws {Problem} `bad_request`, `too_large`, `queue_full`
   */
  add(message, keep = true) {
    const turnId = "turn_id" in message ? (message.turn_id ?? undefined) : undefined;
    const bytes = new TextEncoder().encode(JSON.stringify(message)).length;
    checkWellFormed(message, contentOf(message), turnId);
    checkBytes(bytes, this.maxMessageBytes, contentOf(message), turnId);
    const { messages: waiting, bytes: waitingBytes } = this.#waiting;
    const fits = waiting < this.maxMessages && waitingBytes + bytes <= this.maxBytes;
    const sent = waiting === 0 && this.send(message);
    if (!sent && !fits) {
      const text = "There is no connection, and no room to keep more of what is said.";
      throw new Problem("queue_full", text, { turnId, retryable: true });
    }
    if (sent && !keep) return;
    const entry = { message, turnId: keep ? turnId : undefined, keep, bytes, sent };
    this.#entries.push(entry);
    if (!sent) this.#count(entry, 1);
  }

  /** There is a connection: send what waits. */
  flush() {
    for (const entry of this.#entries) {
      if (entry.sent) continue;
      if (!this.send(entry.message)) break;
      entry.sent = true;
      this.#count(entry, -1);
    }
    this.#entries = this.#entries.filter(({ sent, keep }) => !sent || keep);
  }

  /** There is another connection: say everything again. */
  repeat() {
    for (const entry of this.#entries) this.#unsend(entry);
    this.flush();
  }

  /**
   * Send chunks again that have not arrived.
   * @param {string} turnId
   * @param {number[]} missing their numbers
   */
  resend(turnId, missing) {
    for (const entry of this.#entries) {
      const { message } = entry;
      const isMissing = message.type === "audio_chunk" && missing.includes(message.seq);
      if (isMissing && entry.turnId === turnId) this.#unsend(entry);
    }
    this.flush();
  }

  /**
   * Say a turn again that may not have arrived, but for its chunks: the server asks for those.
   * @param {string} turnId
   */
  sayAgain(turnId) {
    for (const entry of this.#entries) {
      if (entry.turnId === turnId && entry.message.type !== "audio_chunk") this.#unsend(entry);
    }
    this.flush();
  }

  /**
   * A turn's messages are of no more use.
   * @param {string} turnId
   * @returns {ClientMessage[]} what they were
   */
  forget(turnId) {
    const gone = this.#entries.filter((entry) => entry.turnId === turnId);
    for (const entry of gone) if (!entry.sent) this.#count(entry, -1);
    this.#entries = this.#entries.filter((entry) => entry.turnId !== turnId);
    return gone.map(({ message }) => message);
  }

  /** The oldest settings that were sent have been answered. */
  configured() {
    const index = this.#entries.findIndex(({ message, sent }) => sent && message.type === "config");
    if (index >= 0) this.#entries.splice(index, 1);
  }

  /**
   * Whether anything of this turn may have reached the server.
   * @param {string} turnId
   */
  hasLeft(turnId) {
    const entries = this.#entries.filter((entry) => entry.turnId === turnId);
    return entries.length === 0 || entries.some(({ sent }) => sent);
  }

  /** @param {Entry} entry */
  #unsend(entry) {
    if (!entry.sent) return;
    entry.sent = false;
    this.#count(entry, 1);
  }

  /**
   * @param {Entry} entry
   * @param {1 | -1} sign
   */
  #count(entry, sign) {
    this.#waiting.messages += sign;
    this.#waiting.bytes += sign * entry.bytes;
  }
}

/**
 * What a message holds that its user has written.
 * @param {ClientMessage} message
 */
function contentOf({ type }) {
  if (type === "config") return "settings";
  return type === "audio_chunk" ? "sound" : "text";
}
