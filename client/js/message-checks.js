/** What may be said: text that every reader of the protocol understands alike. The Python client says
 * the same sentences. */
import { Problem } from "./problem.js";

/** Half of a surrogate pair: a string in JavaScript, but no text that UTF-8 has. */
const HALF_CHARACTER = /\p{Surrogate}/u;

/**
 * Refuse text that cannot be sent. The server refuses what holds it, and names a place in the JSON.
 * @param {unknown} value all of whose texts, and names of them, are looked at
 * @param {string} what it is
 * @param {string} [turnId]
 * @throws {Problem} `bad_request`
 */
export function checkWellFormed(value, what, turnId) {
  if (!hasHalfCharacter(value)) return;
  const text = `There is half a character (a lone surrogate) in the ${what}.`;
  throw new Problem("bad_request", text, { turnId });
}

/**
 * Refuse a typed turn that cannot be said.
 * @param {unknown} text
 * @param {number} maxChars
 * @param {"said" | "told"} [how] what becomes of it
 * @throws {Problem} `bad_request`, `too_large`
 */
export function checkText(text, maxChars, how = "said") {
  if (typeof text !== "string") {
    throw new Problem("bad_request", `What is ${how} must be a string, not ${typeof text}.`);
  }
  const act = how === "said" ? "say" : "tell";
  if (!text.trim()) throw new Problem("bad_request", `There is nothing to ${act}: the text is empty.`);
  // As the server counts: characters, not the UTF-16 units of `length`.
  const chars = Array.from(text).length;
  if (chars > maxChars) {
    const has = `The text has ${grouped(chars)} characters`;
    throw new Problem("too_large", `${has}; at most ${grouped(maxChars)} can be ${how} at once.`);
  }
  checkWellFormed(text, "text");
}

/**
 * Refuse a message that API Gateway would close the connection for.
 * @param {number} bytes
 * @param {number} maxBytes
 * @param {string} what it holds
 * @param {string} [turnId]
 * @throws {Problem} `too_large`
 */
export function checkBytes(bytes, maxBytes, what, turnId) {
  if (bytes <= maxBytes) return;
  const makes = `The ${what} ${what.endsWith("s") ? "make" : "makes"} a message of ${grouped(bytes)} bytes`;
  throw new Problem("too_large", `${makes}; at most ${grouped(maxBytes)} can be sent.`, { turnId });
}

/** @param {unknown} value @returns {boolean} */
function hasHalfCharacter(value) {
  if (typeof value === "string") return HALF_CHARACTER.test(value);
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some((entry) => entry.some(hasHalfCharacter));
}

/** @param {number} count */
function grouped(count) {
  return count.toLocaleString("en");
}
