/** Which addresses the user has agreed to: by typing them, or by saying yes to a link. */
import { isOwn, originOf, ownAddress, readWebSocketUrl } from "./address.js";

/** @typedef {import("./address.js").Address} Address */

/** The one that the page connects to when nothing else is asked for. */
const LAST = "parley-url";
const CHOSEN = "parley-chosen";
const KEPT = 50;

/**
 * Whether the page may connect without asking.
 * @param {Address} address
 */
export function isTrusted(address) {
  return isOwn(address) || chosen().includes(place(address)) || isLast(address);
}

/** @param {Address} address that the user has agreed to */
export function trust(address) {
  const places = [place({ ...address, httpUrl: false }), place(address)];
  const others = chosen().filter((known) => !places.includes(known));
  write(CHOSEN, JSON.stringify([...new Set([...others, ...places])].slice(-KEPT)));
}

/**
 * Where to connect without a link.
 * @returns {Address}
 */
export function usualAddress() {
  const last = readWebSocketUrl(read(LAST));
  return last ? { url: last, httpUrl: false } : ownAddress();
}

/**
 * For the next visit.
 * @param {string} url that the user has typed: a link must not decide about later visits
 */
export function remember(url) {
  write(LAST, url === ownAddress().url ? "" : url);
}

/** @param {Address} address */
function isLast({ url, httpUrl }) {
  const last = readWebSocketUrl(read(LAST));
  return !httpUrl && last !== undefined && originOf(last) === originOf(url);
}

/**
 * An HTTP address is agreed to for one WebSocket's alone: it is shown that one's sessions.
 * @param {Address} address
 */
function place({ url, httpUrl }) {
  return [url, httpUrl].map((each) => (each ? originOf(each) : "")).join(" ").trim();
}

/** @returns {string[]} */
function chosen() {
  try {
    const kept = JSON.parse(read(CHOSEN) || "[]");
    return Array.isArray(kept) ? kept.filter((item) => typeof item === "string") : [];
  } catch {
    return []; // something else is in it
  }
}

/** @param {string} key */
function read(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return ""; // storage is switched off: then every link is asked for
  }
}

/**
 * @param {string} key
 * @param {string} value nothing to remove it
 */
function write(key, value) {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // Storage is switched off: then it is not remembered.
  }
}
