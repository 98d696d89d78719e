/**
 * Puts the events of turns in order, once each: what came early waits, what came twice goes, and
 * what belongs to an attempt that was given up does not count.
 */

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").Error} ErrorEvent */
/** @typedef {Extract<ServerEvent, {turn_id: string, seq: number}> |
 *   (ErrorEvent & {turn_id: string, seq: number})} TurnEvent */
/** @typedef {import("./messages.js").Received} Received */

/** An event that comes again long after its turn is not taken for a new one. */
const TURNS_KEPT = 100;

/** One attempt at one turn. */
export class EventOrder {
  #next = 1;
  /** @type {Map<number, TurnEvent>} */
  #early = new Map();
  #explained = false;

  /** @param {number} [attempt] */
  constructor(attempt = 1) {
    this.attempt = attempt;
    this.ended = false;
  }

  /** The last event that was delivered; 0 at first. */
  get seq() {
    return this.#next - 1;
  }

  /** Whether an event has come before the one it follows. */
  get hasGap() {
    return !this.ended && this.#early.size > 0;
  }

  /**
   * @param {TurnEvent} event
   * @returns {TurnEvent[]} the events that are next now
   */
  take(event) {
    if (this.ended) return [];
    if (event.seq === 0) return this.#epilogue(event);
    if (event.seq < this.#next || this.#early.has(event.seq)) return [];
    this.#early.set(event.seq, event);
    const ready = [];
    for (;;) {
      const following = this.#early.get(this.#next);
      if (!following) return ready;
      this.#early.delete(this.#next);
      this.#next += 1;
      ready.push(following);
      if (following.type === "turn_end") return this.#end(ready);
    }
  }

  /**
   * Why the attempt broke off, and that it did: a turn whose function has died is ended by another
   * one, which has not counted its events.
   * @param {TurnEvent} event
   */
  #epilogue(event) {
    if (event.type === "turn_end") return this.#end([event]);
    if (event.type !== "error" || this.#explained) return [];
    this.#explained = true;
    return [event];
  }

  /** @param {TurnEvent[]} last */
  #end(last) {
    this.ended = true;
    this.#early.clear();
    return last;
  }
}

/** All the turns of a conversation. */
export class TurnEvents {
  /** In the order in which they began.
   * @type {Map<string, EventOrder>} */
  #orders = new Map();

  /**
   * A turn begins, or begins again.
   * @param {string} turnId
   * @param {number} attempt from 1
   */
  begin(turnId, attempt) {
    this.#orders.delete(turnId);
    this.#orders.set(turnId, new EventOrder(attempt));
    for (const oldest of this.#orders.keys()) {
      if (this.#orders.size <= TURNS_KEPT) break;
      this.#orders.delete(oldest);
    }
  }

  /**
   * @param {TurnEvent} event
   * @returns {{events: TurnEvent[], isLate: boolean}} what is next now; late is what belongs to a
   *   turn that has ended already: it is to be acknowledged again
   */
  take(event) {
    const attempt = event.attempt ?? 1;
    const known = this.#orders.get(event.turn_id);
    if (!known || attempt > known.attempt) this.begin(event.turn_id, attempt);
    const order = this.#orders.get(event.turn_id);
    if (!order || attempt < order.attempt) return { events: [], isLate: false };
    const isLate = order.ended;
    return { events: order.take(event), isLate };
  }

  /** @param {string} turnId of which nothing more will come */
  forget(turnId) {
    this.#orders.delete(turnId);
  }

  /**
   * The last event of a turn that has been delivered.
   * @param {string} turnId
   */
  seq(turnId) {
    return this.#orders.get(turnId)?.seq ?? 0;
  }

  /** Whether something is missing. */
  get hasGap() {
    return [...this.#orders.values()].some((order) => order.hasGap);
  }

  /** How far the oldest turn that has not ended has come, or the newest if all have.
   * @returns {Received | undefined} */
  get received() {
    const turns = [...this.#orders];
    const named = turns.find(([, order]) => !order.ended) ?? turns.at(-1);
    if (!named) return undefined;
    const [turn_id, { seq, attempt }] = named;
    return { turn_id, seq, ...about(attempt) };
  }
}

/**
 * What a message about an attempt says of it: nothing of the first.
 * @param {number} attempt
 */
export function about(attempt) {
  return attempt > 1 ? { attempt } : {};
}
