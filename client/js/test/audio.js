/**
 * Sound without a browser: contexts without worklets, so that what plays and what listens is the
 * real code, and a permission for the microphone that is given when the test says so.
 */

import assert from "node:assert/strict";

import { settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

export const BLOCK = 2048;
const DEADLINE_MS = 5_000;

export class FakeAudioContext {
  /** Every one that was made, in order.
   * @type {FakeAudioContext[]} */
  static all = [];
  static get last() {
    return /** @type {FakeAudioContext} */ (FakeAudioContext.all.at(-1));
  }
  /** The next that is made cannot be used. */
  static isBroken = false;
  /** How the next ones load a worklet; without it they have none.
   * @type {((module: URL) => Promise<void>) | undefined} */
  static loads;
  /** How the next ones resume.
   * @type {() => Promise<void>} */
  static resumes = async () => undefined;
  state = "running";
  destination = {};
  onstatechange = () => {};
  node = {
    /** @param {object} _event */
    onaudioprocess: (_event) => {},
    connect: () => {},
  };

  /** @param {{sampleRate?: number}} [options] */
  constructor({ sampleRate = 16_000 } = {}) {
    this.sampleRate = sampleRate;
    this.isBroken = FakeAudioContext.isBroken;
    FakeAudioContext.all.push(this);
  }

  get audioWorklet() {
    const { loads } = FakeAudioContext;
    return loads && { addModule: loads };
  }

  /** How often it was asked to. */
  resumed = 0;

  resume() {
    this.resumed += 1;
    return FakeAudioContext.resumes();
  }

  /**
   * The browser stops it, or lets it go on.
   * @param {string} state
   */
  becomes(state) {
    this.state = state;
    this.onstatechange();
  }

  async close() {
    if (this.state === "closed") throw new DOMException("Closed already.", "InvalidStateError");
    this.state = "closed";
    this.onstatechange();
  }

  createScriptProcessor() {
    if (this.isBroken) throw new DOMException("No sound here.", "NotSupportedError");
    return this.node;
  }

  createMediaStreamSource() {
    return { connect: () => {}, disconnect: () => {} };
  }

  /**
   * One block of sound passes.
   * @param {number} [level] what the microphone hears
   * @returns {Float32Array} what is heard of it
   */
  passes(level = 0) {
    const input = new Float32Array(BLOCK).fill(level);
    const output = new Float32Array(BLOCK);
    const buffer = (/** @type {Float32Array} */ samples) => ({ getChannelData: () => samples });
    const event = { inputBuffer: buffer(input), outputBuffer: buffer(output) };
    if (this.state === "running") this.node.onaudioprocess(event);
    return output;
  }
}

/** A node of a worklet that says nothing. */
class FakeWorkletNode {
  port = { postMessage: () => {}, onmessage: () => {} };
  connect() {}
}

export class FakeTrack {
  readyState = "live";
  muted = false;
  onended = () => {};
  onmute = () => {};
  onunmute = () => {};
  /** @param {boolean} isMuted by the system */
  mutes(isMuted) {
    this.muted = isMuted;
    if (isMuted) this.onmute();
    else this.onunmute();
  }
  stop() {
    this.readyState = "ended";
  }
}

/**
 * A browser that has sound, and a microphone.
 * @param {Context} t
 */
export function withSound(t) {
  FakeAudioContext.all = [];
  FakeAudioContext.isBroken = false;
  FakeAudioContext.loads = undefined;
  FakeAudioContext.resumes = async () => undefined;
  /** What was asked for the microphone: each is to be answered.
   * @type {{allow: () => FakeTrack, deny: (why?: unknown) => void}[]} */
  const asked = [];
  /** @type {FakeTrack[]} */
  const tracks = [];
  const getUserMedia = () =>
    new Promise((resolve, reject) => {
      const allow = () => {
        const track = new FakeTrack();
        tracks.push(track);
        resolve({ getTracks: () => [track] });
        return track;
      };
      /** @param {unknown} [why] */
      const deny = (why) => reject(why ?? new DOMException("No.", "NotAllowedError"));
      asked.push({ allow, deny });
    });
  Object.defineProperty(globalThis, "AudioContext", {
    value: FakeAudioContext,
    configurable: true,
  });
  Object.defineProperty(globalThis, "AudioWorkletNode", {
    value: FakeWorkletNode,
    configurable: true,
  });
  // Node.js has a navigator from version 21 on.
  const hadNavigator = "navigator" in globalThis;
  if (!hadNavigator) {
    Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
  }
  Object.defineProperty(navigator, "mediaDevices", {
    value: { getUserMedia },
    configurable: true,
  });
  t.after(() => {
    Reflect.deleteProperty(globalThis, "AudioContext");
    Reflect.deleteProperty(globalThis, "AudioWorkletNode");
    Reflect.deleteProperty(navigator, "mediaDevices");
    if (!hadNavigator) Reflect.deleteProperty(globalThis, "navigator");
  });
  const live = () => tracks.filter(({ readyState }) => readyState === "live");
  /** Settles when no microphone is open any more. */
  const letGo = async () => {
    for (const begunAt = Date.now(); live().length; await settled()) {
      assert.ok(Date.now() < begunAt + DEADLINE_MS, "the microphone stays open");
    }
  };
  return { asked, tracks, live, letGo };
}
