/** The turns of a conversation that have not ended, the newest of all, and what can be retried. */

/** @typedef {import("./turn.js").Turn} Turn */

export class OpenTurns {
  /** The newest, ended or not.
   * @type {Turn | undefined} */
  newest;
  /** What can be tried again, until something else is said.
   * @type {import("./utterances.js").Failed | undefined} */
  failed;
  /** @type {Map<string, Turn>} */
  #turns = new Map();

  /** @param {Turn} turn */
  begin(turn) {
    this.newest = turn;
    this.failed = undefined;
    this.#turns.set(turn.id, turn);
  }

  /** @param {string} turnId */
  get(turnId) {
    return this.#turns.get(turnId);
  }

  /** @param {string} turnId */
  has(turnId) {
    return this.#turns.has(turnId);
  }

  /** @param {string} turnId that has ended, or is given up */
  delete(turnId) {
    this.#turns.delete(turnId);
  }

  /** Oldest first. */
  all() {
    return [...this.#turns.values()];
  }

  get isEmpty() {
    return this.#turns.size === 0;
  }
}
