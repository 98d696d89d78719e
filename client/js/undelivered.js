/**
 * What API Gateway says in frames of its own: that a function failed, or that none could be had. It
 * does not say for which message. A turn whose function died is asked after by the request's id, and
 * the server ends it at once. What no function has taken is said again: what has arrived costs
 * nothing.
 */
import { startTimer } from "./delay.js";
import { Problem } from "./problem.js";

/** @typedef {import("./turn.js").Turn} Turn */
/** @typedef {import("./reconnector-types.js").GatewayFault} GatewayFault */

/**
 * @typedef {object} UndeliveredParts
 * @property {import("./open-turns.js").OpenTurns} turns
 * @property {import("./outgoing.js").Outgoing} outgoing
 * @property {(turnId: string) => boolean} wasAnswered whether the server has said anything of it
 * @property {(turn: Turn, requestId: string | undefined) => void} ask whether it still runs
 * @property {(turnId: string, problem: Problem) => void} refuse nobody will run it
 * @property {(problem: Problem) => void} onProblem
 */

/** How long a turn that nobody has answered waits, before it is said again. */
const AGAIN_AFTER_MS = [500, 1_000, 2_000, 4_000];
/** How often open turns are asked after in `ASKED_MS`: a question that fails is a fault as well. */
const MAX_ASKED = 8;
const ASKED_MS = 10_000;

export class Undelivered {
  /** How often each turn has been said again.
   * @type {WeakMap<Turn, number>} */
  #times = new WeakMap();
  /** Those that will be.
   * @type {WeakSet<Turn>} */
  #waiting = new WeakSet();
  /** How often open turns have been asked after lately. */
  #asked = 0;

  /**
   * @param {UndeliveredParts} parts
   * @param {readonly number[]} [againAfterMs]
   */
  constructor(parts, againAfterMs = AGAIN_AFTER_MS) {
    this.parts = parts;
    this.againAfterMs = againAfterMs;
  }

  /** @param {GatewayFault} fault */
  take({ message, requestId }) {
    const { turns, outgoing, onProblem } = this.parts;
    const text = `The server could not take a message (${message}). Try again.`;
    const problem = new Problem("internal", text, { retryable: true });
    // Of the agent's own turn, only that it was interrupted can be lost.
    const open = turns
      .all()
      .filter((turn) => (!turn.cause || turn.interrupted) && outgoing.hasLeft(turn.id));
    if (!open.length) onProblem(problem);
    if (requestId !== undefined) this.#ask(open, requestId);
    for (const turn of open) if (this.#isUnheard(turn)) this.#sayAgain(turn, problem);
  }

  /**
   * @param {Turn[]} open
   * @param {string} requestId
   */
  #ask(open, requestId) {
    const users = open.filter((turn) => !turn.cause);
    if (!users.length || this.#asked >= MAX_ASKED) return;
    this.#asked += 1;
    startTimer(() => (this.#asked -= 1), ASKED_MS);
    for (const turn of users) this.parts.ask(turn, requestId);
  }

  /**
   * @param {Turn} turn
   * @param {Problem} problem
   */
  #sayAgain(turn, problem) {
    if (this.#waiting.has(turn)) return;
    const times = this.#times.get(turn) ?? 0;
    const afterMs = this.againAfterMs[times];
    if (afterMs === undefined) {
      if (!this.parts.wasAnswered(turn.id)) this.parts.refuse(turn.id, problem);
      return;
    }
    this.#waiting.add(turn);
    startTimer(() => {
      this.#waiting.delete(turn);
      if (this.parts.turns.get(turn.id) !== turn || !this.#isUnheard(turn)) return;
      this.#times.set(turn, times + 1);
      this.parts.outgoing.sayAgain(turn.id);
    }, afterMs);
  }

  /**
   * Whether some message of it may still be of use to the server.
   * @param {Turn} turn
   */
  #isUnheard(turn) {
    const isUnderstood = turn.spoken ? turn.isUnderstood : this.parts.wasAnswered(turn.id);
    return !turn.ended && (!isUnderstood || turn.interrupted);
  }
}
