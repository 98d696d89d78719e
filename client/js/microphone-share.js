/**
 * One user's part in a microphone that several may use: what it begins, ends and lets go of is its own.
 * The device is open for as long as any of them needs it.
 */
import { letGo } from "./capture-device.js";
import { VoiceDetector } from "./capture.js";
import { Chunker } from "./chunker.js";
import { startTimer } from "./delay.js";
import { Emitter } from "./emitter.js";
import { Problem } from "./problem.js";

/** @typedef {import("./capture.js").VoiceSettings} VoiceSettings */
/** @typedef {import("./capture.js").Voice} Voice */

/**
 * @typedef {object} ShareEvents
 * @property {{voice: Voice}} speech While it is watched: somebody began to speak, pauses, or has stopped.
 * @property {Problem} error `microphone_lost`: unplugged, or taken away.
 * @property {Interruption} interruption The browser has stopped or muted it, or it hears again.
 * @property {Problem} warning `worklet_missing`: sound is processed in the page.
 */

/**
 * The browser has stopped or muted an open microphone, or it hears again.
 * @typedef {object} Interruption
 * @property {boolean} isActive
 * @property {Problem} [problem] `microphone_interrupted`, while it is active
 */

/**
 * @typedef {object} ShareHost what a share needs of its microphone
 * @property {number} rateHz of the samples
 * @property {() => number} restMs how long it stays open for the next utterance
 * @property {() => Promise<void>} open
 * @property {() => void} closeIfUnused close the device, unless somebody needs it
 * @property {() => void} released close the device, unless it is open for more than what may follow
 * @property {(share: MicrophoneShare) => void} join
 * @property {(ms: number) => Float32Array} heardBefore what was heard just now, once
 * @property {() => Promise<void>} flushed everything heard until now has been handed over
 * @property {(settings: VoiceSettings) => Promise<void>} watch
 * @property {() => Promise<void>} unwatch see who still watches
 * @property {() => void} expectEcho see how much is expected
 */

/** @typedef {"open" | "speech" | "watch"} Purpose what somebody waits for it for */

/** Quiet for so long is a pause in speech whose end nobody is asked to notice: what was said before it
 * is sent. */
const PAUSE_MS = 100;
/** @type {Purpose[]} */
const PURPOSES = ["open", "speech", "watch"];

/** @extends {Emitter<ShareEvents>} */
export class MicrophoneShare extends Emitter {
  /** How it wants speech to be noticed.
   * @type {VoiceSettings | undefined} */
  settings;
  /** How much louder than usual speech must be now, in dB. */
  extraDb = 0;
  /** Where to, while an utterance is being said.
   * @type {Chunker | undefined} */
  #chunker;
  /** Notices the pauses of an utterance where nobody else does.
   * @type {VoiceDetector | undefined} */
  #pauses;
  /** The server waits for the silence after the utterance. */
  #isSilenceAwaited = false;
  /** What waits for the microphone, and how to end that.
   * @type {Map<symbol, {what: Purpose, end: (problem: Problem) => void}>} */
  #waiting = new Map();
  /** For the next utterance.
   * @type {ReturnType<typeof setTimeout> | undefined} */
  #warm;

  /** @param {ShareHost} host */
  constructor(host) {
    super();
    this.host = host;
  }

  /** Whether it is listened to, or will be. */
  get isActive() {
    return this.isSpeaking || this.settings !== undefined || this.#waiting.size > 0;
  }

  /** Whether an utterance is being said. */
  get isSpeaking() {
    return this.#chunker !== undefined;
  }

  /** Whether the device must be open for it. */
  get isNeeded() {
    return this.isActive || this.#warm !== undefined;
  }

  /**
   * Open it for an utterance that may follow. Call it from a user's gesture.
   * @throws {Problem} as `start` does
   */
  async open() {
    await this.#open("open", () => this.#keepWarm());
  }

  /**
   * Begin an utterance. Call it from a user's gesture.
   * @param {(pcm: Uint8Array) => void} onChunk
   * @param {{prerollMs?: number, endpointing?: "manual" | "server_vad"}} [options] how much of what was
   *   heard before belongs to it; who finds its end
   * @throws {Problem} `microphone_denied`, `microphone_missing`, `microphone_failed` (also if `stop`,
   *   `withdraw` or `release` came meanwhile)
   */
  async start(onChunk, { prerollMs = 0, endpointing = "manual" } = {}) {
    await this.#open("speech", () => {
      this.#isSilenceAwaited = endpointing === "server_vad";
      this.#pauses = new VoiceDetector(this.host.rateHz);
      this.#pauses.settings = { ...this.#pauses.settings, startMs: 30, pauseMs: PAUSE_MS };
      this.#chunker = new Chunker(this.host.rateHz, onChunk);
      this.#chunker.begin(this.host.heardBefore(prerollMs));
    });
  }

  /** End the utterance; settles when the last chunk has been handed over. What is being opened for it
   * is let go at once. */
  async stop() {
    this.#withdraw("open");
    this.#withdraw("speech");
    const chunker = this.#chunker;
    if (!chunker) return;
    await this.host.flushed();
    chunker.flush();
    if (this.#chunker !== chunker) return;
    this.#chunker = undefined;
    this.#rest();
  }

  /** Hand over at once what has been heard of the utterance, in a chunk that may be short. */
  flush() {
    this.#chunker?.flush();
  }

  /** What is being opened for an utterance is not wanted any more: it is let go at once. */
  withdraw() {
    this.#withdraw("open");
    this.#withdraw("speech");
  }

  /** No utterance is expected any more: what is opened or kept open for one is let go. */
  forgo() {
    this.cool();
    this.#withdraw("open");
  }

  /**
   * Notice speech (`speech` events) until `unwatch`. Call it from a user's gesture.
   * @param {VoiceSettings} settings
   * @throws {Problem} as `start` does; `detector_failed`
   */
  async watch(settings) {
    await this.#open("watch", () => (this.settings = settings));
    try {
      await this.host.watch(settings);
      if (this.settings !== settings) throw letGo();
    } catch (cause) {
      if (this.settings === settings) this.settings = undefined;
      this.host.closeIfUnused();
      if (cause instanceof Problem) throw cause;
      const text = "Speech cannot be noticed: the detector did not start.";
      throw new Problem("detector_failed", text, { cause });
    }
  }

  async unwatch() {
    this.#withdraw("watch");
    if (!this.settings) return;
    this.settings = undefined;
    this.extraDb = 0;
    this.#rest();
    await this.host.unwatch();
  }

  /** @param {number} extraDb how much louder than usual speech must be now */
  async expectEcho(extraDb) {
    this.extraDb = extraDb;
    this.host.expectEcho();
  }

  /** Let go of it: the device is closed at once, unless somebody else needs it. */
  release() {
    this.#end();
    this.host.released();
  }

  /**
   * The device is no longer open, for anybody.
   * @param {Problem} problem why what is listened to ends
   * @param {Problem} [unopened] why what waits for it fails
   */
  lose(problem, unopened = problem) {
    const wasListening = this.isSpeaking || this.settings !== undefined;
    this.#end(unopened);
    if (wasListening) this.emit("error", problem);
  }

  /** @param {Float32Array} samples at the host's rate */
  hear(samples) {
    const changed = this.#pauses?.push(samples);
    const isQuiet = this.#pauses?.voice !== "speaking";
    this.#chunker?.push(samples, this.#isSilenceAwaited && isQuiet);
    if (changed === "pausing" && !this.settings) this.#chunker?.flush();
  }

  /** @param {Voice} voice that whoever watches has noticed, after all samples up to there */
  notice(voice) {
    if (voice !== "speaking") this.#chunker?.flush();
    this.emit("speech", { voice });
  }

  /** @param {Problem} [problem] */
  #end(problem) {
    for (const what of PURPOSES) this.#withdraw(what, problem);
    this.cool();
    this.#chunker = undefined;
    this.extraDb = 0;
    if (!this.settings) return;
    this.settings = undefined;
    this.host.unwatch().catch(() => undefined);
  }

  /**
   * @param {Purpose} what it is for
   * @param {() => void} begin
   */
  async #open(what, begin) {
    const key = Symbol(what);
    /** @type {Promise<never>} */
    const ended = new Promise((_, end) => this.#waiting.set(key, { what, end }));
    this.cool();
    this.host.join(this);
    try {
      await Promise.race([this.host.open(), ended]);
      // In the same step as it ceases to wait: nobody must find it unused in between.
      if (this.#waiting.has(key)) begin();
      else throw letGo();
    } finally {
      this.#waiting.delete(key);
      this.host.closeIfUnused();
    }
  }

  /**
   * @param {Purpose} what is not wanted any more
   * @param {Problem} [problem]
   */
  #withdraw(what, problem = letGo()) {
    const ended = [...this.#waiting].filter(([, waiting]) => waiting.what === what);
    for (const [key, { end }] of ended) {
      this.#waiting.delete(key);
      end(problem);
    }
    if (ended.length) this.host.closeIfUnused();
  }

  /** The next utterance begins at once for a while. */
  #rest() {
    this.cool();
    if (!this.isActive) this.#keepWarm();
    this.host.closeIfUnused();
  }

  #keepWarm() {
    this.cool();
    this.#warm = startTimer(() => {
      this.#warm = undefined;
      this.host.closeIfUnused();
    }, this.host.restMs());
  }

  /** It is not kept open for the next utterance. */
  cool() {
    clearTimeout(this.#warm);
    this.#warm = undefined;
  }
}
