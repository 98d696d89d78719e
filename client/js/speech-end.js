/**
 * Finds the end of what is spoken where speech recognition does not: over HTTP it hears nothing
 * before the end. The microphone's own detector of speech is asked instead.
 */
import { DEFAULTS, PAUSE_MS } from "./hands-free.js";
import { Problem } from "./problem.js";

/** @typedef {import("./conversation-types.js").AudioInput} AudioInput */
/** @typedef {import("./hands-free.js").Detection} Detection */

/**
 * @typedef {object} SpeechEndHooks
 * @property {() => void} onEnd there was speech, and then silence
 * @property {(problem: unknown) => void} onFailed the end cannot be noticed
 * @property {() => boolean} isTaken hands-free has the detector listen, and goes on with it
 */

export class SpeechEnd {
  #isWanted = false;
  /** One after the other: both take their time.
   * @type {Promise<void>} */
  #last = Promise.resolve();
  /** @type {() => void} */
  #unlisten = () => undefined;

  /**
   * @param {AudioInput | (AudioInput & Detection) | undefined} microphone
   * @param {SpeechEndHooks} hooks
   */
  constructor(microphone, hooks) {
    this.microphone = microphone;
    this.hooks = hooks;
  }

  /** @param {boolean} isWanted whether something is spoken whose end nobody else finds */
  attend(isWanted) {
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    this.#last = this.#last.then(() => (isWanted ? this.#watch() : this.#cease()));
  }

  async #watch() {
    try {
      const detection = this.#detection();
      let hasSpoken = false;
      this.#unlisten = detection.on("speech", ({ voice }) => {
        if (voice === "silent" && hasSpoken) this.hooks.onEnd();
        hasSpoken ||= voice === "speaking";
      });
      if (this.hooks.isTaken()) return;
      const { sensitivity, startMs, endMs } = DEFAULTS;
      await detection.watch({ sensitivity, startMs, endMs, pauseMs: PAUSE_MS });
    } catch (problem) {
      this.#unlisten();
      if (this.#isWanted) this.hooks.onFailed(problem);
    }
  }

  async #cease() {
    this.#unlisten();
    const { microphone } = this;
    if (microphone && "unwatch" in microphone && !this.hooks.isTaken()) await microphone.unwatch();
  }

  /** @returns {Detection} */
  #detection() {
    if (this.microphone && "watch" in this.microphone) return this.microphone;
    const text =
      "WebSockets are blocked here, so speech recognition cannot find the end of what is said, " +
      "and this microphone does not notice it either. End it with stopSpeaking instead.";
    throw new Problem("detector_failed", text);
  }
}
