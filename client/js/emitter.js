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
