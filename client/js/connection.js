/**
 * One WebSocket: frames in and out, `init` and `ready`, the heartbeat. It knows nothing of
 * turns or audio, and does not come back once it has closed.
 */
import { Problem } from "./problem.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Init} Init */
/** @typedef {import("./messages.js").Ready} Ready */

/** API Gateway closes a connection that was idle for 10 minutes. */
const PING_MS = 240_000;
const READY_TIMEOUT_MS = 15_000;
const OPEN = 1;

/**
 * @typedef {object} Hooks
 * @property {(event: ServerEvent) => void} onEvent
 * @property {(message: ClientMessage) => void} onSent
 * @property {(problem: Problem | undefined) => void} onClosed without a problem if we closed it
 */

export class Connection {
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #heartbeat;
  /** @type {((ready: Ready) => void) | undefined} */
  #onReady;
  /** @type {((problem: Problem) => void) | undefined} */
  #onFailed;
  #leaving = false;

  /**
   * @param {string} url
   * @param {Hooks} hooks
   * @param {typeof WebSocket} [Socket]
   */
  constructor(url, hooks, Socket = globalThis.WebSocket) {
    this.url = url;
    this.hooks = hooks;
    this.Socket = Socket;
    this.maxMessageBytes = 32_768;
  }

  get isOpen() {
    return this.#socket?.readyState === OPEN;
  }

  /**
   * Connect, and open the session.
   * @param {Init} init
   * @returns {Promise<Ready>}
   * @throws {Problem} `bad_url`, `unreachable`, or the code of the server's refusal
   */
  async open(init) {
    try {
      this.#socket = new this.Socket(this.url);
    } catch (cause) {
      throw new Problem("bad_url", `“${this.url}” is not a WebSocket address.`, { cause });
    }
    const socket = this.#socket;
    socket.onopen = () => this.send(init);
    socket.onmessage = (frame) => this.#receive(String(frame.data));
    socket.onclose = () => this.#closed();
    const patience = setTimeout(() => socket.close(), READY_TIMEOUT_MS);
    try {
      const ready = await new Promise((resolve, reject) => {
        this.#onReady = resolve;
        this.#onFailed = reject;
      });
      this.maxMessageBytes = ready.limits?.max_message_bytes ?? this.maxMessageBytes;
      this.#heartbeat = setInterval(() => this.#ping(), PING_MS);
      return ready;
    } catch (problem) {
      this.close();
      throw problem;
    } finally {
      clearTimeout(patience);
      this.#onReady = this.#onFailed = undefined;
    }
  }

  /**
   * @param {ClientMessage} message
   * @throws {Problem} `not_connected`, `too_large`
   */
  send(message) {
    if (!this.#socket || !this.isOpen) {
      throw new Problem("not_connected", "There is no connection. Connect first.", {
        retryable: true,
      });
    }
    const frame = JSON.stringify(message);
    if (bytesOf(frame) > this.maxMessageBytes) {
      throw new Problem("too_large", "That is too long for one message. Please shorten it.");
    }
    this.#socket.send(frame);
    this.hooks.onSent(message);
  }

  close() {
    this.#leaving = true;
    this.#socket?.close(1000);
  }

  #ping() {
    if (this.isOpen) this.send({ type: "ping", sent_at: Date.now() });
  }

  /** @param {string} frame */
  #receive(frame) {
    const event = decoded(frame);
    if (event.type === "ready") this.#onReady?.(event);
    else if (event.type === "error") this.#onFailed?.(Problem.from(event));
    this.hooks.onEvent(event);
  }

  #closed() {
    clearInterval(this.#heartbeat);
    const text = `Nobody answers at ${this.url}. Is the address right, and the server up?`;
    this.#onFailed?.(new Problem("unreachable", text, { retryable: true }));
    const lost = new Problem("connection_lost", "The connection was lost. Connect again.", {
      retryable: true,
    });
    this.hooks.onClosed(this.#leaving ? undefined : lost);
  }
}

/** @param {string} text */
function bytesOf(text) {
  return new TextEncoder().encode(text).length;
}

/**
 * A frame as an event. API Gateway's own error frames have no `type`
 * ("Working with WebSocket APIs": `{"message", "connectionId", "requestId"}`).
 * @param {string} frame
 * @returns {ServerEvent}
 */
function decoded(frame) {
  /** @type {unknown} */
  let event;
  try {
    event = JSON.parse(frame);
  } catch {
    event = undefined;
  }
  if (typeof event === "object" && event !== null) {
    if ("type" in event && typeof event.type === "string") {
      return /** @type {ServerEvent} */ (event);
    }
    if ("message" in event && typeof event.message === "string") {
      return { type: "error", code: "internal", message: event.message, retryable: true };
    }
  }
  const message = "The server sent something that is not a message.";
  return { type: "error", code: "internal", message, retryable: false };
}
