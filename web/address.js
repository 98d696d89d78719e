/** Which WebSocket the page talks to: the query string's, the last one, or its own host's. */

const KEY = "parley-url";

/** @returns {string} */
export function initialUrl() {
  const asked = new URLSearchParams(location.search).get("url");
  return asked ?? localStorage.getItem(KEY) ?? ownUrl();
}

/** @param {string} url */
export function remember(url) {
  if (url === ownUrl()) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, url);
}

function ownUrl() {
  const secure = location.protocol === "https:";
  return `${secure ? "wss" : "ws"}://${location.host || "localhost:3001"}/dev`;
}
