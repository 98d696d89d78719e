/**
 * From the microphone to 16 kHz PCM in chunks of 100 ms, with the browser's echo cancellation
 * and noise suppression. It stays open for a while between utterances, so that the next one
 * begins at once, and a little before the key was pressed.
 */
import { audioThreadNode } from "./audio-thread.js";
import { Chunker } from "./chunker.js";
import { Emitter } from "./emitter.js";
import { Problem } from "./problem.js";
import { Resampler } from "./resampler.js";
import { Ring } from "./ring.js";

export const RATE_HZ = 16_000;
export const CHUNK_SAMPLES = RATE_HZ / 10;
/** So much of what was heard before an utterance is kept. */
const KEPT_MS = 2_500;
/** A context that does not run may not answer. */
const FLUSH_TIMEOUT_MS = 200;

/** @typedef {import("./capture-worklet.js").VoiceSettings} VoiceSettings */
/** @typedef {import("./audio-thread.js").AudioThreadNode} AudioThreadNode */

/**
 * @typedef {object} MicrophoneEvents
 * @property {{voice: import("./capture-worklet.js").Voice}} speech while it is watched: somebody
 *   began to speak, pauses, or has ceased
 * @property {{level: number}} level about every 20 ms while it is open
 * @property {Problem} error `microphone_lost`: unplugged, or taken away
 */

/**
 * Notices speech instead of the built-in detector, which goes by loudness: a neural network, say.
 * @typedef {object} Detector
 * @property {(settings: VoiceSettings,
 *   tell: (voice: import("./capture-worklet.js").Voice) => void) => void | Promise<void>} start
 *   notice speech from now on, and tell every change: `speaking`, `pausing` if it knows, `silent`
 * @property {() => void | Promise<void>} stop
 * @property {(samples: Float32Array) => void} [hear] what the microphone hears: 16 kHz, mono, from
 *   -1 to 1, about 20 ms at a time
 * @property {(extraDb: number) => void} [expectEcho] how much louder speech must be now that a
 *   reply is heard; 0 when it is over
 */

/** @extends {Emitter<MicrophoneEvents>} */
export class Microphone extends Emitter {
  /** The loudest sample of the last 20 ms, from 0 to 1. */
  level = 0;
  /** @type {MediaStream | undefined} */
  #stream;
  /** Until the user, too, has decided.
   * @type {Promise<MediaStream> | undefined} */
  #asking;
  /** @type {AudioNode | undefined} */
  #source;
  /** @type {AudioContext | undefined} */
  #context;
  /** @type {Promise<AudioThreadNode> | undefined} */
  #opening;
  /** @type {Resampler | undefined} */
  #resampler;
  /** Where to, while an utterance is being said.
   * @type {Chunker | undefined} */
  #chunker;
  #watching = false;
  #kept = new Ring((RATE_HZ * KEPT_MS) / 1000);
  /** @type {Map<number, () => void>} */
  #flushes = new Map();
  #flushCount = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #releasing;
  /** How often it has been let go. */
  #releases = 0;

  /**
   * @param {object} [options]
   * @param {URL} [options.worklet] where `capture-worklet.js` is
   * @param {number} [options.releaseAfterMs] unused for so long, it is let go, and the browser's
   *   recording mark with it
   * @param {Detector} [options.detector] for hands-free, instead of the built-in one
   */
  constructor({
    worklet = new URL("./capture-worklet.js", import.meta.url),
    releaseAfterMs = 60_000,
    detector,
  } = {}) {
    super();
    this.worklet = worklet;
    this.releaseAfterMs = releaseAfterMs;
    this.detector = detector;
  }

  /** Whether it is open, be it for an utterance, for hands-free or for a while longer. */
  get isOpen() {
    return this.#stream !== undefined;
  }

  /**
   * Open it before it is known whether anything will be said: what is heard from then on can belong
   * to an utterance. Call it from a user's gesture.
   * @throws {Problem} as `start` does
   */
  async open() {
    await this.#open();
    this.#rest();
  }

  /**
   * Begin an utterance. Call it from a user's gesture.
   * @param {(pcm: Uint8Array) => void} onChunk
   * @param {{prerollMs?: number}} [options] how much of what was heard before belongs to it
   * @throws {Problem} `microphone_denied`, `microphone_missing`, `microphone_failed` (also if
   *   `release` came meanwhile)
   */
  async start(onChunk, { prerollMs = 0 } = {}) {
    await this.#open();
    this.#chunker = new Chunker(CHUNK_SAMPLES, onChunk);
    this.#chunker.push(this.#kept.last((RATE_HZ * prerollMs) / 1000));
    // What was said once is not said again.
    this.#kept = new Ring((RATE_HZ * KEPT_MS) / 1000);
  }

  /** End the utterance; settles when the last chunk has been handed over. */
  async stop() {
    const chunker = this.#chunker;
    if (chunker) {
      await this.#flushed();
      chunker.flush();
      if (this.#chunker === chunker) this.#chunker = undefined;
    }
    this.#rest();
  }

  /**
   * Notice speech (`speech` events) until `unwatch`. Call it from a user's gesture.
   * @param {VoiceSettings} settings
   * @throws {Problem} as `start` does; `detector_failed`
   */
  async watch(settings) {
    this.#watching = true;
    try {
      const { post } = await this.#open();
      if (this.detector) await this.detector.start(settings, (voice) => this.#notice(voice));
      else post({ watch: settings });
    } catch (cause) {
      this.#watching = false;
      this.#rest();
      if (cause instanceof Problem) throw cause;
      const text = "Speech cannot be noticed: the detector did not start.";
      throw new Problem("detector_failed", text, { cause });
    }
  }

  /** @param {number} extraDb how much louder than usual speech must be now */
  async expectEcho(extraDb) {
    this.detector?.expectEcho?.(extraDb);
    (await this.#opening)?.post({ extraDb });
  }

  async unwatch() {
    this.#watching = false;
    await this.detector?.stop();
    (await this.#opening)?.post({ watch: null });
    this.#rest();
  }

  /** Let go of the microphone, or of what is being opened. */
  release() {
    clearTimeout(this.#releasing);
    this.#releases += 1;
    this.#source?.disconnect();
    if (this.#stream) end(this.#stream);
    void this.#context?.close();
    this.#source = this.#stream = this.#asking = undefined;
    this.#context = this.#opening = undefined;
    this.level = 0;
    this.#kept = new Ring((RATE_HZ * KEPT_MS) / 1000);
  }

  #rest() {
    clearTimeout(this.#releasing);
    if (this.#chunker || this.#watching || !this.#stream) return;
    this.#releasing = setTimeout(() => this.release(), this.releaseAfterMs);
  }

  async #open() {
    clearTimeout(this.#releasing);
    const before = this.#releases;
    try {
      this.#opening ??= this.#made();
      const [stream, capture] = await Promise.all([this.#input(), this.#opening]);
      await this.#context?.resume();
      if (before !== this.#releases) throw new Error("released");
      clearTimeout(this.#releasing);
      if (!this.#source && this.#context) {
        this.#resampler = new Resampler(this.#context.sampleRate, RATE_HZ);
        this.#source = this.#context.createMediaStreamSource(stream);
        this.#source.connect(capture.node);
      }
      return capture;
    } catch (cause) {
      if (before !== this.#releases) {
        const text = "The microphone was let go before it was open.";
        throw new Problem("microphone_failed", text, { retryable: true, cause });
      }
      // It may be allowed only now, when nobody waits for it any more.
      void this.#asking?.then(() => this.#rest()).catch(() => undefined);
      this.#rest();
      throw problemOf(cause);
    }
  }

  /** The user is asked once, however many wait for it. */
  async #input() {
    if (this.#stream) return this.#stream;
    const asking = (this.#asking ??= asked());
    try {
      const stream = await asking;
      if (this.#asking === asking) {
        // A track ends when its device is unplugged, or the permission is taken back.
        for (const track of stream.getTracks()) track.onended = () => this.#lost();
        this.#stream = stream;
      } else if (this.#stream !== stream) {
        end(stream);
      }
      return stream;
    } finally {
      if (this.#asking === asking) this.#asking = undefined;
    }
  }

  #lost() {
    this.release();
    const text = "The microphone is gone: unplugged, or no longer allowed.";
    this.emit("error", new Problem("microphone_lost", text, { retryable: true }));
  }

  async #made() {
    // At the device's own rate: a `sampleRate` asked for is not honoured everywhere.
    const context = (this.#context = new AudioContext());
    try {
      const capture = await audioThreadNode(context, {
        module: this.worklet,
        name: "parley-capture",
        options: { numberOfOutputs: 1 },
        instead: async (post) => {
          const { Capture } = await import("./capture-worklet.js");
          const work = new Capture(context.sampleRate, post);
          return { take: (message) => work.take(message), process: (input) => work.push(input) };
        },
      });
      capture.listen((message) => {
        if (context === this.#context) this.#take(message);
      });
      // A node that leads nowhere is not run by every browser. It is silent.
      capture.node.connect(context.destination);
      return capture;
    } catch (problem) {
      if (context === this.#context) {
        this.#opening = this.#context = undefined;
        void context.close();
      }
      throw problem;
    }
  }

  /** @param {{samples?: Float32Array, voice?: import("./capture-worklet.js").Voice, flushed?: number}}
   *   message */
  #take({ samples, voice, flushed }) {
    if (samples) {
      this.level = peak(samples);
      const heard = this.#resampler?.push(samples) ?? new Float32Array();
      if (this.#chunker) this.#chunker.push(heard);
      else this.#kept.push(heard);
      if (this.#watching) this.detector?.hear?.(heard);
      this.emit("level", { level: this.level });
    }
    if (voice) this.#notice(voice);
    if (flushed !== undefined) this.#flushes.get(flushed)?.();
  }

  /** @param {import("./capture-worklet.js").Voice} voice */
  #notice(voice) {
    if (this.#watching) this.emit("speech", { voice });
  }

  /** Settles when everything that was heard until now has been handed over. */
  async #flushed() {
    const capture = await this.#opening;
    const flush = (this.#flushCount += 1);
    await new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
      this.#flushes.set(flush, resolve);
      setTimeout(resolve, FLUSH_TIMEOUT_MS);
      capture?.post({ flush });
    });
    this.#flushes.delete(flush);
  }
}

async function asked() {
  if (!navigator.mediaDevices) {
    throw new Problem("microphone_missing", "The microphone needs a secure (https) page.");
  }
  return navigator.mediaDevices.getUserMedia({
    audio: {
      channelCount: 1,
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
    },
  });
}

/** @param {MediaStream} stream */
function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** @param {Float32Array} samples */
function peak(samples) {
  return samples.reduce((highest, sample) => Math.max(highest, Math.abs(sample)), 0);
}

/** @param {unknown} cause */
function problemOf(cause) {
  if (cause instanceof Problem) return cause;
  const name = cause instanceof DOMException ? cause.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    const text = "The microphone is not allowed. Allow it in the browser's address bar to talk.";
    return new Problem("microphone_denied", text, { cause });
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    return new Problem("microphone_missing", "No microphone was found.", { cause });
  }
  const text = "The microphone could not be opened. Another program may be using it.";
  return new Problem("microphone_failed", text, { retryable: true, cause });
}
