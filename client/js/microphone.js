/**
 * From the microphone to 16 kHz PCM in chunks (chunker.js), with the browser's echo cancellation
 * and noise suppression. It stays open for a while between utterances, so that the next one
 * begins at once, and a little before the key was pressed; never longer than somebody uses it.
 */
import { CaptureDevice, gone, letGo } from "./capture-device.js";
import { Emitter } from "./emitter.js";
import { askForMicrophone, endTracks } from "./microphone-access.js";
import { MicrophoneShare } from "./microphone-share.js";
import { Problem } from "./problem.js";
import { Resampler } from "./resampler.js";
import { Ring } from "./ring.js";

export const RATE_HZ = 16_000;
/** So much of what was heard before an utterance is kept. */
const KEPT_MS = 2_500;
/** A context that does not run may not answer. */
const FLUSH_TIMEOUT_MS = 200;

/** @typedef {import("./capture.js").VoiceSettings} VoiceSettings */
/** @typedef {import("./capture.js").Voice} Voice */

/**
 * @typedef {object} OwnEvents
 * @property {{level: number}} level About every 20 ms while it is open.
 */

/** @typedef {OwnEvents & import("./microphone-share.js").ShareEvents} MicrophoneEvents */

/**
 * Notices speech instead of the built-in detector, which goes by loudness: a neural network, say.
 * @typedef {object} Detector
 * @property {(settings: VoiceSettings, tell: (voice: Voice) => void) => void | Promise<void>} start
 *   Notice speech from now on, and `tell` every change: `speaking`, `pausing` after `pauseMs` of
 *   quiet, `silent` after `endMs`.
 * @property {() => void | Promise<void>} stop Stop noticing.
 * @property {(samples: Float32Array) => void} [hear] Take what the microphone hears: 16 kHz, mono,
 *   from -1 to 1, about 20 ms at a time.
 * @property {(extraDb: number) => void} [expectEcho] How much louder speech must be while a reply is
 *   heard; 0 when it is over.
 */

/** @extends {Emitter<MicrophoneEvents>} */
export class Microphone extends Emitter {
  /** The loudest sample of the last 20 ms, from 0 to 1. */
  level = 0;
  /** Which one is used, as `enumerateDevices` names it; empty for the system's choice. */
  deviceId = "";
  /** Whether nothing is heard, because the user wants it so. */
  isMuted = false;
  /** @type {CaptureDevice | undefined} */
  #device;
  /** The user is being asked, once however many wait for it. */
  #isAsking = false;
  /** Who may need it: everybody who has used it and not let go.
   * @type {Set<MicrophoneShare>} */
  #shares = new Set();
  /** Of the application that uses the microphone itself. */
  #own;
  /** @type {Resampler | undefined} */
  #resampler;
  #kept = newRing();
  /** The start of the detector that was handed in, while it is wanted.
   * @type {Promise<void> | undefined} */
  #detecting;
  /** The browser has stopped or muted it. */
  #isDeaf = false;
  /** @type {Map<number, () => void>} */
  #flushes = new Map();
  #flushCount = 0;

  /**
   * @param {object} [options]
   * @param {URL} [options.worklet] Where `capture-worklet.js` is.
   * @param {number} [options.releaseAfterMs] How long it stays open unused. The browser shows its
   *   recording mark as long. Default 60,000.
   * @param {Detector} [options.detector] Notices speech instead of the built-in one.
   */
  constructor({
    worklet = new URL("./capture-worklet.js", import.meta.url),
    releaseAfterMs = 60_000,
    detector,
  } = {}) {
    super();
    /** @internal */
    this.worklet = worklet;
    /** As in the options. */
    this.releaseAfterMs = releaseAfterMs;
    /** As in the options. */
    this.detector = detector;
    this.#own = this.share();
  }

  /** Whether it is open, be it for an utterance, for hands-free or for a while longer. */
  get isOpen() {
    return this.#device?.hasStream ?? false;
  }

  /** A part of it that one user begins, ends and lets go of without disturbing others. */
  share() {
    return new MicrophoneShare({
      rateHz: RATE_HZ,
      open: () => this.#open(),
      closeIfUnused: () => this.#closeIfUnused(),
      released: () => {
        // A conversation is over, and it was opened to speak to that.
        this.#own.forgo();
        this.#closeIfUnused();
      },
      join: (share) => void this.#shares.add(share),
      heardBefore: (ms) => this.#heardBefore(ms),
      flushed: () => this.#flushed(),
      watch: (settings) => this.#watch(settings),
      unwatch: () => this.#unwatch(),
      expectEcho: () => this.#expectEcho(),
      restMs: () => this.releaseAfterMs,
    });
  }

  /**
   * Open it before it is known whether anything will be said: what is heard from then on can belong
   * to an utterance. It stays open for `releaseAfterMs`, or until somebody who shares it lets go (a
   * conversation that ends). Call it from a user's gesture.
   * @throws {Problem} as `start` does
   */
  open() {
    return this.#own.open();
  }

  /**
   * Begin an utterance. Call it from a user's gesture.
   * @param {(pcm: Uint8Array) => void} onChunk
   * @param {{prerollMs?: number, endpointing?: "manual" | "server_vad"}} [options] how much of what was
   *   heard before belongs to it; who finds its end
   * @throws {Problem} `microphone_denied`, `microphone_missing`, `microphone_failed` (also if `stop`
   *   or `release` came meanwhile)
   */
  start(onChunk, options) {
    return this.#own.start(onChunk, options);
  }

  /** Hand over at once what has been heard of the utterance. */
  flush() {
    this.#own.flush();
  }

  /** End the utterance; settles when the last chunk has been handed over. */
  stop() {
    return this.#own.stop();
  }

  /**
   * Notice speech (`speech` events) until `unwatch`. Call it from a user's gesture.
   * @param {VoiceSettings} settings
   * @throws {Problem} as `start` does; `detector_failed`
   */
  watch(settings) {
    return this.#own.watch(settings);
  }

  /** Stop noticing speech. */
  unwatch() {
    return this.#own.unwatch();
  }

  /**
   * Expect the echo of a reply; 0 when it is over.
   * @param {number} extraDb how much louder than usual speech must be now
   */
  expectEcho(extraDb) {
    return this.#own.expectEcho(extraDb);
  }

  /**
   * Hear nothing, or hear again. It stays open, so that it hears again at once. What is being said
   * ends.
   * @param {boolean} isMuted
   */
  setMuted(isMuted) {
    if (isMuted === this.isMuted) return;
    this.isMuted = isMuted;
    this.#device?.setMuted(isMuted);
    if (isMuted) this.#notice("silent");
    // It begins anew: after silence, the noise of any room would be speech to it.
    if (!this.detector) this.#postWatch();
  }

  /**
   * Use another microphone. What is being said goes on with it. One that is not there is the system's
   * choice instead.
   * @param {string} deviceId as `enumerateDevices` names it; empty for the system's choice
   * @throws {Problem} as `start` does; the one of before is heard all the same
   */
  async setDevice(deviceId) {
    this.deviceId = deviceId;
    const device = this.#device;
    if (!device) return;
    await device.ready;
    const stream = await askForMicrophone(deviceId);
    // It was closed, or another one was wanted, meanwhile.
    if (device !== this.#device || deviceId !== this.deviceId) endTracks(stream);
    else device.replace(stream);
    device.setMuted(this.isMuted);
  }

  /** Let go of the microphone for everybody, or of what is being opened; whoever is listened to is
   * told `microphone_lost`. */
  release() {
    const text = "The microphone was let go.";
    this.#lose(new Problem("microphone_lost", text, { retryable: true }), letGo());
  }

  /** @returns {Promise<void>} when it hears */
  async #open() {
    const device = (this.#device ??= this.#newDevice());
    try {
      await device.ready;
    } catch (cause) {
      if (device === this.#device) this.#close();
      throw cause;
    }
  }

  #newDevice() {
    const device = new CaptureDevice(this.worklet, {
      onMessage: (message) => this.#handleMessage(message),
      onLost: () => this.#lost(),
      onDeafness: (why) => this.#deafened(why),
      onWarning: (warning) => this.#notifyUsers("warning", warning),
    });
    // The answer to what is asked already is for those who need it then.
    if (!this.#isAsking) void this.#ask();
    return device;
  }

  async #ask() {
    this.#isAsking = true;
    try {
      const stream = await askForMicrophone(this.deviceId);
      this.#isAsking = false;
      // The user may be gone, and then nothing else would ever let go of it.
      if (!this.#device) {
        endTracks(stream);
        return;
      }
      this.#device.attach(stream);
      this.#device.setMuted(this.isMuted);
    } catch (problem) {
      this.#isAsking = false;
      this.#device?.fail(problem);
    }
  }

  /** Close the device, unless somebody needs it. */
  #closeIfUnused() {
    for (const share of this.#shares) {
      // What hears nothing is not kept for the next utterance: another opening may hear.
      if (this.#isDeaf && !share.isActive) share.cool();
      if (!share.isNeeded) this.#shares.delete(share);
    }
    if (this.#shares.size === 0) this.#close();
  }

  #close() {
    const device = this.#device;
    this.#device = this.#resampler = undefined;
    this.#isDeaf = false;
    device?.close();
    this.level = 0;
    this.#kept = newRing();
    for (const flushed of this.#flushes.values()) flushed();
  }

  #lost() {
    const problem = gone();
    this.#lose(problem);
    this.emit("error", problem);
  }

  /**
   * It is open for nobody any more.
   * @param {Problem} problem
   * @param {Problem} [unopened] to who still waited for it
   */
  #lose(problem, unopened) {
    this.#close();
    for (const share of [...this.#shares]) share.lose(problem, unopened);
  }

  /** @param {import("./capture-monitor.js").Deafness | undefined} why */
  #deafened(why) {
    // What the detector took for speech when it went deaf is over.
    if (!why && !this.detector) this.#postWatch();
    const problem = why && interrupted(why);
    this.#isDeaf = why !== undefined;
    this.#notifyUsers("interruption", { isActive: this.#isDeaf, problem });
    this.#closeIfUnused();
  }

  /**
   * @template {"interruption" | "warning"} Name
   * @param {Name} name
   * @param {MicrophoneEvents[Name]} detail
   */
  #notifyUsers(name, detail) {
    this.emit(name, detail);
    for (const share of this.#shares) {
      if (share.isActive) share.emit(name, /** @type {any} */ (detail));
    }
  }

  /** @param {import("./capture-device.js").CaptureMessage} message */
  #handleMessage({ samples, voice, flushed }) {
    if (samples) {
      this.level = peak(samples);
      this.#hear(samples);
      this.emit("level", { level: this.level });
    }
    if (voice) this.#notice(voice);
    if (flushed !== undefined) this.#flushes.get(flushed)?.();
  }

  /** @param {Float32Array} samples at the device's rate */
  #hear(samples) {
    this.#resampler ??= new Resampler(this.#device?.sampleRate ?? RATE_HZ, RATE_HZ);
    const heard = this.#resampler.push(samples);
    const speaking = [...this.#shares].filter(({ isSpeaking }) => isSpeaking);
    for (const share of speaking) share.hear(heard);
    if (!speaking.length) this.#kept.push(heard);
    if (this.#detecting) this.detector?.hear?.(heard);
  }

  /** @param {number} ms */
  #heardBefore(ms) {
    const samples = this.#kept.last((RATE_HZ * ms) / 1000);
    // What was said once is not said again.
    this.#kept = newRing();
    return samples;
  }

  /** Who wants speech to be noticed. */
  #watchers() {
    return [...this.#shares].filter(({ settings }) => settings);
  }

  /** @param {Voice} voice */
  #notice(voice) {
    const watchers = this.#watchers();
    if (watchers.length) this.emit("speech", { voice });
    for (const share of watchers) share.notice(voice);
  }

  /** Have the built-in detector notice what is wanted now; it begins anew. */
  #postWatch() {
    const watch = (!this.isMuted && this.#watchers().at(-1)?.settings) || null;
    this.#device?.post({ watch, extraDb: this.#extraDb });
  }

  /** @param {VoiceSettings} settings */
  async #watch(settings) {
    if (!this.detector) this.#postWatch();
    else await this.#detected(this.detector, settings);
  }

  /**
   * @param {Detector} detector
   * @param {VoiceSettings} settings
   * @returns {Promise<void>} when it has started, for everybody who wants it
   */
  #detected(detector, settings) {
    if (this.#detecting) return this.#detecting;
    const starting = (this.#detecting = this.#startDetector(detector, settings));
    starting.catch(() => {
      if (this.#detecting === starting) this.#detecting = undefined;
    });
    return starting;
  }

  /**
   * @param {Detector} detector
   * @param {VoiceSettings} settings
   */
  async #startDetector(detector, settings) {
    await detector.start(settings, (voice) => this.#notice(voice));
    // It was stopped before it had started; it may have a microphone of its own.
    if (!this.#detecting) await detector.stop();
  }

  async #unwatch() {
    if (!this.detector) this.#postWatch();
    else if (!this.#watchers().length) {
      this.#detecting = undefined;
      await this.detector.stop();
    }
  }

  get #extraDb() {
    return Math.max(0, ...[...this.#shares].map(({ extraDb }) => extraDb));
  }

  #expectEcho() {
    const extraDb = this.#extraDb;
    this.detector?.expectEcho?.(extraDb);
    this.#device?.post({ extraDb });
  }

  /** Settles when everything that was heard until now has been handed over. */
  async #flushed() {
    const flush = (this.#flushCount += 1);
    await new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
      this.#flushes.set(flush, resolve);
      setTimeout(resolve, FLUSH_TIMEOUT_MS);
      this.#device?.post({ flush });
    });
    this.#flushes.delete(flush);
  }
}

function newRing() {
  return new Ring((RATE_HZ * KEPT_MS) / 1000);
}

/** @param {Float32Array} samples */
function peak(samples) {
  return samples.reduce((highest, sample) => Math.max(highest, Math.abs(sample)), 0);
}

/** @param {import("./capture-monitor.js").Deafness} why */
function interrupted(why) {
  const text = {
    suspended: "The browser has stopped the microphone, perhaps for a call.",
    muted: "The microphone is muted, by the system or on the device.",
    stalled: "Nothing comes from the microphone.",
  }[why];
  const more = " It goes on by itself when it can; otherwise touch the page, or begin again.";
  return new Problem("microphone_interrupted", text + more, { retryable: true });
}
