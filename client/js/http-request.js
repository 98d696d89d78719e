/** One request to the HTTP API: JSON there and back, and what goes wrong as a `Problem`. */
import { explained, Problem } from "./problem.js";
import { answersAt, pagesOf } from "./refusal.js";
import { shownCause, shownUrl } from "./shown-url.js";

const PROBE_MS = 5_000;

/**
 * @typedef {object} Request
 * @property {object} [body] to post; without one it is got
 * @property {string} [token] for the server's authentication
 * @property {string} [resumeToken] the session's, where there is no body to say it
 * @property {number} timeoutMs
 */

/**
 * @param {string} url
 * @param {Request} request
 * @returns {Promise<Record<string, any>>} the answer
 * @throws {Problem} `unreachable` if no answer came, `redirected`, `unauthorized`, or the server's code
 */
export async function ask(url, { body, token, resumeToken, timeoutMs }) {
  let response;
  let answer;
  try {
    response = await fetch(url, {
      method: body ? "POST" : "GET",
      headers: {
        ...(body && { "Content-Type": "application/json" }),
        ...(resumeToken && { "X-Resume-Token": resumeToken }),
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: body && JSON.stringify(body),
      // The other server would have the token, and what is said.
      redirect: "error",
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(timeoutMs),
    });
    answer = await response.text();
  } catch (cause) {
    throw await whyUnanswered(url, cause);
  }
  const content = decoded(answer);
  if (!response.ok) throw refusal(url, response, content);
  // A proxy's own page, or another server's.
  if (!content) throw unreachable(url);
  return content;
}

/**
 * @param {string} url
 * @param {Response} response
 * @param {Record<string, any> | undefined} content a problem document, or API Gateway's own
 *   `{"message"}`
 */
function refusal(url, { status, headers }, content) {
  const isProblem = typeof content?.["code"] === "string";
  const code = isProblem ? content["code"] : undefined;
  if (status === 401) {
    const text = "The server does not let us in. The token may have expired, or be another's.";
    return new Problem("unauthorized", text);
  }
  if (status === 403 && code !== "resume_denied") {
    const why = pagesOf("It may not allow") || "It may not allow ";
    const text = `The server refuses (HTTP 403). ${why}this user, or what was asked. Another token may not help.`;
    return new Problem("unauthorized", text);
  }
  const retryAfterMs = content?.["retry_after_ms"] ?? waitMs(headers.get("Retry-After"));
  if (isProblem) {
    const { retryable, turn_id: turnId, detail } = content;
    return new Problem(code, explained(detail), {
      retryable: retryable === true,
      turnId,
      retryAfterMs,
      field: content["field"],
      limit: content["limit"],
    });
  }
  if (status === 429) {
    const text = "There are too many requests at the moment.";
    return new Problem("rate_limited", text, { retryable: true, retryAfterMs });
  }
  if (status >= 500) {
    const text = "The server had no answer in time, or failed.";
    return new Problem("internal", text, { retryable: true, retryAfterMs });
  }
  return unreachable(url);
}

/**
 * @param {string | null} retryAfter the header: a number of seconds, or a date (RFC 9110, 10.2.3)
 * @returns {number | undefined} ms, if it says anything that can be understood
 */
function waitMs(retryAfter) {
  if (!retryAfter) return undefined;
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1_000;
  const untilMs = Date.parse(retryAfter);
  return Number.isNaN(untilMs) ? undefined : Math.max(0, untilMs - Date.now());
}

/**
 * Why no answer came, as far as it can be found out: a browser tells a page the same of a dead server,
 * of a redirect and of an answer that the page may not read.
 * @param {string} url
 * @param {unknown} cause
 */
async function whyUnanswered(url, cause) {
  const { name, cause: reason } = /** @type {Partial<Error>} */ (Object(cause));
  const said = String(/** @type {Partial<Error>} */ (Object(reason)).message ?? "");
  if (/redirect/i.test(said)) return redirected(url, cause); // Node.js tells
  if (name === "TimeoutError" || !globalThis.location) return unreachable(url, cause);
  if (await redirectsAt(url)) return redirected(url, cause);
  if (!(await answersAt(url))) return unreachable(url, cause);
  const text =
    `${shownUrl(url)} answers, but the browser keeps the answer from this page. ` +
    `${pagesOf("The server may not allow") || "The server may not allow this page, "}` +
    "or it may redirect to another address, which is not followed.";
  return new Problem("unreachable", text, { retryable: true, cause: shownCause(cause, url) });
}

/**
 * Whether an address leads to another, if the page may know.
 * @param {string} url
 */
async function redirectsAt(url) {
  try {
    const { type } = await fetch(url, {
      method: "HEAD",
      redirect: "manual",
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(PROBE_MS),
    });
    return type === "opaqueredirect";
  } catch {
    return false;
  }
}

/**
 * @param {string} url
 * @param {unknown} cause
 */
function redirected(url, cause) {
  const text =
    `${shownUrl(url)} redirects to another address, which is not followed: the token and what is said would ` +
    "go there. Use that address itself.";
  return new Problem("redirected", text, { cause: shownCause(cause, url) });
}

/**
 * @param {string} url
 * @param {unknown} [cause]
 */
function unreachable(url, cause) {
  const shown = shownUrl(url);
  const text = `There is no answer from ${shown}. Is the address right, and the server up?`;
  const more = { retryable: true, url: shown, cause: shownCause(cause, url) };
  return new Problem("unreachable", text, more);
}

/**
 * @param {string} text
 * @returns {Record<string, any> | undefined}
 */
function decoded(text) {
  try {
    const content = JSON.parse(text);
    return typeof content === "object" && content !== null ? content : undefined;
  } catch {
    return undefined;
  }
}
