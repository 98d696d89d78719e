/** One request to the HTTP API: JSON there and back, and what goes wrong as a `Problem`. */
import { Problem } from "./problem.js";

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
 * @throws {Problem} `unreachable` if no answer came, the server's code, or `unauthorized`
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
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(timeoutMs),
    });
    answer = await response.text();
  } catch (cause) {
    throw unreachable(url, cause);
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
  if ((status === 401 || status === 403) && code !== "resume_denied") {
    const text = "The server does not let us in. The token may have expired, or be another's.";
    return new Problem("unauthorized", text);
  }
  const retryAfterMs = content?.["retry_after_ms"] ?? waitMs(headers.get("Retry-After"));
  if (isProblem) {
    const { retryable, turn_id: turnId, detail } = content;
    return new Problem(code, String(detail), {
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
 * @param {string | null} retryAfter the header: so many seconds, or a date (RFC 9110, 10.2.3)
 * @returns {number | undefined} ms, if it says anything that can be understood
 */
function waitMs(retryAfter) {
  if (!retryAfter) return undefined;
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1_000;
  const untilMs = Date.parse(retryAfter);
  return Number.isNaN(untilMs) ? undefined : Math.max(0, untilMs - Date.now());
}

/**
 * @param {string} url
 * @param {unknown} [cause]
 */
function unreachable(url, cause) {
  const text = `There is no answer from ${url}. Is the address right, and the server up?`;
  return new Problem("unreachable", text, { retryable: true, cause });
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
