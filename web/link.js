/**
 * What the page's own address asks for: `?url=` and `?http=` a server, `#token=` a token for it.
 * The author of a link decides that, so nothing of it is done before it is looked at.
 */
import { meantBy, ownAddress, readHttpUrl, readWebSocketUrl } from "./address.js";

/**
 * @typedef {object} Link
 * @property {import("./address.js").Address} [address] none if what it names is not one
 * @property {string} token
 */

/**
 * Without `url=` the page's own server is meant: its author knows of no other.
 * @returns {Link | undefined} none if the address asks for nothing
 */
export function readLink() {
  const query = new URLSearchParams(location.search);
  const [asked, askedHttp] = [query.get("url"), query.get("http")];
  const token = tokenOfFragment();
  if (!asked && !askedHttp && !token) return undefined;
  const own = ownAddress();
  const url = asked ? readWebSocketUrl(asked) : own.url;
  const httpUrl = askedHttp ? readHttpUrl(askedHttp) : !asked && own.httpUrl;
  return { address: url && httpUrl !== undefined ? meantBy({ url, httpUrl }) : undefined, token };
}

/** Whether the page's address holds a token that nobody has looked at yet. */
export function hasToken() {
  return tokenOfFragment() !== "";
}

function tokenOfFragment() {
  return new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
}

/** Take the token out of the address bar, and out of the history. */
export function dropToken() {
  history.replaceState(null, "", location.pathname + location.search);
}

/** Take everything out, so that a reload does not ask again. */
export function dropLink() {
  history.replaceState(null, "", location.pathname);
}
