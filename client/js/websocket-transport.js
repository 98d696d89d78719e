/**
 * One WebSocket: frames in and out, `init` and `ready`, the heartbeat. It knows nothing of
 * turns or audio, and does not come back once it has closed.
 */
import { problemOfClose } from "./close-codes.js";
import { startTimer } from "./delay.js";
import { Heartbeat } from "./heartbeat.js";
import { Problem } from "./problem.js";
import { shownCause, shownUrl } from "./shown-url.js";
import { about } from "./event-order.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Init} Init */
/** @typedef {import("./messages.js").Ready} Ready */

/** Offered together with a token. The server answers this one, never the token. */
export const SUBPROTOCOL = "parley";
const OPEN = 1;
/** API Gateway waits no longer for a function. The function goes on, and so do its events. */
const TIMED_OUT = "Endpoint request timed out";
/** The close code of a connection that ended without one (RFC 6455, 7.1.5). */
const NO_CLOSE_FRAME = 1006;

/**
 * @typedef {object} WebSocketHooks
 * @property {(event: ServerEvent) => void} onEvent everything but what answers `init`
 * @property {(fault: import("./reconnector-types.js").GatewayFault) => void} [onFault] API Gateway has failed
 *   a message
 * @property {(message: ClientMessage) => void} onSent
 * @property {(problem: Problem) => void} onClosed after `ready`, and not by us
 * @property {() => boolean} [isNeeded] whether the connection is worth keeping while it is idle
 * @property {() => boolean} [mayBegin] whether the session may move here, asked when it is open
 */

/**
 * @typedef {object} Own
 * @property {typeof WebSocket} [WebSocket]
 * @property {number} connectTimeoutMs for everything from the handshake to `ready`
 */

/** @typedef {Own & import("./heartbeat.js").HeartbeatTimes} WebSocketOptions */

export class WebSocketTransport {
  /** @type {"websocket" | "http"} */
  kind = "websocket";
  /** Whether the handshake has succeeded. */
  hasOpened = false;
  /** @type {WebSocket | undefined} */
  #socket;
  /** @type {Heartbeat} */
  #heartbeat;
  /** Until `ready`.
   * @type {ReturnType<typeof setTimeout> | undefined} */
  #deadline;
  /** @type {{resolve: (ready: Ready) => void, reject: (problem: Problem) => void} | undefined} */
  #opening;
  #over = false;
  /** Whether a frame has come. */
  #wasAnswered = false;

  /**
   * @param {WebSocketHooks} hooks
   * @param {WebSocketOptions} options
   */
  constructor(hooks, options) {
    this.hooks = hooks;
    this.options = options;
    const silent = new Problem("connection_lost", "The connection has gone silent.", {
      retryable: true,
    });
    this.#heartbeat = new Heartbeat(
      {
        ask: () => this.probe(),
        onDead: () => this.#closed(silent),
        unsentBytes: () => this.#socket?.bufferedAmount ?? 0,
        isNeeded: () => hooks.isNeeded?.() ?? true,
      },
      options,
    );
  }

  /** Whether it was tried and nothing has come on it: no handshake, or no frame after that. */
  get wasIgnored() {
    return this.#socket !== undefined && !this.#wasAnswered;
  }

  get isOpen() {
    return !this.#over && this.#socket?.readyState === OPEN;
  }

  /**
   * Connect, and open or resume the session.
   * @param {string} url
   * @param {string | undefined} token goes with the handshake, as a second subprotocol: in a
   *   query string it would end up in logs
   * @param {Init} init
   * @returns {Promise<Ready>}
   * @throws {Problem} `websocket_missing`, `bad_url`, `unreachable`, what its close code means, or the code of the
   *   server's refusal
   */
  open(url, token, init) {
    const Socket = this.options.WebSocket ?? globalThis.WebSocket;
    if (!Socket) return Promise.reject(withoutWebSocket());
    try {
      this.#socket = token ? new Socket(url, [SUBPROTOCOL, token]) : new Socket(url);
    } catch (cause) {
      return Promise.reject(unusable(url, cause));
    }
    const unreachable = () => {
      const shown = shownUrl(url);
      const text =
        `No connection to ${shown} could be opened. Is the address right, and the server up? ` +
        "Whether it has refused, a browser does not say.";
      return new Problem("unreachable", text, { retryable: true, url: shown });
    };
    this.#socket.onopen = () => this.#begin(init);
    this.#socket.onmessage = (frame) => this.#receive(String(frame.data));
    this.#socket.onclose = (event) => {
      if (!this.#over && event.code !== NO_CLOSE_FRAME) this.#wasAnswered = true;
      const problem = problemOfClose(event.code);
      this.#closed(this.#opening && problem.retryable ? unreachable() : problem);
    };
    this.#deadline = startTimer(() => this.#closed(unreachable()), this.options.connectTimeoutMs);
    return new Promise((resolve, reject) => (this.#opening = { resolve, reject }));
  }

  /** @param {Init} init */
  #begin(init) {
    this.hasOpened = true;
    const later = new Problem("closed", "The session stays where it is.", { retryable: true });
    if (this.hooks.mayBegin?.() ?? true) this.send(init);
    else this.#closed(later);
  }

  /** @param {ClientMessage} message nothing is sent when the socket is not open */
  send(message) {
    if (!this.isOpen) return;
    const frame = JSON.stringify(message);
    this.#socket?.send(frame);
    this.#heartbeat.sent(frame.length);
    this.hooks.onSent(message);
  }

  /** @param {boolean} isBusy a turn is spoken or waited for: silence must be noticed in seconds */
  attend(isBusy) {
    if (!this.#over && !this.#opening) this.#heartbeat.attend(isBusy);
  }

  /**
   * Ask whether the other side still lives; if nothing comes, the connection is over.
   * @param {number} [timeoutMs]
   * @param {{id: string, attempt: number}} [turn] ask for this turn as well
   * @param {string} [requestId] that API Gateway said has failed
   */
  probe(timeoutMs, turn, requestId) {
    if (!this.isOpen || this.#opening) return;
    const failed = requestId === undefined ? {} : { request_id: requestId };
    const asked = turn && { turn_id: turn.id, ...about(turn.attempt), ...failed };
    this.send({ type: "ping", sent_at: Date.now(), ...asked });
    this.#heartbeat.asked(timeoutMs);
  }

  /** Leave; nobody is told. */
  close() {
    if (this.#over) return;
    this.#finish();
    this.#opening?.reject(new Problem("closed", "The connection was closed."));
  }

  /** @param {string} frame */
  #receive(frame) {
    if (this.#over) return;
    this.#wasAnswered = true;
    const fault = gatewayFault(frame);
    const opening = this.#opening;
    if (fault && !opening) {
      this.#heartbeat.alive();
      if (fault.message !== TIMED_OUT) this.hooks.onFault?.(fault);
      return;
    }
    const event = decoded(frame);
    if (opening && event.type === "ready") {
      this.#opening = undefined;
      clearTimeout(this.#deadline);
      this.#heartbeat.alive();
      opening.resolve(event);
    } else if (opening && event.type === "error" && !isOfTurn(event)) {
      this.#closed(Problem.from(event));
    } else {
      if (!opening) this.#heartbeat.alive();
      this.hooks.onEvent(event);
    }
  }

  /** @param {Problem} problem */
  #closed(problem) {
    if (this.#over) return;
    // Not by waiting for the close event: a dead network delays it for a minute.
    this.#finish();
    if (this.#opening) this.#opening.reject(problem);
    else this.hooks.onClosed(problem);
  }

  #finish() {
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#heartbeat.stop();
    this.#socket?.close(1000);
  }
}

/** Node.js has a WebSocket from version 22 on; so have all browsers. */
function withoutWebSocket() {
  const text =
    "There is no WebSocket here. Node.js has one from version 22 on; before that, pass one to the " +
    'conversation: `import WebSocket from "ws"`, then `new Conversation(url, { WebSocket })`.';
  return new Problem("websocket_missing", text);
}

/**
 * Why no WebSocket can be made for an address and a token.
 * @param {string} url
 * @param {unknown} cause
 */
function unusable(url, cause) {
  const shown = shownUrl(url);
  const more = { cause: shownCause(cause, url) };
  const { name } = /** @type {Partial<Error>} */ (Object(cause));
  // "Establish a WebSocket connection": mixed content, or a policy, as older browsers tell it.
  if (name === "SecurityError") {
    const text = `The browser does not let this page connect to ${shown}. A page with https needs wss://.`;
    return new Problem("bad_url", text, more);
  }
  const text = isWebSocketAddress(url)
    ? "The token has characters that are not allowed in a handshake."
    : `“${shown}” is not a WebSocket address. It begins with wss:// or ws://.`;
  return new Problem("bad_url", text, more);
}

/** @param {string} url */
function isWebSocketAddress(url) {
  try {
    const { protocol, hash } = new URL(url);
    return /^(ws|http)s?:$/.test(protocol) && !hash;
  } catch {
    return false;
  }
}

/**
 * Whether it tells of a turn, which goes on while the session moves, and not of `init`.
 * @param {import("./messages.js").Error} error
 */
function isOfTurn({ seq, turn_id: turnId }) {
  return typeof seq === "number" || typeof turnId === "string";
}

/**
 * API Gateway's own error frame, which has no `type`
 * ("Working with WebSocket APIs": `{"message", "connectionId", "requestId"}`).
 * @param {string} frame
 * @returns {import("./reconnector-types.js").GatewayFault | undefined}
 */
function gatewayFault(frame) {
  if (!frame.startsWith('{"message"')) return undefined;
  const said = parsed(frame);
  if (typeof said !== "object" || said === null || "type" in said || !("message" in said)) {
    return undefined;
  }
  const { message, requestId } = /** @type {Record<string, unknown>} */ (said);
  if (typeof message !== "string") return undefined;
  return typeof requestId === "string" ? { message, requestId } : { message };
}

/**
 * A frame as an event; while the connection opens, API Gateway's own error frame too.
 * @param {string} frame
 * @returns {ServerEvent}
 */
function decoded(frame) {
  const event = parsed(frame);
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

/**
 * @param {string} frame
 * @returns {unknown} `undefined` if it is no JSON
 */
function parsed(frame) {
  try {
    return JSON.parse(frame);
  } catch {
    return undefined;
  }
}
