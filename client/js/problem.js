/** What can go wrong, as an object: a code for the program, a sentence for the person. */
import { toldMs } from "./delay.js";

/** The server's codes for a session that cannot be gone on with. */
export const SESSION_GONE = ["session_not_found", "resume_denied"];

/**
 * What went wrong. `message` is a sentence for a person. Codes are the server's (docs/protocol.md) and
 * the client's own (docs/client-behaviour.md).
 */
export class Problem extends Error {
  /**
   * @internal
   * @param {string} code
   * @param {string} message a sentence
   * @param {object} [more]
   * @param {boolean} [more.retryable] whether the same thing, tried again, may work
   * @param {string} [more.turnId] the turn it happened to
   * @param {number} [more.closeCode] the WebSocket's, if it was closed
   * @param {number} [more.retryAfterMs] not before that; what is no time counts as nothing
   * @param {string} [more.field] of the message, that is wrong
   * @param {import("./messages.js").Limit} [more.limit] that was met
   * @param {string} [more.url] that gives no answer, as it may be told
   * @param {unknown} [more.cause]
   */
  constructor(code, message, more = {}) {
    super(message, { cause: more.cause });
    /** @internal */
    this.name = "Problem";
    /** One word for a program. */
    this.code = code;
    /** Whether the same thing, tried again, may work. */
    this.retryable = more.retryable ?? false;
    /** The turn it happened to. */
    this.turnId = more.turnId;
    /** The WebSocket's close code, if it was closed. */
    this.closeCode = more.closeCode;
    /** How long to wait before trying again. */
    this.retryAfterMs = toldMs(more.retryAfterMs);
    /** The field of the message that is wrong. */
    this.field = more.field;
    /** The limit that was met. */
    this.limit = more.limit;
    /** The address that gives no answer, without its secrets. */
    this.url = more.url;
  }

  /** @param {import("./messages.js").Error} event */
  static from(event) {
    const { code, message, retryable } = event;
    return new Problem(code, explained(message), {
      retryable,
      turnId: event.turn_id ?? undefined,
      retryAfterMs: event.retry_after_ms ?? undefined,
      field: event.field ?? undefined,
      limit: event.limit ?? undefined,
    });
  }
}

/**
 * What a server says of a refusal, or that it says nothing.
 * @param {unknown} text
 * @returns {string}
 */
export function explained(text) {
  return typeof text === "string" && text ? text : "The server refuses, and does not say why.";
}
