/**
 * Runs on the audio thread: plays queued samples without a gap, counts what it has played of
 * each turn, and falls silent within one block of 128 samples when told to.
 *
 * What was handed to the device before a flush is still heard; so the count is of what left
 * here, which is what reaches the ear.
 */

/// <reference path="./worklet-globals.d.ts" />

/** 20 ms at 24 kHz. */
const REPORT_BLOCKS = 4;
/** The end of what is cut off fades over so many samples (5 ms at 24 kHz); a step would click. */
const FADE = 128;

/** @typedef {{turn: string, samples: Float32Array, at: number}} Piece */

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    /** @type {Piece[]} */
    this.queue = [];
    this.turn = "";
    this.played = 0;
    this.gaps = 0;
    this.blocks = 0;
    this.peak = 0;
    this.unreported = false;
    this.port.onmessage = ({ data }) => {
      if (data.samples) this.add(data.turn, data.samples);
      else this.flush(data.flush, data.fade);
    };
  }

  /**
   * @param {string} turn
   * @param {Float32Array} samples
   */
  add(turn, samples) {
    if (this.queue.length === 0 && turn === this.turn) this.gaps += 1;
    this.queue.push({ turn, samples, at: 0 });
  }

  /**
   * @param {number} number
   * @param {boolean} fade
   */
  flush(number, fade) {
    const rest = new Float32Array(fade ? FADE : 0);
    const count = this.fill(rest, this.turn);
    for (let i = 0; i < count; i += 1) rest[i] = (rest[i] ?? 0) * (1 - i / FADE);
    // Counted already, so it belongs to no turn.
    this.queue = count ? [{ turn: "", samples: rest.subarray(0, count), at: 0 }] : [];
    this.report({ flushed: number });
  }

  /**
   * Take samples from the queue.
   * @param {Float32Array} out
   * @param {string} [only] of this turn alone
   * @returns {number} how many there were
   */
  fill(out, only) {
    let filled = 0;
    for (let head = this.queue[0]; head && filled < out.length; head = this.queue[0]) {
      if (only !== undefined && head.turn !== only) break;
      const count = Math.min(out.length - filled, head.samples.length - head.at);
      out.set(head.samples.subarray(head.at, head.at + count), filled);
      head.at += count;
      filled += count;
      this.count(head.turn, count);
      if (head.at === head.samples.length) this.queue.shift();
    }
    return filled;
  }

  /**
   * @param {string} turn
   * @param {number} samples
   */
  count(turn, samples) {
    if (!turn) return;
    if (turn !== this.turn) {
      this.turn = turn;
      this.played = 0;
    }
    this.played += samples;
    this.unreported = true;
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, outputs) {
    const out = outputs[0]?.[0];
    if (!out) return true;
    this.fill(out);
    for (const sample of out) this.peak = Math.max(this.peak, Math.abs(sample));
    this.blocks += 1;
    const due = this.blocks >= REPORT_BLOCKS || this.queue.length === 0;
    if (due && this.unreported) this.report();
    return true;
  }

  /** @param {{flushed?: number}} [more] */
  report(more = {}) {
    const { turn, played, gaps, peak: level } = this;
    this.port.postMessage({ turn, played, gaps, level, ...more });
    this.blocks = 0;
    this.peak = 0;
    this.unreported = false;
  }
}

registerProcessor("parley-player", Playback);
