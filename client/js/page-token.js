/** The token that a page's own back end gives to whoever is signed in there. */
import { Problem } from "./problem.js";

/**
 * Ask an address for a token, with the page's cookies: text, or JSON with the field `token`.
 * @param {string} url
 * @returns {Promise<string>}
 * @throws {Problem} `unauthorized` for 401 and 403; otherwise `not_connected`, which may be tried again
 */
export async function tokenFrom(url) {
  const answer = await asked(url);
  if (answer.status === 401 || answer.status === 403) {
    throw new Problem("unauthorized", `${url} gives no token (${answer.status}): sign in.`);
  }
  if (!answer.ok) throw missing(url, `it answers ${answer.status}`);
  const token = tokenIn(await answer.text());
  if (!token) throw missing(url, "its answer holds none: expected text, or JSON with `token`");
  return token;
}

/** @param {string} url */
async function asked(url) {
  try {
    return await fetch(url, { credentials: "include", cache: "no-store" });
  } catch (cause) {
    throw missing(url, "it does not answer, or not to this page", cause);
  }
}

/** @param {string} body */
function tokenIn(body) {
  if (!body.trimStart().startsWith("{")) return body.trim();
  try {
    const { token } = JSON.parse(body);
    return typeof token === "string" ? token : "";
  } catch {
    return "";
  }
}

/**
 * @param {string} url
 * @param {string} why
 * @param {unknown} [cause]
 */
function missing(url, why, cause) {
  return new Problem("not_connected", `No token from ${url}: ${why}.`, { retryable: true, cause });
}
