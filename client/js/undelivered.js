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

export class Undelivered {
  /** How often each turn has been said again.
   * @type {WeakMap<Turn, number>} */
  #times = new WeakMap();
  /** Those that will be.
   * @type {WeakSet<Turn>} */
  #waiting = new WeakSet();

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
    const { turns, outgoing, ask, onProblem } = this.parts;
    const problem = new Problem("internal", message, { retryable: true });
    const open = turns.all().filter((turn) => !turn.cause && outgoing.hasLeft(turn.id));
    if (!open.length) onProblem(problem);
    for (const turn of open) {
      if (requestId !== undefined) ask(turn, requestId);
      if (this.#isUnheard(turn)) this.#sayAgain(turn, problem);
    }
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
