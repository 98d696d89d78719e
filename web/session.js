/** Keeps the session while the tab is open, so that a reload goes on where it was. */

const KEY = "parley-session";

/** @typedef {{id: string, token: string}} Session */

/**
 * @param {string} url the session's server
 * @returns {Session | undefined}
 */
export function keptSession(url) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return kept?.url === url ? { id: kept.id, token: kept.token } : undefined;
  } catch {
    return undefined; // storage is switched off, or has something else in it
  }
}

/**
 * @param {string} url
 * @param {Session | undefined} session
 */
export function keepSession(url, session) {
  try {
    if (session) sessionStorage.setItem(KEY, JSON.stringify({ url, ...session }));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is switched off: then a reload begins anew.
  }
}
