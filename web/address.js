/** Which WebSocket the page talks to: the query string's, the last one, or its own host's. */

const KEY = "parley-url";

/** @returns {string} */
export function initialUrl() {
  const asked = new URLSearchParams(location.search).get("url");
  return asked ?? stored() ?? ownUrl();
}

/**
 * For the next visit.
 * @param {string} url
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
