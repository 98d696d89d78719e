/**
 * The agent ends the session with a turn: the conversation hangs up once its reply has been played
 * to its end. A user who says something before that keeps the conversation.
 */

const LOOK_EVERY_MS = 100;

export class HangUp {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {object} parts
   * @param {(turnId: string) => boolean} parts.isPlaying
   * @param {(turnId: string) => Promise<boolean>} parts.isLast whether nothing was said after it
   * @param {() => void} parts.end
   */
  constructor(parts) {
    this.parts = parts;
  }

  /** @param {string} turnId that has ended, and the session with it */
  after(turnId) {
    clearTimeout(this.#timer);
    if (this.parts.isPlaying(turnId)) {
      // A player need not say when it has finished.
      this.#timer = setTimeout(() => this.after(turnId), LOOK_EVERY_MS);
      return;
    }
    void this.parts.isLast(turnId).then((isLast) => {
      if (isLast) this.parts.end();
    });
  }

  stop() {
    clearTimeout(this.#timer);
  }
}
