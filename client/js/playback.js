/**
 * Runs on the audio thread: plays queued samples without a gap, counts what it has played of
 * each turn, and falls silent within one block of 128 samples when told to.
 *
 * What was handed to the device before a flush is still heard; so the count is of what left
 * here, which is what reaches the ear. It imports nothing: `player-worklet.js` is a copy of it. Where
 * there are no worklets, the same class runs in the page.
 */

/// <reference path="./worklet-globals.d.ts" />

/** 20 ms at 24 kHz. */
const REPORT_SAMPLES = 512;
/** How many samples the end of what is cut off fades over (5 ms at 24 kHz); a step would click. */
const FADE = 128;
/** After audio came late, so much is collected before it goes on, or so long is waited for it:
 * one pause is better than a stutter. */
const COLLECT_S = 0.08;
const COLLECT_PATIENCE_S = 0.2;

/** @typedef {{turn: string, samples: Float32Array, at: number}} Piece */

export class Playback {
  /** @type {Piece[]} */
  queue = [];
  turn = "";
  played = 0;
  gaps = 0;
  peak = 0;
  paused = false;
  muted = false;
  #unreported = false;
  #sinceReport = 0;
  /** Goes to 0 when paused, and back to 1. */
  #gain = 1;
  /** Goes to 0 when muted, and back to 1. */
  #volume = 1;
  /** The turn of which nothing more will come. */
  #finished = "";
  /** How long it has been waited, in samples, after audio came late.
   * @type {number | undefined} */
  #collecting;

  /**
   * @param {number} rateHz
   * @param {(report: object) => void} post
   */
  constructor(rateHz, post) {
    this.rateHz = rateHz;
    this.post = post;
  }

  /**
   * @param {{turn?: string, samples?: Float32Array, begin?: string, finish?: string,
   *   flush?: number, fade?: boolean, paused?: boolean, muted?: boolean}} message
   */
  take({ turn = "", samples, begin, finish, flush, fade = false, paused, muted }) {
    if (begin !== undefined) this.#begin(begin);
    if (samples) this.#add(turn, samples);
    if (finish !== undefined) this.#finished = finish;
    if (paused !== undefined) this.paused = paused;
    if (muted !== undefined) this.muted = muted;
    if (flush !== undefined) this.#flush(flush, fade);
  }

  /** @param {Float32Array} out silence, to be filled */
  render(out) {
    if (this.#canPlay(out.length)) {
      // What was not cut needs no ramp: before its first sample there is nothing.
      if (!this.paused && this.#isAtBeginning()) this.#gain = 1;
      const count = this.#fill(out);
      this.#shape(out, count);
      for (const sample of out) this.peak = Math.max(this.peak, Math.abs(sample));
    }
    // After the level was taken: that a reply goes on can be seen also if it is not heard.
    if (this.muted || this.#volume < 1) this.#mute(out);
    this.#sinceReport += out.length;
    const due = this.#sinceReport >= REPORT_SAMPLES || this.queue.length === 0;
    if (due && this.#unreported) this.#report();
  }

  /** @param {string} turn what came of it before is neither heard nor counted */
  #begin(turn) {
    this.queue = this.queue.filter((piece) => piece.turn !== turn);
    if (this.#finished === turn) this.#finished = "";
    if (this.turn !== turn) return;
    this.turn = "";
    this.played = 0;
    this.#collecting = undefined;
    this.#report();
  }

  /**
   * @param {string} turn
   * @param {Float32Array} samples
   */
  #add(turn, samples) {
    if (this.queue.length === 0 && turn === this.turn) {
      this.gaps += 1;
      this.#collecting = 0;
    }
    this.queue.push({ turn, samples, at: 0 });
  }

  #isAtBeginning() {
    const [next] = this.queue;
    return next !== undefined && next.turn !== this.turn;
  }

  /** @param {number} wanted samples */
  #canPlay(wanted) {
    if (this.paused && this.#gain === 0) return false;
    if (this.#collecting === undefined) return true;
    this.#collecting += wanted;
    const queued = this.queue.reduce((sum, { samples, at }) => sum + samples.length - at, 0);
    const enough = queued >= COLLECT_S * this.rateHz || this.#finished === this.turn;
    if (!enough && this.#collecting < COLLECT_PATIENCE_S * this.rateHz) return false;
    this.#collecting = undefined;
    return true;
  }

  /**
   * @param {number} number
   * @param {boolean} fade
   */
  #flush(number, fade) {
    const rest = new Float32Array(fade && !this.paused ? FADE : 0);
    const count = this.#fill(rest, this.turn);
    for (let i = 0; i < count; i += 1) rest[i] = (rest[i] ?? 0) * (1 - i / FADE);
    // Counted already, so it belongs to no turn.
    this.queue = count ? [{ turn: "", samples: rest.subarray(0, count), at: 0 }] : [];
    this.#collecting = undefined;
    this.paused = false;
    this.#gain = 1;
    this.#report({ flushed: number });
  }

  /**
   * Take samples from the queue.
   * @param {Float32Array} out
   * @param {string} [only] of this turn alone
   * @returns {number} how many there were
   */
  #fill(out, only) {
    let filled = 0;
    for (let head = this.queue[0]; head && filled < out.length; head = this.queue[0]) {
      if (only !== undefined && head.turn !== only) break;
      const count = Math.min(out.length - filled, head.samples.length - head.at);
      out.set(head.samples.subarray(head.at, head.at + count), filled);
      head.at += count;
      filled += count;
      this.#count(head.turn, count);
      if (head.at === head.samples.length) this.queue.shift();
    }
    return filled;
  }

  /**
   * Fade out before a pause and in after it; otherwise the samples stay as they are.
   * @param {Float32Array} out
   * @param {number} count
   */
  #shape(out, count) {
    const target = this.paused ? 0 : 1;
    for (let i = 0; i < count && (this.#gain !== target || target === 0); i += 1) {
      const step = this.#gain + (this.paused ? -1 : 1) / FADE;
      this.#gain = Math.max(0, Math.min(1, step));
      out[i] = (out[i] ?? 0) * this.#gain;
    }
    if (this.paused && count === 0) this.#gain = 0;
  }

  /** @param {Float32Array} out what is heard, or not; in steps, which would click otherwise */
  #mute(out) {
    for (let i = 0; i < out.length; i += 1) {
      this.#volume = Math.max(0, Math.min(1, this.#volume + (this.muted ? -1 : 1) / FADE));
      out[i] = (out[i] ?? 0) * this.#volume;
    }
  }

  /**
   * @param {string} turn
   * @param {number} samples
   */
  #count(turn, samples) {
    if (!turn) return;
    if (turn !== this.turn) {
      this.turn = turn;
      this.played = 0;
    }
    this.played += samples;
    this.#unreported = true;
  }

  /** @param {{flushed?: number}} [more] */
  #report(more = {}) {
    const { turn, played, gaps, peak: level } = this;
    this.post({ turn, played, gaps, level, ...more });
    this.#sinceReport = 0;
    this.peak = 0;
    this.#unreported = false;
  }
}

if ("registerProcessor" in globalThis) {
  registerProcessor(
    "parley-player",
    class extends AudioWorkletProcessor {
      playback = new Playback(sampleRate, (report) => this.port.postMessage(report));

      constructor() {
        super();
        this.port.onmessage = ({ data }) => this.playback.take(data);
      }

      /**
       * @param {Float32Array[][]} _inputs
       * @param {Float32Array[][]} outputs
       */
      process(_inputs, outputs) {
        const out = outputs[0]?.[0];
        if (out) this.playback.render(out);
        return true;
      }
    },
  );
}
