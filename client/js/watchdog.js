/** Notices that nothing comes although something should, and that something between is missing. */

export class Watchdog {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #gap;

  /**
   * @param {object} hooks
   * @param {() => void} hooks.onSilence a reply has been waited for, long; again and again
   * @param {() => void} hooks.onGap an event is missing, and does not come
   * @param {{silenceMs?: number, gapMs?: number}} [times]
   */
  constructor(hooks, { silenceMs = 10_000, gapMs = 3_000 } = {}) {
    this.hooks = hooks;
    this.silenceMs = silenceMs;
    this.gapMs = gapMs;
  }

  /**
   * How things stand after what has just happened.
   * @param {{isWaiting: boolean, hasGap: boolean}} now
   */
  see({ isWaiting, hasGap }) {
    clearTimeout(this.#silence);
    this.#silence = isWaiting ? setTimeout(() => this.#silent(), this.silenceMs) : undefined;
    if (!hasGap) {
      clearTimeout(this.#gap);
      this.#gap = undefined;
    }
    if (hasGap) this.#gap ??= setTimeout(() => this.#missing(), this.gapMs);
  }

  stop() {
    this.see({ isWaiting: false, hasGap: false });
  }

  #silent() {
    this.#silence = setTimeout(() => this.#silent(), this.silenceMs);
    this.hooks.onSilence();
  }

  #missing() {
    this.#gap = undefined;
    this.hooks.onGap();
  }
}
