/**
 * Stops what is being said, by either side: the reply falls silent first, and then the server is
 * told how much of it was heard.
 */

/** @typedef {import("./turn.js").Turn} Turn */

/**
 * @typedef {object} InterruptionParts
 * @property {import("./open-turns.js").OpenTurns} turns
 * @property {import("./conversation-types.js").AudioOutput} [player]
 * @property {() => boolean} isUp whether there is a connection, or will be again
 * @property {(turnId: string) => boolean} hasLeft whether the server may have heard of the turn
 * @property {(turnId: string) => void} takeBack what is being said in it
 * @property {(turnId: string) => void} forget
 * @property {(message: import("./messages.js").Interrupt, keep: boolean) => void} post
 * @property {(turnId: string, playedMs: number) => void} onInterrupted
 */

export class Interruption {
  /** The one that is under way.
   * @type {Promise<void> | undefined} */
  #stopping;

  /** @param {InterruptionParts} parts */
  constructor(parts) {
    this.parts = parts;
  }

  /** Whether there is anything to stop. */
  get isPossible() {
    const { turns, player, isUp } = this.parts;
    const turn = turns.newest;
    if (!turn || turn.interrupted) return false;
    return (isUp() && turns.has(turn.id)) || (player?.isPlaying(turn.id) ?? false);
  }

  /** Without anything to stop, nothing happens. */
  interrupt() {
    return this.#interrupt();
  }

  /**
   * Interrupt until there is silence.
   * @param {string} [untold] the turn whose interruption the server is not told of: one that is
   *   about to be tried again, for it would take it for the next attempt's, or one whose session is
   *   given up
   */
  async silence(untold) {
    // A turn that began meanwhile is interrupted too.
    do await this.#interrupt(untold);
    while (this.isPossible);
  }

  /** @param {string} [untold] */
  #interrupt(untold) {
    const turn = this.parts.turns.newest;
    if (turn && this.isPossible) {
      this.#stopping = this.#stop(turn, untold).finally(() => (this.#stopping = undefined));
    }
    return this.#stopping ?? Promise.resolve();
  }

  /**
   * @param {Turn} turn
   * @param {string} [untold]
   */
  async #stop(turn, untold) {
    const { turns, player, hasLeft, takeBack, forget, post, onInterrupted } = this.parts;
    turn.interrupted = true;
    takeBack(turn.id);
    const playedMs = (await player?.stop(turn.id)) ?? 0;
    const isRunning = turns.has(turn.id);
    if (isRunning && !hasLeft(turn.id)) {
      forget(turn.id);
      turn.cancel();
    } else if (turn.id !== untold) {
      post({ type: "interrupt", turn_id: turn.id, played_ms: playedMs }, isRunning);
    }
    onInterrupted(turn.id, playedMs);
  }
}
