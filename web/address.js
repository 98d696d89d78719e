/** Which WebSocket the page talks to: the query string's, the last one chosen, or its own host's. */

const KEY = "parley-url";

/** @returns {string} */
export function initialUrl() {
  const asked = new URLSearchParams(location.search).get("url");
  return asked ?? stored() ?? ownUrl();
}

/**
 * Where to go on over HTTP if WebSockets are blocked: the query string's, for the address that the
 * page was opened with and for no other.
 * @param {string} url
 * @returns {string | false}
 */
export function httpUrlFor(url) {
  const asked = new URLSearchParams(location.search).get("http");
  return asked && url === initialUrl() ? asked : false;
}

/**
 * Who is trusted with a token or a session: both addresses together, or whoever makes a link could
 * have it shown to an HTTP address of theirs.
 * @param {string} url
 */
export function serverAt(url) {
  const httpUrl = httpUrlFor(url);
  return httpUrl ? `${url} ${httpUrl}` : url;
}

/**
 * For the next visit.
 * @param {string} url that the user has chosen: a link must not decide about later visits
 */
export function remember(url) {
  try {
    if (url === ownUrl()) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, url);
  } catch {
    // Storage is switched off: then it is not remembered.
  }
}

/** The API beside the page: the local stack serves both. */
export function ownUrl() {
  const secure = location.protocol === "https:";
  return `${secure ? "wss" : "ws"}://${location.host || "localhost:3001"}/dev`;
}

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
