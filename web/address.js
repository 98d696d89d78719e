/**
 * Addresses of servers: read as the browser will, and whether they are the page's own. Which of
 * them the user has agreed to is `trust.js`'s.
 */

/**
 * @typedef {object} Address
 * @property {string} url of the WebSocket
 * @property {string | false} httpUrl where to go on if WebSockets are blocked
 */

const WEB_SOCKET = ["ws:", "wss:"];
const HTTP = ["http:", "https:"];

/**
 * @param {string} text
 * @returns {string | undefined} the address of a WebSocket, without a user name, a password and a
 *   fragment, which no WebSocket has any use for, and without a query: servers take a token from it
 */
export function readWebSocketUrl(text) {
  return read(text.trim().replace(/^http(?=s?:)/i, "ws"), WEB_SOCKET);
}

/** @param {string} text an address that the user has typed, perhaps with `?token=` */
export function tokenIn(text) {
  return (URL.canParse(text.trim()) && new URL(text.trim()).searchParams.get("token")) || "";
}

/**
 * @param {string} text
 * @returns {string | undefined} the address of an HTTP API, likewise
 */
export function readHttpUrl(text) {
  return read(text.trim(), HTTP);
}

/**
 * Never relative to the page: a WebSocket takes `//host`, too.
 * @param {string} text
 * @param {string[]} protocols
 */
function read(text, protocols) {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (!protocols.includes(url.protocol) || !url.hostname) return undefined;
  url.username = url.password = url.search = url.hash = "";
  return url.href;
}

/**
 * The API that belongs to the page: the one that its markup names, or else the one next to it, as
 * the local stack serves both.
 * @returns {Address}
 */
export function ownAddress() {
  const named = namedUrl();
  const secure = location.protocol === "https:";
  return {
    url: named ?? `${secure ? "wss" : "ws"}://${location.host}/dev`,
    httpUrl: readHttpUrl(markup("parley-http-url")) ?? false,
  };
}

/** The WebSocket's address that the page's markup names. */
function namedUrl() {
  return readWebSocketUrl(markup("parley-url"));
}

/**
 * What a link means by an address. There is one API at the origin that the page names as its own:
 * another path, or no HTTP address, would have the user be nobody there, and without a session.
 * @param {Address} asked
 * @returns {Address}
 */
export function meantBy({ url, httpUrl }) {
  const named = namedUrl();
  if (!named || originOf(url) !== originOf(named)) return { url, httpUrl };
  const own = ownAddress();
  const isOwnHttp = !httpUrl || (own.httpUrl && originOf(httpUrl) === originOf(own.httpUrl));
  return isOwnHttp ? own : { url: named, httpUrl };
}

/** @param {string} name */
function markup(name) {
  const found = document.querySelector(`meta[name="${name}"]`);
  return (found instanceof HTMLMetaElement && found.content) || "";
}

/**
 * Whether an address is the page's own. All of this machine belongs to a page that this machine
 * serves: the local stack has a port for each API.
 * @param {Address} address
 */
export function isOwn({ url, httpUrl }) {
  const own = ownAddress();
  const places = [url, httpUrl].filter((place) => place !== false);
  if (isThisMachine(location.href) && places.every(isThisMachine)) return true;
  const isOwnHttp = !httpUrl || (own.httpUrl && originOf(httpUrl) === originOf(own.httpUrl));
  return originOf(url) === originOf(own.url) && Boolean(isOwnHttp);
}

/** @param {string} url */
export function isThisMachine(url) {
  const { hostname } = new URL(url);
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

/**
 * Scheme, host and port: whom one talks to, and whether others can listen.
 * @param {string} url
 */
export function originOf(url) {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

/**
 * As a person is shown it: an international name as the ASCII that it stands for, so that none
 * looks like another.
 * @param {string} url
 */
export function hostOf(url) {
  return new URL(url).host;
}

/**
 * Whether others on the way can read what is said.
 * @param {string} url
 */
export function isInTheClear(url) {
  return /^(ws|http):/.test(url) && !isThisMachine(url);
}

/**
 * Who is trusted with a token or a session: both addresses together, or the author of a link could
 * have it shown to an HTTP address of theirs.
 * @param {Address} address
 */
export function serverAt({ url, httpUrl }) {
  return httpUrl ? `${url} ${httpUrl}` : url;
}
