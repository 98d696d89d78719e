/**
 * When to try again: exponential back-off with full jitter, and an end to it.
 *
 * Full jitter (any time between nothing and the step) spreads the clients that lost their
 * connections at the same moment; see "Exponential Backoff And Jitter", AWS Architecture Blog.
 */

export class Backoff {
  /** How many attempts have been used since the last `reset`. */
  used = 0;
  /** By `Date.now`. */
  #notBefore = 0;

  /**
   * @param {object} [options]
   * @param {number} [options.baseMs] the first step
   * @param {number} [options.maxMs] the longest step
   * @param {number} [options.attempts] how many there are
   * @param {() => number} [options.random] from 0 to 1
   */
  constructor({ baseMs = 500, maxMs = 15_000, attempts = 5, random = Math.random } = {}) {
    this.baseMs = baseMs;
    this.maxMs = maxMs;
    this.attempts = attempts;
    this.random = random;
  }

  /**
   * Use an attempt up.
   * @param {number} [toldMs] the server wants none before that
   * @returns {number | undefined} ms to wait before it; none when no attempt is left
   */
  next(toldMs = 0) {
    if (this.used >= this.attempts) return undefined;
    const step = Math.min(this.maxMs, this.baseMs * 2 ** this.used);
    this.used += 1;
    this.#notBefore = Date.now() + toldMs;
    return Math.max(this.random() * step, toldMs);
  }

  /** ms for which the server still wants no attempt, whatever has changed here meanwhile. */
  get heldMs() {
    return Math.max(0, this.#notBefore - Date.now());
  }

  reset() {
    this.used = 0;
  }
}
