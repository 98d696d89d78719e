/** What the tests hand in: a WebSocket without a network, a microphone, a player, a network. */

import assert from "node:assert/strict";

import { WebSocket as WebSocketOfPackage } from "ws";

import { Problem } from "../problem.js";

/** @typedef {Record<string, unknown>} Frame */
/** @typedef {import("../capture.js").Voice} Voice */

/** Keeps what is sent, says what it is told to say. */
export class FakeSocket {
  /** Every one that was made, in order.
   * @type {FakeSocket[]} */
  static all = [];
  readyState = 1;
  bufferedAmount = 0;
  /** @type {Frame[]} */
  sent = [];
  onopen = () => {};
  /** @param {{data: string}} _frame */
  onmessage = (_frame) => {};
  /** @param {{code: number}} _event */
  onclose = (_event) => {};
  /**
   * @param {string} url
   * @param {string[]} [protocols]
   */
  constructor(url, protocols) {
    if (!url.startsWith("ws")) throw new SyntaxError("not a WebSocket address");
    this.url = url;
    this.protocols = protocols;
    FakeSocket.all.push(this);
  }
  static get last() {
    return /** @type {FakeSocket} */ (FakeSocket.all.at(-1));
  }
  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  /** @param {Frame} frame */
  says(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
  /** The handshake succeeds. */
  opens() {
    this.onopen();
  }
  /** @param {Frame} [more] */
  becomesReady(more = {}) {
    this.opens();
    this.says({ ...READY, ...more });
  }
  /** @param {string} type */
  ofType(type) {
    return this.sent.filter((frame) => frame["type"] === type);
  }
  /** What was sent after `init`. */
  types() {
    return this.sent.slice(1).map((frame) => frame["type"]);
  }
  /** @param {number} code */
  ends(code) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose({ code });
  }
  close() {
    this.ends(1000);
  }
}

class NodeWebSocket extends WebSocketOfPackage {
  /**
   * @param {string} url
   * @param {string[]} [protocols]
   */
  constructor(url, protocols) {
    super(url, protocols);
    // As a browser's: an error that nobody listens to is no exception.
    this.on("error", () => undefined);
  }
}

/** A real one: Node.js has it from version 22 on. */
export const AnyWebSocket =
  globalThis.WebSocket ?? /** @type {typeof WebSocket} */ (/** @type {unknown} */ (NodeWebSocket));
export const SocketClass = /** @type {typeof WebSocket} */ (/** @type {unknown} */ (FakeSocket));
export const READY = {
  type: "ready",
  session_id: "s",
  resume_token: "t1",
  resumed: false,
  settings: {},
  limits: { max_text_chars: 100 },
};

/** A network and a page that change as they are told. */
export class FakePresence {
  isOnline = true;
  isVisible = true;
  /** @type {() => void} */
  changed = () => undefined;
  online = () => this.isOnline;
  visible = () => this.isVisible;
  /** @param {() => void} listener */
  watch = (listener) => {
    this.changed = listener;
    return () => (this.changed = () => undefined);
  };
}

/** A microphone that opens when it is told to. */
export class FakeMicrophone {
  /** @type {(pcm: Uint8Array) => void} */
  onChunk = () => {};
  /** @type {() => void} */
  open = () => {};
  stops = 0;
  prerollMs = 0;
  /**
   * @param {(pcm: Uint8Array) => void} onChunk
   * @param {{prerollMs?: number}} [options]
   */
  start(onChunk, { prerollMs = 0 } = {}) {
    this.onChunk = onChunk;
    this.prerollMs = prerollMs;
    return /** @type {Promise<void>} */ (new Promise((resolve) => (this.open = resolve)));
  }
  async stop() {
    this.stops += 1;
    this.onChunk(new Uint8Array([9, 9]));
  }
}

/** A microphone that notices speech when it is told to. */
export class NoticingMicrophone extends FakeMicrophone {
  isWatched = false;
  /** @type {import("../capture.js").VoiceSettings | undefined} */
  settings;
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();
  /** @param {import("../capture.js").VoiceSettings} settings */
  watch = async (settings) => {
    this.isWatched = true;
    this.settings = settings;
  };
  unwatch = async () => {
    this.isWatched = false;
  };
  expectEcho = async () => undefined;
  /**
   * @param {string} name
   * @param {(detail: any) => void} listener
   */
  on = (name, listener) => {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  };
  /** @param {Voice[]} voices */
  notices(...voices) {
    assert.ok(this.isWatched, "nobody listens");
    for (const voice of voices) this.#tell("speech", { voice });
  }
  /** It is unplugged. */
  isLost() {
    this.#tell("error", new Problem("microphone_lost", "Gone.", { retryable: true }));
  }
  /** @param {string} name @param {unknown} detail */
  #tell(name, detail) {
    for (const listener of this.#listeners.get(name) ?? []) listener(detail);
  }
}

export class FakePlayer {
  /** @type {string[]} */
  played = [];
  playing = "";
  /** Every turn that began, with whether it was heard at that time.
   * @type {[string, boolean][]} */
  begun = [];
  /** @param {string} turn */
  begin(turn) {
    this.begun.push([turn, this.isPlaying(turn)]);
  }
  /** @param {string} turn */
  play(turn) {
    this.played.push(turn);
    this.playing = turn;
  }
  async stop() {
    this.playing = "";
    return 1234.5;
  }
  /** @param {string} turn */
  isPlaying(turn) {
    return turn === this.playing;
  }
}

/** Everything that was begun and needs no timer has happened. */
export function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}
