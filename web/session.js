/** Keeps the session while the tab is open, so that a reload goes on where it was. */

const KEY = "parley-session";

/** @typedef {{id: string, token: string}} Session */
/**
 * @typedef {object} Known what its server has said, which it does not say again over HTTP
 * @property {import("parley-client/messages.js").Choices} [choices]
 * @property {readonly string[]} [standIns]
 */

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
 * @param {string} url the session's server
 * @returns {Known} nothing of another server's
 */
export function knownOf(url) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (kept?.url !== url) return {};
    const { choices, standIns } = kept;
    return { choices, standIns: Array.isArray(standIns) ? standIns : [] };
  } catch {
    return {}; // as above
  }
}

/**
 * @param {string} url
 * @param {Session | undefined} session
 * @param {Known} [known]
 */
export function keepSession(url, session, known = {}) {
  try {
    if (session) sessionStorage.setItem(KEY, JSON.stringify({ url, ...session, ...known }));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is switched off: then a reload begins anew.
  }
}
