/** From the microphone to 16 kHz PCM in chunks of 100 ms. */
import { encodePcm } from "./pcm.js";
import { Resampler } from "./resampler.js";

export const RATE_HZ = 16_000;
export const CHUNK_SAMPLES = RATE_HZ / 10;

export class Microphone {
  /** @param {URL} [worklet] where `capture-worklet.js` is */
  constructor(worklet = new URL("./capture-worklet.js", import.meta.url)) {
    this.worklet = worklet;
    /** @type {MediaStream | undefined} */
    this.stream = undefined;
    /** @type {AudioContext | undefined} */
    this.context = undefined;
    /** @type {{node: AudioWorkletNode, source: MediaStreamAudioSourceNode} | undefined} */
    this.capture = undefined;
    this.level = 0;
  }

  /**
   * Begin to listen. Call it from a user's gesture.
   * @param {(pcm: Uint8Array) => void} onChunk
   * @throws {DOMException} `NotAllowedError` when the user said no
   */
  async start(onChunk) {
    this.stream ??= await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true },
    });
    if (!this.context) {
      this.context = new AudioContext();
      await this.context.audioWorklet.addModule(this.worklet);
    }
    await this.context.resume();
    const resampler = new Resampler(this.context.sampleRate, RATE_HZ);
    const node = new AudioWorkletNode(this.context, "parley-capture", { numberOfOutputs: 0 });
    const source = this.context.createMediaStreamSource(this.stream);
    const chunker = new Chunker(onChunk);
    this.finished = new Promise((resolve) => {
      node.port.onmessage = ({ data }) => {
        if (data === "flushed") {
          chunker.flush();
          resolve(undefined);
          return;
        }
        this.level = peak(data);
        chunker.push(resampler.push(data));
      };
    });
    source.connect(node);
    this.capture = { node, source };
  }

  /** Stop listening; settles when the last chunk has been handed over. */
  async stop() {
    if (!this.capture) return;
    this.capture.source.disconnect();
    this.capture.node.port.postMessage("flush");
    this.capture = undefined;
    await this.finished;
    this.level = 0;
  }

  /** Let go of the microphone. */
  release() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = undefined;
  }
}

/** Collects samples into chunks of 100 ms. */
export class Chunker {
  /** @param {(pcm: Uint8Array) => void} onChunk */
  constructor(onChunk) {
    this.onChunk = onChunk;
    this.chunk = new Float32Array(CHUNK_SAMPLES);
    this.filled = 0;
  }

  /** @param {Float32Array} samples */
  push(samples) {
    for (const sample of samples) {
      this.chunk[this.filled] = sample;
      this.filled += 1;
      if (this.filled === CHUNK_SAMPLES) {
        this.onChunk(encodePcm(this.chunk));
        this.filled = 0;
      }
    }
  }

  /** Hand over what is left. */
  flush() {
    if (this.filled) this.onChunk(encodePcm(this.chunk.subarray(0, this.filled)));
    this.filled = 0;
  }
}

/** @param {Float32Array} samples */
function peak(samples) {
  let highest = 0;
  for (const sample of samples) highest = Math.max(highest, Math.abs(sample));
  return highest;
}
