/** Does something when it disturbs nobody: after a while, and then in the first quiet moment. */

/** Looked for so often. */
export const QUIET_EVERY_MS = 5_000;

export class QuietMoment {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{isQuiet: () => boolean, act: () => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
  }

  /**
   * @param {number} ms
   * @param {number} [patienceMs] after which it is done whether it disturbs or not
   */
  in(ms, patienceMs = Infinity) {
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
    this.#timer = setTimeout(() => {
      if (this.hooks.isQuiet() || Date.now() >= latest) this.hooks.act();
      else this.#wait(QUIET_EVERY_MS, latest);
    }, ms);
  }
}
