/** What can go wrong, as an object: a code for the program, a sentence for the person. */

/** The server's codes for a session that cannot be gone on with. */
export const SESSION_GONE = ["session_not_found", "resume_denied"];

/**
 * Codes are the server's (docs/protocol.md) and the client's own (docs/client.md).
 */
export class Problem extends Error {
  /**
   * @param {string} code
   * @param {string} message a sentence
   * @param {object} [more]
   * @param {boolean} [more.retryable] whether the same thing, tried again, may work
   * @param {string} [more.turnId] the turn it happened to
   * @param {number} [more.closeCode] the WebSocket's, if it was closed
   * @param {number} [more.retryAfterMs] not before that
   * @param {string} [more.field] of the message, that is wrong
   * @param {import("./messages.js").Limit} [more.limit] that was met
   * @param {unknown} [more.cause]
   */
  constructor(code, message, more = {}) {
    super(message, { cause: more.cause });
    this.name = "Problem";
    this.code = code;
    this.retryable = more.retryable ?? false;
    this.turnId = more.turnId;
    this.closeCode = more.closeCode;
    this.retryAfterMs = more.retryAfterMs;
    this.field = more.field;
    this.limit = more.limit;
  }

  /** @param {import("./messages.js").Error} event */
  static from(event) {
    const { code, message, retryable } = event;
    return new Problem(code, textOf(message), {
      retryable,
      turnId: event.turn_id ?? undefined,
      retryAfterMs: event.retry_after_ms ?? undefined,
      field: event.field ?? undefined,
      limit: event.limit ?? undefined,
    });
  }
}

/**
 * @param {unknown} said what a server gives as the text of a problem
 * @returns {string} a sentence, whatever that is
 */
export function textOf(said) {
  if (typeof said === "string" && said.trim()) return said;
  return "Something went wrong at the server. It did not say what.";
}
