/**
 * The microphone's device for as long as it is open, once: from the user's permission to the samples.
 * Whenever it is closed, whatever is under way, nothing of it stays open.
 */
import { audioThreadNode } from "./audio-thread.js";
import { Capture } from "./capture.js";
import { CaptureMonitor } from "./capture-monitor.js";
import { endTracks, notOpened } from "./microphone-access.js";
import { Problem } from "./problem.js";

/** @typedef {import("./audio-thread.js").AudioThreadNode} AudioThreadNode */
/** @typedef {import("./capture.js").Voice} Voice */
/** @typedef {{samples?: Float32Array, voice?: Voice, flushed?: number}} CaptureMessage */

/**
 * @typedef {object} CaptureHooks
 * @property {(message: CaptureMessage) => void} onMessage of the audio thread
 * @property {() => void} onLost unplugged, or taken away
 * @property {(why: import("./capture-monitor.js").Deafness | undefined) => void} onDeafness it has gone
 *   deaf; without a reason, it hears again
 * @property {(warning: Problem) => void} onWarning
 */

/** A context that may not run, during a call, may not answer: it is seen to while it is open. */
const RESUME_TIMEOUT_MS = 2_000;

export class CaptureDevice {
  /** Settles when it is open; fails at once when it is closed before. */
  ready;
  #isClosed = false;
  /** @type {AudioContext | undefined} */
  #context;
  /** @type {MediaStream | undefined} */
  #stream;
  /** @type {AudioThreadNode | undefined} */
  #capture;
  /** @type {AudioNode | undefined} */
  #source;
  /** @type {CaptureMonitor | undefined} */
  #monitor;
  /** @type {(stream: MediaStream) => void} */
  #provide = () => undefined;
  /** @type {(cause: unknown) => void} */
  #fail = () => undefined;

  /**
   * Call it from a user's gesture.
   * @param {URL} worklet
   * @param {CaptureHooks} hooks
   */
  constructor(worklet, hooks) {
    this.worklet = worklet;
    this.hooks = hooks;
    /** @type {Promise<MediaStream>} */
    const given = new Promise((resolve) => (this.#provide = resolve));
    /** @type {Promise<never>} */
    const failed = new Promise((_, reject) => (this.#fail = reject));
    this.ready = Promise.race([this.#open(given), failed]);
    // Who waits for it hears of it; nobody has to.
    this.ready.catch(() => undefined);
  }

  /** Whether the browser shows its recording mark for it. */
  get hasStream() {
    return this.#stream !== undefined;
  }

  /** In Hz; 0 before it is open. */
  get sampleRate() {
    return this.#context?.sampleRate ?? 0;
  }

  /** @param {MediaStream} stream that the user has allowed; its tracks are this device's to end */
  attach(stream) {
    this.#stream = stream;
    // A track ends when its device is unplugged, or the permission is taken back.
    for (const track of stream.getTracks()) track.onended = () => this.hooks.onLost();
    this.#provide(stream);
  }

  /**
   * Hear another microphone from now on, once it is open.
   * @param {MediaStream} stream whose tracks are this device's to end, also if it cannot be used
   * @throws {Problem} `microphone_failed`; the one of before is heard all the same
   */
  replace(stream) {
    const [context, capture, before] = [this.#context, this.#capture, this.#stream];
    try {
      if (this.#isClosed || !context || !capture) throw letGo();
      // Before the old one is let go: some browsers refuse another sample rate than the context's.
      const source = context.createMediaStreamSource(stream);
      this.#source?.disconnect();
      source.connect(capture.node);
      this.#source = source;
    } catch (cause) {
      endTracks(stream);
      throw notOpened(cause);
    }
    this.attach(stream);
    this.#monitor?.stop();
    this.#monitor = new CaptureMonitor(context, stream.getTracks(), this.hooks.onDeafness);
    if (before) endTracks(before);
  }

  /** @param {boolean} isMuted whether its tracks give silence, and the browser says so */
  setMuted(isMuted) {
    for (const track of this.#stream?.getTracks() ?? []) track.enabled = !isMuted;
  }

  /** @param {unknown} cause why it does not open */
  fail(cause) {
    this.#fail(cause);
  }

  /** @param {object} message to the audio thread */
  post(message) {
    this.#capture?.post(message);
  }

  /** Let go of it, or of what is being opened. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#monitor?.stop();
    this.#source?.disconnect();
    if (this.#stream) endTracks(this.#stream);
    void this.#context?.close();
    // Chromium keeps a worklet's node until the page is left: it shall keep nothing else.
    this.#capture?.listen(() => {});
    this.#stream = this.#capture = undefined;
    this.fail(letGo());
  }

  /** @param {Promise<MediaStream>} given */
  async #open(given) {
    try {
      // At the device's own rate: a `sampleRate` asked for is not honoured everywhere.
      const context = (this.#context = new AudioContext());
      const [stream, capture] = await Promise.all([given, this.#made(context)]);
      await resumed(context);
      if (this.#isClosed) return;
      if (stream.getTracks().some(({ readyState }) => readyState === "ended")) throw gone();
      this.#source = context.createMediaStreamSource(stream);
      this.#source.connect(capture.node);
      this.#monitor = new CaptureMonitor(context, stream.getTracks(), this.hooks.onDeafness);
    } catch (cause) {
      throw notOpened(cause);
    }
  }

  /** @param {AudioContext} context */
  async #made(context) {
    const capture = await audioThreadNode(context, {
      module: this.worklet,
      name: "parley-capture",
      options: { numberOfOutputs: 1 },
      instead: (post) => {
        const work = new Capture(context.sampleRate, post);
        return { take: (message) => work.take(message), process: (input) => work.push(input) };
      },
    });
    if (this.#isClosed) return capture;
    this.#capture = capture;
    capture.listen((message) => this.#heard(message));
    // A node that leads nowhere is not run by every browser. It is silent.
    capture.node.connect(context.destination);
    if (capture.warning) this.hooks.onWarning(capture.warning);
    return capture;
  }

  /** @param {CaptureMessage} message */
  #heard(message) {
    if (this.#isClosed) return;
    if (message.samples?.length) this.#monitor?.heard();
    this.hooks.onMessage(message);
  }
}

/** Why a microphone that was let go did not open. */
export function letGo() {
  const text = "The microphone was let go before it was open.";
  return new Problem("microphone_failed", text, { retryable: true });
}

/** Why a microphone is not heard any more. */
export function gone() {
  const text = "The microphone is gone: unplugged, or no longer allowed.";
  return new Problem("microphone_lost", text, { retryable: true });
}

/** @param {AudioContext} context */
async function resumed(context) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, RESUME_TIMEOUT_MS)));
  try {
    await Promise.race([context.resume(), late]);
  } finally {
    clearTimeout(timer);
  }
}
