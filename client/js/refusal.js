/**
 * Tells a server that opens no WebSocket from one that is not there, where no HTTP API is known that
 * could be asked why. More than that a browser does not let a page find out.
 */
import { Problem } from "./problem.js";

const PROBE_MS = 5_000;
/** How many handshakes in a row fail before the server is asked: tokens expire, servers restart. */
const FAILURES = 3;

/** Counts failed handshakes. A browser says no more of a refused one than of a dead server. */
export class Refusals {
  #count = 0;

  /** A handshake succeeded. */
  reset() {
    this.#count = 0;
  }

  /**
   * What a handshake has failed for.
   * @param {Problem} problem as the WebSocket has it
   * @param {string} url
   * @param {boolean} hadToken
   * @returns {Promise<Problem>} `handshake_refused` from the third in a row on, if somebody answers
   *   there: worth trying again, for the reason may be one that passes (429, 5xx)
   */
  async explained(problem, url, hadToken) {
    if (problem.code !== "unreachable") return problem;
    this.#count += 1;
    if (this.#count < FAILURES || !(await answersAt(url))) return problem;
    const token = hadToken ? "The token may have expired or not be good there" : "It may want a token";
    const origin = pagesOf("It may not allow").replace(/, $/, ". ");
    const text =
      `The server answers, but opens no connection. ${origin}${token}, too many connections may be ` +
      "open, the server may be overloaded, the address may have another path, or this network may " +
      "block WebSockets.";
    return new Problem("handshake_refused", text, { retryable: true, cause: problem });
  }
}

/**
 * The page's origin, which is what a server allows or not; programs have none.
 * @param {string} does what the server does with it
 */
export function pagesOf(does) {
  const { origin } = globalThis.location ?? {};
  return origin ? `${does} pages of ${origin} (AllowedOrigins), ` : "";
}

/**
 * Whether anybody answers HTTP at an address. What, a page may not see, nor need it: API Gateway
 * answers without invoking a function.
 * @param {string} url
 */
export async function answersAt(url) {
  try {
    const address = new URL(url.replace(/^ws/, "http"));
    address.search = "";
    await fetch(address, {
      method: "HEAD",
      mode: "no-cors",
      // Browsers send no such request with another mode ("Main fetch", Fetch standard). It holds
      // neither a token nor a word, and nothing of the answer is read.
      redirect: "follow",
      referrerPolicy: "no-referrer",
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(PROBE_MS),
    });
    return true;
  } catch {
    return false;
  }
}
