/**
 * From the microphone to 16 kHz PCM in chunks of 100 ms, with the browser's echo cancellation
 * and noise suppression.
 */
import { Chunker } from "./chunker.js";
import { Problem } from "./problem.js";
import { Resampler } from "./resampler.js";

export const RATE_HZ = 16_000;
export const CHUNK_SAMPLES = RATE_HZ / 10;
/** The microphone stays open between turns, so that the next one begins at once; unused for
 * so long, it is let go, and the browser's recording mark with it. */
const RELEASE_AFTER_MS = 60_000;

/** @typedef {{node: AudioWorkletNode, source: AudioNode, flushed: Promise<void>}} Capture */

export class Microphone {
  /** The loudest sample of the last 20 ms, from 0 to 1. */
  level = 0;
  /** @type {MediaStream | undefined} */
  #stream;
  /** @type {Promise<AudioContext> | undefined} */
  #opening;
  /** @type {Capture | undefined} */
  #capture;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #releasing;

  /** @param {URL} [worklet] where `capture-worklet.js` is */
  constructor(worklet = new URL("./capture-worklet.js", import.meta.url)) {
    this.worklet = worklet;
  }

  /**
   * Begin to listen. Call it from a user's gesture.
   * @param {(pcm: Uint8Array) => void} onChunk
   * @throws {Problem} `microphone_denied`, `microphone_missing`, `microphone_failed`
   */
  async start(onChunk) {
    clearTimeout(this.#releasing);
    try {
      this.#opening ??= this.#open();
      const [stream, context] = await Promise.all([this.#input(), this.#opening]);
      await context.resume();
      this.#capture = this.#connect(stream, context, onChunk);
    } catch (cause) {
      throw problemOf(cause);
    }
  }

  /** Stop listening; settles when the last chunk has been handed over. */
  async stop() {
    const capture = this.#capture;
    if (!capture) return;
    this.#capture = undefined;
    capture.source.disconnect();
    capture.node.port.postMessage("flush");
    await capture.flushed;
    this.level = 0;
    this.#releasing = setTimeout(() => this.release(), RELEASE_AFTER_MS);
  }

  /** Let go of the microphone. */
  release() {
    clearTimeout(this.#releasing);
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
  }

  async #input() {
    // A track ends when its device is unplugged.
    const alive = this.#stream?.getTracks().every((track) => track.readyState === "live");
    if (!this.#stream || !alive) {
      if (!navigator.mediaDevices) {
        throw new Problem("microphone_missing", "The microphone needs a secure (https) page.");
      }
      this.#stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          channelCount: 1,
          echoCancellation: true,
          noiseSuppression: true,
          autoGainControl: true,
        },
      });
    }
    return this.#stream;
  }

  async #open() {
    // At the device's own rate: a `sampleRate` asked for is not honoured everywhere.
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule(this.worklet);
    } catch (problem) {
      this.#opening = undefined;
      void context.close();
      throw problem;
    }
    return context;
  }

  /**
   * @param {MediaStream} stream
   * @param {AudioContext} context
   * @param {(pcm: Uint8Array) => void} onChunk
   * @returns {Capture}
   */
  #connect(stream, context, onChunk) {
    const node = new AudioWorkletNode(context, "parley-capture", { numberOfOutputs: 0 });
    const source = context.createMediaStreamSource(stream);
    const resampler = new Resampler(context.sampleRate, RATE_HZ);
    const chunker = new Chunker(CHUNK_SAMPLES, onChunk);
    /** @type {Promise<void>} */
    const flushed = new Promise((resolve) => {
      node.port.onmessage = ({ data }) => {
        if (data !== "flushed") {
          this.level = peak(data);
          chunker.push(resampler.push(data));
          return;
        }
        chunker.push(resampler.flush());
        chunker.flush();
        node.disconnect();
        resolve();
      };
    });
    source.connect(node);
    return { node, source, flushed };
  }
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
