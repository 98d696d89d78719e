/**
 * The tokens that the page was opened with, for deployments that want one. Each is kept while the
 * tab is open, and shown to the address that it came with and to no other.
 */
import { originOf, serverAt } from "./address.js";

/** @typedef {import("./address.js").Address} Address */

const KEY = "parley-tokens";

/**
 * @param {Address} address that it came with
 * @param {string} token
 */
export function keepToken(address, token) {
  try {
    const others = kept().filter(({ server }) => server !== serverAt(address));
    const all = [...others, { server: serverAt(address), token }];
    sessionStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    // Storage is switched off: then the page can show none.
  }
}

/**
 * @param {Address} address that asks
 * @returns {string | undefined}
 */
export function tokenFor(address) {
  return kept().find(({ server }) => server === serverAt(address))?.token;
}

/**
 * Whether the user is somebody else there already.
 * @param {Address} address with any HTTP address, and any path
 * @param {string} token
 */
export function hasAnotherToken({ url }, token) {
  return kept().some(
    (known) => originOf(known.server.split(" ")[0] ?? "") === originOf(url) && known.token !== token,
  );
}

/** @returns {{server: string, token: string}[]} */
function kept() {
  try {
    const all = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(all) ? all.filter(isToken) : [];
  } catch {
    return []; // storage is switched off, or has something else in it
  }
}

/** @param {any} item */
function isToken(item) {
  return typeof item?.token === "string" && URL.canParse(String(item.server).split(" ")[0] ?? "");
}
