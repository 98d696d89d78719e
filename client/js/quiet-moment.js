/** Does something when it disturbs nobody: after a while, and then in the first quiet moment. */
import { startTimer } from "./delay.js";

/** Looked for so often. */
export const QUIET_EVERY_MS = 5_000;
const LONGEST_MS = 300_000;

export class QuietMoment {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** How often it was to be done again. */
  #again = 0;

  /** @param {{isQuiet: () => boolean, act: () => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
  }

  /**
   * @param {number} ms
   * @param {number} [patienceMs] after which it is done whether it disturbs or not
   */
  in(ms, patienceMs = Infinity) {
    this.#again = 0;
    this.#wait(ms, Date.now() + ms + patienceMs);
  }

  /**
   * It was done in vain: again after 5 s, 10 s, … 5 min.
   * @param {number} patienceMs
   */
  again(patienceMs) {
    const ms = Math.min(LONGEST_MS, QUIET_EVERY_MS * 2 ** this.#again);
    this.#again += 1;
    this.#wait(ms, Date.now() + ms + patienceMs);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /**
   * @param {number} ms
   * @param {number} latest by `Date.now`
   */
  #wait(ms, latest) {
    clearTimeout(this.#timer);
    this.#timer = startTimer(() => {
      if (this.hooks.isQuiet() || Date.now() >= latest) this.hooks.act();
      else this.#wait(QUIET_EVERY_MS, latest);
    }, ms);
  }
}
