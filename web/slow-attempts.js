/** Tries again, seldom, for as long as somebody looks at the page; and at once when they come back. */

const EVERY_MS = 30_000;

export class SlowAttempts {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isWanted = false;

  /**
   * @param {() => void} attempt called once; whoever wants another begins again
   * @param {number} [everyMs]
   */
  constructor(attempt, everyMs = EVERY_MS) {
    this.attempt = attempt;
    this.everyMs = everyMs;
    document.addEventListener("visibilitychange", () => this.#hurry());
    window.addEventListener("online", () => this.#hurry());
  }

  begin() {
    this.stop();
    this.#isWanted = true;
    this.#wait();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#isWanted = false;
  }

  #wait() {
    // All pages that lost one server must not come back to it at one moment.
    const ms = this.everyMs * (0.75 + Math.random() / 2);
    this.#timer = setTimeout(() => (document.hidden ? this.#wait() : this.#try()), ms);
  }

  #hurry() {
    if (this.#isWanted && !document.hidden) this.#try();
  }

  #try() {
    this.stop();
    this.attempt();
  }
}
