/** Whether there is a network, and whether somebody looks at the page. */

/**
 * @typedef {object} Presence
 * @property {() => boolean} online false only when there surely is no network
 * @property {() => boolean} visible
 * @property {(listener: () => void) => () => void} watch calls at every change; gives a function
 *   that ends it
 */

/**
 * The browser's own; anywhere else always online and visible.
 * @returns {Presence}
 */
export function browserPresence() {
  const { document, navigator } = globalThis;
  const connection = /** @type {{connection?: EventTarget} | undefined} */ (navigator)?.connection;
  return {
    online: () => navigator?.onLine !== false,
    visible: () => document?.visibilityState !== "hidden",
    watch(listener) {
      if (!document) return () => undefined;
      /** @type {[EventTarget, string][]} */
      const sources = [
        [globalThis, "online"],
        [globalThis, "offline"],
        [document, "visibilitychange"],
      ];
      // From one network to another; Chromium alone tells.
      if (connection) sources.push([connection, "change"]);
      for (const [source, name] of sources) source.addEventListener(name, listener);
      return () => {
        for (const [source, name] of sources) source.removeEventListener(name, listener);
      };
    },
  };
}
