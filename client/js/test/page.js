/** The page's markup without its scripts, as the globals that its modules read. */
import { readFileSync } from "node:fs";

import { Window } from "happy-dom";

const HTML = readFileSync(new URL("../../../web/index.html", import.meta.url), "utf8");
const GLOBALS = [
  "document",
  "history",
  "location",
  "localStorage",
  "sessionStorage",
  "window",
  "HTMLButtonElement",
  "HTMLDialogElement",
  "HTMLElement",
  "HTMLFormElement",
  "HTMLInputElement",
  "HTMLMetaElement",
  "HTMLSelectElement",
];

/**
 * Open the page until the end of a test.
 * @param {import("node:test").TestContext} t
 * @param {string} [href]
 * @param {{url?: string, httpUrl?: string}} [own] the server that the markup names
 */
export function openPage(t, href = "https://talk.example/", { url = "", httpUrl = "" } = {}) {
  const window = new Window({ url: href });
  const html = HTML.replace('name="parley-url" content=""', `name="parley-url" content="${url}"`)
    .replace('name="parley-http-url" content=""', `name="parley-http-url" content="${httpUrl}"`)
    .replace(/<script.*<\/script>|<link.*>/g, "");
  window.document.write(html);
  const before = GLOBALS.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  for (const name of GLOBALS) {
    const value = /** @type {any} */ (window)[name];
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  t.after(async () => {
    for (const [name, descriptor] of /** @type {[string, PropertyDescriptor | undefined][]} */ (before)) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else delete (/** @type {any} */ (globalThis)[name]);
    }
    await window.happyDOM.close();
  });
  return window;
}
