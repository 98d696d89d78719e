/**
 * The token that the page was opened with, for deployments that want one: behind `#token=`, which a
 * browser sends to no server. It is shown to the address that it came with and to no other.
 */

const KEY = "parley-token";

/**
 * Take it out of the address bar, and keep it while the tab is open.
 * @param {string} url the server that it is for
 */
export function takeToken(url) {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ url, token }));
  } catch {
    // Storage is switched off: then the page can show none.
  }
}

/**
 * @param {string} url the server that asks
 * @returns {string | undefined}
 */
export function tokenFor(url) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return kept?.url === url ? kept.token : undefined;
  } catch {
    return undefined;
  }
}
