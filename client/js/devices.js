/**
 * The microphone and the player of a conversation: hands-free, however often the user's mind
 * changes while the browser asks for permission, and what goes wrong with them.
 */
import { HandsFree } from "./hands-free.js";
import { Problem } from "./problem.js";

/** @typedef {import("./conversation-types.js").AudioInput} AudioInput */
/** @typedef {import("./microphone-share.js").Interruption} Interruption */

/**
 * @typedef {object} DevicesParts
 * @property {import("./hands-free.js").Parts["conversation"]} conversation
 * @property {AudioInput | (AudioInput & import("./hands-free.js").Detection)} [microphone]
 * @property {() => Problem | undefined} unable why nobody can be listened to
 * @property {import("./conversation-types.js").AudioOutput} [player]
 * @property {(change: {enabled: boolean, speaking: boolean}) => void} onHandsFree
 * @property {(change: Interruption) => void} onInterruption of the microphone
 * @property {(problem: Problem) => void} onWarning
 * @property {(problem: Problem) => void} onError
 */

export class Devices {
  /** Whether hands-free listens. */
  isHandsFree = false;
  /** What listens, or will as soon as the microphone is open.
   * @type {HandsFree | undefined} */
  #wanted;
  /** To begin and to end take their time: one after the other.
   * @type {Promise<void>} */
  #last = Promise.resolve();
  /** @type {(() => void)[]} */
  #unfollow = [];

  /** @param {DevicesParts} parts */
  constructor(parts) {
    this.parts = parts;
  }

  /** Whether hands-free listens, or will once the microphone is open. */
  get isHandsFreeWanted() {
    return this.#wanted !== undefined;
  }

  /**
   * @param {import("./hands-free.js").HandsFreeSettings} settings
   * @throws {Problem} why nothing can be listened to; nothing if it is not wanted any more
   */
  async startHandsFree(settings) {
    const { conversation, microphone: detection, player, onHandsFree } = this.parts;
    if (!detection || !("watch" in detection)) {
      throw new Problem("microphone_missing", "There is no microphone that notices speech.");
    }
    const problem = this.parts.unable();
    if (problem) throw problem;
    // Before the first connection nobody has followed them yet.
    this.follow(true);
    const ended = this.stopHandsFree();
    const handsFree = new HandsFree({ conversation, detection, player }, settings);
    handsFree.onSpeaking = (speaking) => onHandsFree({ enabled: true, speaking });
    this.#wanted = handsFree;
    const begun = this.#last.then(() => this.#begin(handsFree));
    this.#last = begun.catch(() => undefined);
    await Promise.all([ended, begun]);
  }

  /** What waits for the microphone lets go of it at once. */
  async stopHandsFree() {
    const handsFree = this.#wanted;
    const wasOn = this.isHandsFree;
    this.#wanted = undefined;
    this.isHandsFree = false;
    if (!handsFree) return;
    if (!wasOn) {
      await handsFree.withdraw();
      return;
    }
    const ended = handsFree.stop();
    this.#last = ended.catch(() => undefined);
    await ended;
    this.parts.onHandsFree({ enabled: false, speaking: false });
  }

  /** @param {boolean} isUp whether there is anybody to tell: devices outlive conversations */
  follow(isUp) {
    for (const stop of this.#unfollow) stop();
    this.#unfollow = [];
    if (!isUp) return;
    const { player, onError, onWarning } = this.parts;
    /** @type {AudioInput | undefined} */
    const microphone = this.parts.microphone;
    const stops = [
      microphone?.on?.("error", (problem) => this.#failed(problem)),
      microphone?.on?.("interruption", (change) => this.#interrupted(change)),
      microphone?.on?.("warning", onWarning),
      player?.on?.("error", onError),
      player?.on?.("warning", onWarning),
    ];
    this.#unfollow = stops.filter((stop) => stop !== undefined);
  }

  /** @param {HandsFree} handsFree */
  async #begin(handsFree) {
    if (this.#wanted !== handsFree) return;
    try {
      await handsFree.start();
    } catch (problem) {
      if (this.#wanted !== handsFree) return;
      this.#wanted = undefined;
      throw problem;
    }
    if (this.#wanted !== handsFree) {
      await handsFree.stop();
      return;
    }
    this.isHandsFree = true;
    this.parts.onHandsFree({ enabled: true, speaking: false });
  }

  /** @param {Interruption} change */
  #interrupted(change) {
    if (change.isActive) this.#wanted?.endUnheard();
    this.parts.onInterruption(change);
  }

  /** @param {Problem} problem of the microphone's */
  #failed(problem) {
    this.parts.onError(problem);
    if (problem.code !== "microphone_lost") return;
    void this.stopHandsFree();
    void this.parts.conversation.stopSpeaking();
  }
}
