/** Whether there is a network, and whether somebody looks at the page. */

/**
 * @typedef {object} Presence Whether there is a network, and whether the page is visible.
 * @property {() => boolean} online False only when there surely is no network.
 * @property {() => boolean} visible Whether the page is visible.
 * @property {(listener: () => void) => () => void} watch Call a listener at every change;
 *   return a function that ends it.
 */

/**
 * The browser's own; anywhere else always online and visible.
 * @returns {Presence}
 */
export function browserPresence() {
  const { document, navigator } = globalThis;
  /** @typedef {EventTarget & {type?: string}} NetworkInformation */
  const { connection } = /** @type {{connection?: NetworkInformation}} */ (navigator ?? {});
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
      for (const [source, name] of sources) source.addEventListener(name, listener);
      // From one network to another; Chromium alone tells. It tells new estimates of a network's
      // speed alike, most of all of a bad one.
      let type = connection?.type;
      const onChange = () => {
        if (connection?.type === type) return;
        type = connection?.type;
        listener();
      };
      connection?.addEventListener("change", onChange);
      return () => {
        for (const [source, name] of sources) source.removeEventListener(name, listener);
        connection?.removeEventListener("change", onChange);
      };
    },
  };
}
