/** Tells a server that does not let us in from one that is not there. */
import { Problem } from "./problem.js";

const PROBE_MS = 5_000;
/** So many handshakes in a row fail before it is asked why: tokens expire, servers restart. */
const FAILURES = 3;

/** Counts failed handshakes. A browser says no more of a refused one than of a dead server. */
export class Refusals {
  #count = 0;

  /** A handshake succeeded. */
  reset() {
    this.#count = 0;
  }

  /**
   * What a handshake with a token has failed for.
   * @param {Problem} problem as the WebSocket has it
   * @param {string} url
   * @returns {Promise<Problem>} `unauthorized` for the third in a row, if somebody answers there
   */
  async explained(problem, url) {
    if (problem.code !== "unreachable") return problem;
    this.#count += 1;
    if (this.#count < FAILURES || !(await answersAt(url))) return problem;
    const text = "The server does not let us in. The token may have expired, or be another's.";
    return new Problem("unauthorized", text, { cause: problem });
  }
}

/**
 * Whether anybody answers HTTP at a WebSocket's address. What, a page may not see, nor need it:
 * API Gateway answers without invoking a function.
 * @param {string} url
 */
async function answersAt(url) {
  try {
    const address = new URL(url.replace(/^ws/, "http"));
    address.search = "";
    await fetch(address, {
      method: "HEAD",
      mode: "no-cors",
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(PROBE_MS),
    });
    return true;
  } catch {
    return false;
  }
}
