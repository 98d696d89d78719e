/**
 * Turns that the agent begins: a greeting, what a backend has it say, whether the user is still
 * there. Each becomes a turn like the user's. It interrupts what is running, as it does on the
 * server, unless the user said something at the same time: then the server tells which of the two
 * is the newer one, by ending the other, and until then the agent's makes no sound.
 */
import { Turn } from "./turn.js";

/** @typedef {import("./messages.js").Audio} Audio */
/** @typedef {{turn: Turn, audio: Audio[]}} Held */

/**
 * @typedef {object} AgentTurnsParts
 * @property {import("./open-turns.js").OpenTurns} turns
 * @property {(turnId: string) => boolean} wasAnswered whether the server has said anything of it
 * @property {() => void} interrupt what is running
 * @property {(turn: Turn) => void} begin
 * @property {(event: Audio) => void} play
 * @property {(turnId: string) => void} finish nothing more will be played of it
 */

export class AgentTurns {
  /** Whose sound is held back, by the user's turn that is waited for.
   * @type {Map<string, Held>} */
  #held = new Map();

  /** @param {AgentTurnsParts} parts */
  constructor(parts) {
    this.parts = parts;
  }

  /** @param {import("./messages.js").AgentTurn} event the first of a turn, or of an attempt at it */
  began({ turn_id, cause, attempt = 1 }) {
    const { turns, wasAnswered, interrupt, begin } = this.parts;
    const turn = turns.get(turn_id) ?? new Turn(turn_id, { spoken: false, attempt, cause });
    if (turn.attempt < attempt) turn.startAgain(attempt);
    const { newest } = turns;
    const isUsers = newest && !newest.cause && !newest.interrupted && turns.has(newest.id);
    const mayBeOlder = isUsers && !wasAnswered(newest.id);
    if (mayBeOlder) this.#held.set(newest.id, { turn, audio: [] });
    else if (newest?.id !== turn_id) interrupt();
    begin(turn);
    if (mayBeOlder) turns.newest = newest;
  }

  /**
   * @param {Audio} event
   * @returns {boolean} whether its sound waits
   */
  hold(event) {
    const [userTurnId, held] = this.#holding(event.turn_id) ?? [];
    if (!held || !userTurnId) return false;
    held.audio.push(event);
    // It was refused: no end of it will come.
    if (!this.parts.turns.has(userTurnId)) this.#release(userTurnId, held);
    return true;
  }

  /**
   * @param {import("./messages.js").TurnEnd} end
   * @param {boolean} wasWanted whether nobody here had interrupted it
   */
  ended({ turn_id: turnId, reason }, wasWanted) {
    const held = this.#held.get(turnId);
    if (held && reason === "interrupted" && wasWanted) this.#release(turnId, held);
    this.#held.delete(turnId);
  }

  /**
   * @param {string} userTurnId that was the older one
   * @param {Held} held
   */
  #release(userTurnId, { turn, audio }) {
    const { turns, play, finish } = this.parts;
    this.#held.delete(userTurnId);
    if (turns.newest?.id === userTurnId) turns.newest = turn;
    for (const event of audio) play(event);
    if (turn.ended) finish(turn.id);
  }

  /** @param {string} turnId */
  #holding(turnId) {
    return [...this.#held].find(([, { turn }]) => turn.id === turnId);
  }
}
