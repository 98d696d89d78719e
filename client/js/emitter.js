/** An EventTarget whose events carry a typed detail; the base of what others listen to. */

/** @template {object} Events the detail of each event, by its name */
export class Emitter extends EventTarget {
  /**
   * Listen, with the detail at hand. `addEventListener` works as well.
   * @template {keyof Events & string} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    /** @param {Event} event */
    const heard = (event) => listener(/** @type {CustomEvent<Events[Name]>} */ (event).detail);
    this.addEventListener(name, heard);
    return () => this.removeEventListener(name, heard);
  }

  /**
   * @template {keyof Events & string} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * Settles when one of these events has come, or the time is up.
 * @template {object} Events
 * @param {Emitter<Events>} emitter
 * @param {(keyof Events & string)[]} names
 * @param {number} withinMs
 * @returns {Promise<void>}
 */
export function oneOf(emitter, names, withinMs) {
  return new Promise((resolve) => {
    const stops = names.map((name) => emitter.on(name, done));
    const timer = setTimeout(done, withinMs);
    function done() {
      clearTimeout(timer);
      for (const stop of stops) stop();
      resolve();
    }
  });
}
