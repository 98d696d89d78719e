/**
 * One conversation over one WebSocket: the protocol, and nothing of audio or of a page.
 *
 * Events: `state` (detail: connecting, ready, closed), `message` (every server event, in
 * order within its turn), and one of each server event's own type with the event as detail.
 */
import { toBase64 } from "./base64.js";
import { TurnEvents } from "./turn-events.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").Settings} Settings */
/** @typedef {"idle" | "connecting" | "ready" | "closed"} State */

export const PROTOCOL_VERSION = 1;
const PING_MS = 240_000;

/** Something went wrong that the caller should know about. */
export class ConversationError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {boolean} retryable
   */
  constructor(code, message, retryable) {
    super(message);
    this.name = "ConversationError";
    this.code = code;
    this.retryable = retryable;
  }
}

export class Conversation extends EventTarget {
  /**
   * @param {string} url `wss://…/stage`
   * @param {{settings?: Settings, WebSocket?: typeof WebSocket}} [options]
   */
  constructor(url, options = {}) {
    super();
    this.url = url;
    this.settings = options.settings ?? {};
    this.WebSocket = options.WebSocket ?? globalThis.WebSocket;
    /** @type {State} */
    this.state = "idle";
    /** @type {string | undefined} */
    this.sessionId = undefined;
    /** @type {Map<string, TurnEvents>} */
    this.turns = new Map();
    /** @type {WebSocket | undefined} */
    this.socket = undefined;
    this.counter = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.pinging = undefined;
  }

  /**
   * Open the connection and the session.
   * @returns {Promise<void>} settles when the session is ready
   */
  connect() {
    this.#become("connecting");
    return new Promise((resolve, reject) => {
      let socket;
      try {
        socket = new this.WebSocket(this.url);
      } catch {
        this.#become("closed");
        reject(new ConversationError("bad_url", `${this.url} is no WebSocket URL.`, false));
        return;
      }
      this.socket = socket;
      socket.onopen = () => {
        this.#send({ type: "init", protocol: PROTOCOL_VERSION, settings: this.settings });
      };
      socket.onmessage = (frame) => this.#receive(String(frame.data));
      socket.onclose = () => {
        clearInterval(this.pinging);
        const wasReady = this.state === "ready";
        this.#become("closed");
        if (!wasReady) {
          const text = `No conversation at ${this.url}. Is the address right, and the server up?`;
          reject(new ConversationError("unreachable", text, true));
        }
      };
      this.addEventListener("ready", () => resolve(), { once: true });
      this.addEventListener(
        "error",
        (event) => {
          const { code, message, retryable } = /** @type {CustomEvent} */ (event).detail;
          reject(new ConversationError(code, message, retryable));
        },
        { once: true },
      );
    });
  }

  /**
   * A typed turn.
   * @param {string} text
   * @returns {string} its turn id
   */
  say(text) {
    const turnId = this.#newTurn();
    this.#send({ type: "user_message", turn_id: turnId, text });
    return turnId;
  }

  /**
   * A spoken turn begins; send its audio with `chunk` and finish it with `endSpeech`.
   * @returns {SpokenTurn}
   */
  startSpeech() {
    const turn = new SpokenTurn(this.#newTurn(), (message) => this.#send(message));
    turn.start();
    return turn;
  }

  /**
   * Stop a reply.
   * @param {string} turnId
   * @param {number} playedMs how much of its audio was heard
   */
  interrupt(turnId, playedMs) {
    this.#send({ type: "interrupt", turn_id: turnId, played_ms: playedMs });
  }

  /** @param {Settings} settings from the next turn on */
  configure(settings) {
    this.#send({ type: "config", settings });
  }

  /** End the session and close the connection. */
  end() {
    this.#send({ type: "end" });
    this.socket?.close(1000);
  }

  /** Close the connection; the session can be resumed. */
  close() {
    this.socket?.close(1000);
  }

  #newTurn() {
    this.counter += 1;
    return `t${Date.now().toString(36)}-${this.counter}`;
  }

  /** @param {import("./messages.js").ClientMessage} message */
  #send(message) {
    if (this.socket?.readyState !== 1) {
      throw new ConversationError("not_connected", "There is no connection. Connect first.", true);
    }
    this.socket.send(JSON.stringify(message));
  }

  /** @param {string} frame */
  #receive(frame) {
    const event = JSON.parse(frame);
    if (typeof event.type !== "string") {
      // API Gateway's own error frame, which has no type.
      const message = String(event.message ?? "The service answered with something unknown.");
      this.#tell({ type: "error", code: "internal", message, retryable: true });
      return;
    }
    if (typeof event.seq === "number" && event.turn_id) {
      let turn = this.turns.get(event.turn_id);
      if (!turn) this.turns.set(event.turn_id, (turn = new TurnEvents()));
      for (const next of turn.take(event)) this.#tell(next);
      return;
    }
    if (event.type === "ready") {
      this.sessionId = event.session_id;
      this.settings = event.settings;
      this.pinging = setInterval(() => {
        if (this.socket?.readyState === 1) this.#send({ type: "ping", sent_at: Date.now() });
      }, PING_MS);
      this.#become("ready");
    }
    this.#tell(event);
  }

  /** @param {ServerEvent} event */
  #tell(event) {
    this.dispatchEvent(new CustomEvent("message", { detail: event }));
    this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
  }

  /** @param {State} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}

/** A spoken turn on its way out. */
export class SpokenTurn {
  /**
   * @param {string} id
   * @param {(message: import("./messages.js").ClientMessage) => void} send
   */
  constructor(id, send) {
    this.id = id;
    this.send = send;
    this.chunks = 0;
  }

  start() {
    this.send({
      type: "audio_start",
      turn_id: this.id,
      format: "pcm_16000",
      endpointing: "manual",
    });
  }

  /** @param {Uint8Array} pcm 16 kHz, 16-bit, mono; 100 ms is usual */
  chunk(pcm) {
    this.chunks += 1;
    this.send({
      type: "audio_chunk",
      turn_id: this.id,
      seq: this.chunks,
      audio: toBase64(pcm),
    });
  }

  /** The user has finished. */
  end() {
    this.send({ type: "audio_end", turn_id: this.id, chunks: this.chunks });
  }
}
