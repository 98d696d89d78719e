/** What can go wrong, as an object: a code for the program, a sentence for the person. */

/**
 * Codes of the server (docs/protocol.md) and the client's own: `bad_url`, `unreachable`,
 * `connection_lost`, `not_connected`, `microphone_denied`, `microphone_missing`,
 * `microphone_failed`, `player_failed`.
 */
export class Problem extends Error {
  /**
   * @param {string} code
   * @param {string} message a sentence
   * @param {{retryable?: boolean, turnId?: string, cause?: unknown}} [more]
   *   retryable: whether the same thing, tried again, may work
   */
  constructor(code, message, more = {}) {
    super(message, { cause: more.cause });
    this.name = "Problem";
    this.code = code;
    this.retryable = more.retryable ?? false;
    this.turnId = more.turnId;
  }

  /** @param {import("./messages.js").Error} event */
  static from(event) {
    const { code, message, retryable } = event;
    return new Problem(code, message, { retryable, turnId: event.turn_id ?? undefined });
  }
}
