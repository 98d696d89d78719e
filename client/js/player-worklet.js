/**
 * Runs on the audio thread: plays queued samples without a gap, counts what has sounded,
 * and falls silent within one block of 128 samples when told to.
 */

/// <reference path="./worklet-globals.d.ts" />

const REPORT_BLOCKS = 8;

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    /** @type {{turn: string, samples: Float32Array, at: number}[]} */
    this.queue = [];
    this.turn = "";
    this.played = 0;
    this.blocks = 0;
    this.peak = 0;
    this.busy = false;
    this.port.onmessage = ({ data }) => {
      if (data.samples) {
        this.queue.push({ turn: data.turn, samples: data.samples, at: 0 });
      } else if (data.flush) {
        this.queue = [];
        this.#report(true);
      }
    };
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, outputs) {
    const out = outputs[0]?.[0];
    if (!out) return true;
    let filled = 0;
    while (filled < out.length && this.queue.length) {
      const head = /** @type {typeof this.queue[0]} */ (this.queue[0]);
      if (head.turn !== this.turn) {
        this.turn = head.turn;
        this.played = 0;
      }
      const count = Math.min(out.length - filled, head.samples.length - head.at);
      out.set(head.samples.subarray(head.at, head.at + count), filled);
      head.at += count;
      filled += count;
      this.played += count;
      if (head.at === head.samples.length) this.queue.shift();
    }
    for (const sample of out) this.peak = Math.max(this.peak, Math.abs(sample));
    const busy = this.queue.length > 0;
    this.blocks += 1;
    if (this.blocks >= REPORT_BLOCKS || busy !== this.busy) this.#report(false);
    this.busy = busy;
    return true;
  }

  /** @param {boolean} flushed */
  #report(flushed) {
    this.port.postMessage({
      turn: this.turn,
      played: this.played,
      level: this.peak,
      busy: this.queue.length > 0,
      flushed,
    });
    this.blocks = 0;
    this.peak = 0;
  }
}

registerProcessor("parley-player", Playback);
