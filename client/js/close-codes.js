/**
 * What a WebSocket's close code means: come back, or stay away. `docs/client-behaviour.md` has the table.
 *
 * Codes are RFC 6455's (7.4) and IANA's registry. API Gateway closes with 1001 after ten idle
 * minutes and after two hours, with 1000 when a connection is deleted through `@connections`,
 * and with 1009 when a message is too large. A refused handshake (401, 403) is 1006 to a browser.
 */
import { Problem } from "./problem.js";

/** @type {Record<number, [code: string, sentence: string]>} */
const FINAL = {
  1000: ["closed_by_server", "The server has closed the connection."],
  1002: ["protocol_error", "The server does not speak this client's protocol."],
  1003: ["protocol_error", "The server does not take this kind of message."],
  1007: ["protocol_error", "The server could not read what was sent."],
  1008: ["forbidden", "The server does not allow this connection."],
  1009: ["too_large", "A message was larger than the server takes."],
  1010: ["protocol_error", "The server lacks an extension that this client asked for."],
  3000: ["unauthorized", "The server wants you to sign in."],
  3003: ["forbidden", "The server does not allow this connection."],
};

/**
 * The reason why a connection has ended.
 * @param {number} code
 * @returns {Problem} `retryable` says whether to connect again: everything but the table above
 *   and 4400 to 4499, an application's own "your fault"
 */
export function problemOfClose(code) {
  const final = FINAL[code];
  if (final) return new Problem(final[0], final[1], { closeCode: code });
  if (code >= 4400 && code < 4500) {
    const text = `The server has ended the connection (code ${code}).`;
    return new Problem("forbidden", text, { closeCode: code });
  }
  const text = "The connection was lost.";
  return new Problem("connection_lost", text, { retryable: true, closeCode: code });
}
