/**
 * Whether the other side of a socket still lives. A network that swallows everything says
 * nothing: a silent server is asked, and if nothing comes then, the socket is dead. While
 * somebody waits or speaks that takes seconds; an idle connection costs next to nothing.
 */
import { startTimer } from "./delay.js";

/** So often it is looked whether the question is still on its way out. */
const STEP_MS = 1_000;

/**
 * @typedef {object} HeartbeatTimes
 * @property {number} heartbeatMs idle silence after which it is asked
 * @property {number} pongTimeoutMs how long anything at all may take to come then
 * @property {number} busyHeartbeatMs the same while a turn is spoken or waited for
 * @property {number} busyPongTimeoutMs
 */

/**
 * @typedef {object} HeartbeatHooks
 * @property {() => void} ask send a `ping`
 * @property {() => void} onDead nothing came
 * @property {() => number} unsentBytes what was sent and has not left this machine
 * @property {() => boolean} isNeeded whether an idle connection is worth keeping
 */

export class Heartbeat {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #deadline;
  /** How much longer an answer may take. */
  #leftMs = Infinity;
  /** What was sent after the question. */
  #bytesBehind = 0;
  #isBusy = false;

  /**
   * @param {HeartbeatHooks} hooks
   * @param {HeartbeatTimes} times
   */
  constructor(hooks, times) {
    this.hooks = hooks;
    this.times = times;
  }

  /** Something has come: there is no doubt for a while. */
  alive() {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.#leftMs = Infinity;
    this.#wait();
  }

  /** @param {boolean} isBusy whether a turn is being spoken or waited for */
  attend(isBusy) {
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    if (this.#deadline === undefined) this.#wait();
    else if (isBusy) this.#expect(this.times.busyPongTimeoutMs);
  }

  /** @param {number} bytes were sent */
  sent(bytes) {
    this.#bytesBehind += bytes;
  }

  /**
   * The other side was asked; something must come now.
   * @param {number} [withinMs]
   */
  asked(withinMs = this.#isBusy ? this.times.busyPongTimeoutMs : this.times.pongTimeoutMs) {
    clearTimeout(this.#silence);
    this.#bytesBehind = 0;
    this.#expect(withinMs);
  }

  stop() {
    clearTimeout(this.#silence);
    clearTimeout(this.#deadline);
  }

  #wait() {
    clearTimeout(this.#silence);
    const { heartbeatMs, busyHeartbeatMs } = this.times;
    const waitMs = this.#isBusy ? busyHeartbeatMs : heartbeatMs;
    this.#silence = startTimer(() => {
      if (this.#isBusy || this.hooks.isNeeded()) this.hooks.ask();
    }, waitMs);
  }

  /** @param {number} withinMs unless it has to come sooner already */
  #expect(withinMs) {
    if (withinMs >= this.#leftMs) return;
    clearTimeout(this.#deadline);
    this.#count(withinMs, withinMs, this.#bytesAhead());
  }

  /**
   * Step by step: a machine that slept must not take its sleep for the other side's.
   * @param {number} withinMs
   * @param {number} leftMs
   * @param {number} bytesAhead of the question, that had not left a step ago
   */
  #count(withinMs, leftMs, bytesAhead) {
    this.#leftMs = leftMs;
    if (leftMs <= 0) {
      this.hooks.onDead();
      return;
    }
    const stepMs = Math.min(STEP_MS, leftMs);
    this.#deadline = startTimer(() => {
      const stillAhead = this.#bytesAhead();
      // A link that is slower than speech is no dead one: the question has yet to leave.
      const isLeaving = stillAhead < bytesAhead;
      this.#count(withinMs, isLeaving ? withinMs : leftMs - stepMs, stillAhead);
    }, stepMs);
  }

  #bytesAhead() {
    return Math.max(0, this.hooks.unsentBytes() - this.#bytesBehind);
  }
}
