/**
 * Turns that do not end as they should: they cannot be said, the server does not run them, or
 * nobody waits for them any longer.
 */
import { Problem } from "./problem.js";
import { unfinished } from "./turn.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./turn.js").Turn} Turn */

/**
 * @typedef {object} BrokenTurnsParts
 * @property {import("./open-turns.js").OpenTurns} turns
 * @property {import("./outgoing.js").Outgoing} outgoing
 * @property {(message: import("./messages.js").Interrupt, keep: boolean) => void} post
 * @property {(problem: Problem) => void} onProblem
 */

export class BrokenTurns {
  /** @param {BrokenTurnsParts} parts */
  constructor(parts) {
    this.parts = parts;
  }

  /**
   * @param {Turn} turn that cannot be said
   * @param {unknown} cause
   */
  refuse(turn, cause) {
    const { turns, outgoing, post, onProblem } = this.parts;
    const problem =
      cause instanceof Problem ? cause : new Problem("internal", String(cause), { cause });
    problem.turnId ??= turn.id;
    const wasHeardOf = turns.has(turn.id) && outgoing.hasLeft(turn.id);
    this.forget(turn.id);
    if (wasHeardOf) post({ type: "interrupt", turn_id: turn.id, played_ms: 0 }, false);
    turn.fail(problem);
    onProblem(problem);
  }

  /**
   * @param {string} turnId that the server does not run
   * @param {Problem} problem
   */
  refused(turnId, problem) {
    const { turns, onProblem } = this.parts;
    const turn = turns.get(turnId);
    if (!turn) return;
    const messages = this.forget(turnId);
    if (turn.interrupted) {
      turn.cancel(); // who has stopped it need not know that it was one too many
      return;
    }
    if (problem.retryable) turns.failed = { turnId, attempt: turn.attempt, messages };
    const { code, message, retryable, retryAfterMs, limit } = problem;
    const more = { retryable, turnId, retryAfterMs, limit, cause: problem };
    const told = new Problem(code, message, more);
    turn.fail(told);
    onProblem(told);
  }

  /**
   * Nobody waits any longer: nothing more is tried.
   * @param {Problem | undefined} problem none if the connection was closed on purpose
   */
  abandon(problem) {
    for (const turn of this.parts.turns.all()) {
      if (turn.ended) continue;
      const why = unfinished(turn, problem);
      turn.fail(why);
      if (problem) this.parts.onProblem(why);
    }
  }

  /**
   * @param {string} turnId
   * @returns {ClientMessage[]} what was said in it
   */
  forget(turnId) {
    this.parts.turns.delete(turnId);
    return this.parts.outgoing.forget(turnId);
  }
}
