// A copy of capture.js: change that one, and run `npm run build:worklets`.

/**
 * Runs on the audio thread: hands the microphone's samples over in blocks of about 20 ms, and
 * notices speech by its loudness.
 *
 * It imports nothing: `capture-worklet.js` is a copy of it. Where there are no worklets, the same
 * classes run in the page.
 */

/// <reference path="./worklet-globals.d.ts" />

const BLOCK = 1024;
const FRAME_MS = 10;
/** Below that is silence, however quiet the room. */
const QUIETEST_DB = -58;
/** How fast the idea of the room's noise follows it, in dB per second. */
const RISE = 6;
const RISE_IN_SPEECH = 0.5;
const FALL = 60;
/** Speech must fall so far below what began it before it counts as silence. */
const HYSTERESIS_DB = 3;

/** @typedef {"silent" | "speaking" | "pausing"} Voice What a detector of speech hears. */

/**
 * @typedef {object} VoiceSettings How a detector notices speech.
 * @property {number} sensitivity from 0 (only loud speech) to 1 (whispers, and noise)
 * @property {number} startMs so much speech begins an utterance
 * @property {number} endMs so much silence ends it
 * @property {number} pauseMs so much is a pause, if not the end
 */

/**
 * Finds speech by energy: louder than the room, for a while. The room's noise is followed
 * downwards quickly and upwards slowly, more slowly while somebody speaks.
 */
export class VoiceDetector {
  /** @type {Voice} */
  voice = "silent";
  /** The room's noise. */
  floorDb = -50;
  /** More is asked for while a reply is played: an echo may be left of it. */
  extraDb = 0;
  /** @type {VoiceSettings} */
  settings = { sensitivity: 0.5, startMs: 90, endMs: 700, pauseMs: 200 };
  #rateHz;
  #energy = 0;
  #count = 0;
  #previous = 0;
  #loudMs = 0;
  #quietMs = 0;

  /** @param {number} rateHz */
  constructor(rateHz) {
    this.#rateHz = rateHz;
  }

  /**
   * @param {ArrayLike<number>} samples
   * @returns {Voice | undefined} what is heard, when that has just changed
   */
  push(samples) {
    const before = this.voice;
    for (let i = 0; i < samples.length; i += 1) {
      const sample = samples[i] ?? 0;
      // A first difference takes out hum and rumble, which are loud but no speech.
      const edge = sample - 0.97 * this.#previous;
      this.#previous = sample;
      this.#energy += edge * edge;
      this.#count += 1;
      if (this.#count * 1000 >= this.#rateHz * FRAME_MS) this.#frame();
    }
    return this.voice === before ? undefined : this.voice;
  }

  #frame() {
    const db = 10 * Math.log10(this.#energy / this.#count + 1e-10);
    this.#energy = this.#count = 0;
    const margin = 18 - 12 * this.settings.sensitivity + this.extraDb;
    const threshold = Math.max(this.floorDb, QUIETEST_DB - 6) + margin;
    const isSilent = this.voice === "silent";
    const isLoud = db > QUIETEST_DB && db > threshold - (isSilent ? 0 : HYSTERESIS_DB);
    this.#loudMs = isLoud ? this.#loudMs + FRAME_MS : Math.max(0, this.#loudMs - FRAME_MS);
    this.#quietMs = isLoud ? 0 : this.#quietMs + FRAME_MS;
    this.voice = this.#next(isLoud);
    // Between words, a falling floor would make the next noise look like speech.
    const perSecond = db < this.floorDb ? -FALL : isSilent && !isLoud ? RISE : RISE_IN_SPEECH;
    const step = (perSecond * FRAME_MS) / 1000;
    const difference = db - this.floorDb;
    this.floorDb += step > 0 ? Math.min(step, difference) : Math.max(step, difference);
  }

  /**
   * @param {boolean} isLoud
   * @returns {Voice}
   */
  #next(isLoud) {
    const { startMs, endMs, pauseMs } = this.settings;
    if (this.voice === "silent") return this.#loudMs >= startMs ? "speaking" : "silent";
    if (isLoud) return "speaking";
    if (this.#quietMs < Math.min(pauseMs, endMs)) return this.voice;
    if (this.#quietMs < endMs) return "pausing";
    this.#loudMs = 0;
    return "silent";
  }
}

/** Collects blocks and says what it hears; `post` reaches the page. */
export class Capture {
  #block = new Float32Array(BLOCK);
  #filled = 0;
  /** @type {VoiceDetector | undefined} */
  #detector;

  /**
   * @param {number} rateHz
   * @param {(message: object) => void} post
   */
  constructor(rateHz, post) {
    this.rateHz = rateHz;
    this.post = post;
  }

  /**
   * @param {{flush?: number, watch?: VoiceSettings | null, extraDb?: number}} message hand over
   *   what there is; begin or cease to notice speech; how much more is asked for
   */
  take({ flush, watch, extraDb }) {
    if (watch) this.#detector = Object.assign(new VoiceDetector(this.rateHz), { settings: watch });
    if (watch === null) this.#detector = undefined;
    if (this.#detector && extraDb !== undefined) this.#detector.extraDb = extraDb;
    if (flush === undefined) return;
    this.#hand();
    this.post({ flushed: flush });
  }

  /** @param {ArrayLike<number>} samples */
  push(samples) {
    const voice = this.#detector?.push(samples);
    for (let i = 0; i < samples.length; i += 1) {
      this.#block[this.#filled] = samples[i] ?? 0;
      this.#filled += 1;
      if (this.#filled === BLOCK) this.#hand();
    }
    if (!voice) return;
    if (this.#filled) this.#hand(); // what led to it comes before it
    this.post({ voice });
  }

  #hand() {
    this.post({ samples: this.#block.slice(0, this.#filled) });
    this.#filled = 0;
  }
}

if ("registerProcessor" in globalThis) {
  registerProcessor(
    "parley-capture",
    class extends AudioWorkletProcessor {
      capture = new Capture(sampleRate, (message) => this.port.postMessage(message));

      constructor() {
        super();
        this.port.onmessage = ({ data }) => this.capture.take(data);
      }

      /** @param {Float32Array[][]} inputs */
      process(inputs) {
        const channel = inputs[0]?.[0];
        if (channel) this.capture.push(channel);
        return true;
      }
    },
  );
}
