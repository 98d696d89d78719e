/**
 * When a conversation goes on over HTTP, and when it tries a WebSocket again. A browser does not say
 * why a handshake failed; a proxy that blocks upgrades fails every one of them, and a broken one
 * lets them succeed and then swallows every frame.
 */

/** How many WebSockets in a row bring nothing at all before HTTP is asked. */
const FAILURES = 2;
const FIRST_MS = 30_000;
const LONGEST_MS = 300_000;

export class Fallback {
  #failures = 0;
  #waits = 0;
  #isUrgent = false;

  /** @param {boolean} isPossible whether there is anything to fall back to */
  constructor(isPossible) {
    this.isPossible = isPossible;
  }

  /** Whether HTTP is to be asked now. */
  get isDue() {
    return this.isPossible && this.#failures >= FAILURES;
  }

  /** Begin anew: nothing is known of the network. */
  reset() {
    this.#failures = 0;
    this.#waits = 0;
    this.#isUrgent = false;
  }

  /** @param {boolean} wasAnswered whether the server has been heard of on the failed socket */
  failed(wasAnswered) {
    this.#failures = wasAnswered ? 0 : this.#failures + 1;
  }

  /** HTTP does not work either: a WebSocket is next, and after it HTTP. */
  httpFailed() {
    this.#failures = FAILURES - 1;
  }

  /** The network is perhaps another one: the next WebSocket is tried at once. */
  hurry() {
    this.#isUrgent = true;
  }

  /** ms until the next WebSocket is tried while HTTP serves: 30 s, 60 s, … 5 min. */
  nextMs() {
    if (this.#isUrgent) {
      this.#isUrgent = false;
      return 0;
    }
    const waitMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#waits);
    this.#waits += 1;
    return waitMs;
  }
}
