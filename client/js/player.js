/**
 * Plays replies: gapless, and silent at once when told to.
 *
 * Events: `blocked` (sound needs a gesture first), `playing`, `idle`.
 */
import { decodePcm } from "./pcm.js";

export class Player extends EventTarget {
  /** @param {URL} [worklet] where `player-worklet.js` is */
  constructor(worklet = new URL("./player-worklet.js", import.meta.url)) {
    super();
    this.worklet = worklet;
    /** @type {AudioContext | undefined} */
    this.context = undefined;
    /** @type {AudioWorkletNode | undefined} */
    this.node = undefined;
    /** @type {Promise<void> | undefined} */
    this.opening = undefined;
    this.turn = "";
    this.playedMs = 0;
    this.level = 0;
    this.busy = false;
    /** @type {Set<string>} */
    this.silenced = new Set();
    /** @type {((ms: number) => void) | undefined} */
    this.onFlushed = undefined;
  }

  /** Make sound possible. Call it from a user's gesture. */
  async unlock(rateHz = 24_000) {
    this.opening ??= this.#open(rateHz);
    await this.opening;
    await this.context?.resume();
  }

  /**
   * Queue audio of a turn.
   * @param {string} turn
   * @param {Uint8Array} pcm 16-bit, mono
   * @param {number} rateHz
   */
  async play(turn, pcm, rateHz) {
    this.opening ??= this.#open(rateHz);
    await this.opening;
    if (this.silenced.has(turn)) return;
    if (this.context?.state === "suspended") this.dispatchEvent(new Event("blocked"));
    const samples = decodePcm(pcm);
    this.node?.port.postMessage({ turn, samples }, [samples.buffer]);
  }

  /**
   * Fall silent; what is still to come of this turn is not played either.
   * @param {string} turn
   * @returns {Promise<number>} how much of the turn was heard, in ms
   */
  async stop(turn) {
    this.silenced.add(turn);
    if (!this.node) return 0;
    const flushed = new Promise((resolve) => {
      this.onFlushed = resolve;
    });
    this.node.port.postMessage({ flush: true });
    await Promise.race([flushed, new Promise((resolve) => setTimeout(resolve, 200))]);
    return this.turn === turn ? this.playedMs : 0;
  }

  /** @param {number} rateHz */
  async #open(rateHz) {
    // The context runs at the reply's own rate, so that samples are played as they are.
    this.context = new AudioContext({ sampleRate: rateHz });
    await this.context.audioWorklet.addModule(this.worklet);
    this.node = new AudioWorkletNode(this.context, "parley-player", { numberOfInputs: 0 });
    this.node.connect(this.context.destination);
    this.node.port.onmessage = ({ data }) => this.#report(data, rateHz);
  }

  /**
   * @param {{turn: string, played: number, level: number, busy: boolean, flushed: boolean}} report
   * @param {number} rateHz
   */
  #report(report, rateHz) {
    this.turn = report.turn;
    this.playedMs = (report.played * 1000) / rateHz;
    this.level = report.level;
    if (report.busy !== this.busy) {
      this.busy = report.busy;
      this.dispatchEvent(new Event(report.busy ? "playing" : "idle"));
    }
    if (report.flushed) this.onFlushed?.(this.playedMs);
  }
}
