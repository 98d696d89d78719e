/** Puts a turn's events in order, once each: what came early waits, what came twice goes. */

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */

export class TurnEvents {
  #next = 1;
  /** @type {Map<number, ServerEvent>} */
  #early = new Map();

  /** The last event that was delivered; 0 at first. */
  get seq() {
    return this.#next - 1;
  }

  /**
   * @param {ServerEvent & {seq: number}} event
   * @returns {ServerEvent[]} the events that are next now
   */
  take(event) {
    if (event.seq < this.#next || this.#early.has(event.seq)) return [];
    this.#early.set(event.seq, event);
    const ready = [];
    for (;;) {
      const following = this.#early.get(this.#next);
      if (!following) return ready;
      this.#early.delete(this.#next);
      this.#next += 1;
      ready.push(following);
    }
  }
}
