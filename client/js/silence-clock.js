/**
 * Notices that the user is silent after a reply, and for how long: since it had been played to its
 * end. It looks again and again: a player need not say when it has finished.
 */

/** @typedef {import("./messages.js").SilenceRules} SilenceRules */

const LOOK_EVERY_MS = 200;

export class SilenceClock {
  /** @type {SilenceRules | undefined} */
  #rules;
  /** When the last reply had been played, by `Date.now`. Until there has been one nobody is silent.
   * @type {number | undefined} */
  #since;
  /** Whether the server has been told of this silence. */
  #isTold = false;
  /** Whether the last reply asked whether the user is there. */
  #hasAsked = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {object} parts
   * @param {() => boolean} parts.isQuiet whether nothing is said, waited for or heard
   * @param {(silentMs: number) => boolean} parts.tell gives whether the server was told
   */
  constructor(parts) {
    this.parts = parts;
  }

  /**
   * There is a connection.
   * @param {SilenceRules | undefined} rules none: silence changes nothing
   * @param {boolean} hasTurns whether the session has had a turn, so that there is or was a reply
   */
  start(rules, hasTurns) {
    this.#rules = rules;
    if (hasTurns) this.#since ??= Date.now();
    clearTimeout(this.#timer);
    if (rules) this.#look();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** The session is another one. */
  reset() {
    this.#since = undefined;
    this.#isTold = this.#hasAsked = false;
  }

  /** @param {import("./messages.js").AgentTurnCause | undefined} cause of a turn that begins */
  began(cause) {
    this.#since = Date.now();
    this.#isTold = false;
    this.#hasAsked = cause === "silence";
  }

  #look() {
    this.#timer = setTimeout(() => this.#look(), LOOK_EVERY_MS);
    if (this.#since === undefined) return;
    if (!this.parts.isQuiet()) {
      this.#since = Date.now();
      this.#isTold = false;
      return;
    }
    const silentMs = Date.now() - this.#since;
    if (!this.#isTold && silentMs >= this.#limitMs) this.#isTold = this.parts.tell(silentMs);
  }

  get #limitMs() {
    const { ask_after_ms: askMs, end_after_ms: endMs } = this.#rules ?? {};
    return (this.#hasAsked ? endMs : (askMs ?? endMs)) ?? Infinity;
  }
}
