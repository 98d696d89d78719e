/** Addresses as they may be told: what they hold of names, passwords and tokens ends up in logs. */

/**
 * An address without its user, query and fragment.
 * @param {string} url
 * @returns {string} what no reader of addresses understands is cut before anything that may be secret
 */
export function shownUrl(url) {
  const [start = ""] = url.split(/[?#]/, 1);
  const parsed = parsedUrl(url);
  if (parsed?.host) {
    const { protocol, host, pathname } = parsed;
    const path = pathname === "/" && !start.endsWith("/") ? "" : pathname;
    return `${protocol}//${host}${path}`;
  }
  if (!url.includes("@")) return start;
  const [scheme = ""] = /^\w+:(?=[\\/]{2})/.exec(url) ?? [];
  return scheme ? `${scheme}//…` : "…";
}

/**
 * What was thrown about an address, unless it may repeat it: browsers and Node.js quote what they refuse.
 * @param {unknown} cause
 * @param {string} url
 */
export function shownCause(cause, url) {
  return shownUrl(url) === url ? cause : undefined;
}

/** @param {string} url */
function parsedUrl(url) {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}
