/**
 * What messages go over: a WebSocket, or HTTP where none can be had. It makes them, opens them, and
 * knows which is to be tried next.
 */
import { startTimer } from "./delay.js";
import { Fallback } from "./fallback.js";
import { HttpTransport } from "./http-transport.js";
import { Problem } from "./problem.js";
import { Refusals } from "./refusal.js";
import { WebSocketTransport } from "./websocket-transport.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Init} Init */
/** @typedef {import("./messages.js").Ready} Ready */
/** @typedef {WebSocketTransport | HttpTransport} Transport */
/** @typedef {import("./reconnector-types.js").Asked} Asked */
/** @typedef {import("./reconnector-types.js").ReconnectorOptions} ReconnectorOptions */

/**
 * @typedef {object} TransportHooks
 * @property {(transport: Transport, event: ServerEvent) => void} onEvent
 * @property {(fault: import("./reconnector-types.js").GatewayFault) => void} onFault see `WebSocketTransport`
 * @property {(message: ClientMessage) => void} onSent
 * @property {(transport: Transport, problem: Problem) => void} onClosed
 * @property {() => boolean} isNeeded
 * @property {() => boolean} mayBegin see `WebSocketTransport`
 * @property {(token: string) => void} onToken see `HttpTransport`, as of `onRefused`
 * @property {(turnId: string, problem: Problem) => void} onRefused
 */

const CONNECT_TIMEOUT_MS = 15_000;
/** With HTTP to go to, nobody waits so long for a proxy that never answers. */
const CONNECT_TIMEOUT_WITH_HTTP_MS = 5_000;

export class Transports {
  #fallback;
  #refusals = new Refusals();
  /** @type {import("./reconnector-types.js").Known} */
  #known = { settings: {}, limits: {}, unsent: {} };

  /**
   * @param {Asked} url the WebSocket's
   * @param {TransportHooks} hooks
   * @param {ReconnectorOptions} options
   */
  constructor(url, hooks, options) {
    this.url = url;
    this.hooks = hooks;
    this.options = options;
    this.#fallback = new Fallback(Boolean(options.httpUrl));
  }

  /** Begin anew: nothing is known of the network. */
  reset() {
    this.#fallback.reset();
    this.#refusals.reset();
  }

  /** Whether HTTP is to be tried now. */
  get isHttpDue() {
    return this.#fallback.isDue;
  }

  /** What is to be tried now. */
  next() {
    return this.isHttpDue || this.#isHttpOnly ? this.#http() : this.websocket();
  }

  /** Programs may have no WebSocket: Node.js before version 22. */
  get #isHttpOnly() {
    const { httpUrl, WebSocket = globalThis.WebSocket } = this.options;
    return Boolean(httpUrl) && !WebSocket;
  }

  /** @returns {Transport} */
  websocket() {
    const { hooks, options } = this;
    const timeoutMs = options.httpUrl ? CONNECT_TIMEOUT_WITH_HTTP_MS : CONNECT_TIMEOUT_MS;
    /** @type {Transport} */
    const transport = new WebSocketTransport(
      {
        onEvent: (event) => hooks.onEvent(transport, event),
        onFault: hooks.onFault,
        onSent: hooks.onSent,
        onClosed: (problem) => hooks.onClosed(transport, problem),
        isNeeded: hooks.isNeeded,
        mayBegin: hooks.mayBegin,
      },
      {
        WebSocket: options.WebSocket,
        connectTimeoutMs: options.connectTimeoutMs ?? timeoutMs,
        // Two minutes before API Gateway's idle time-out: a page that throttles may be late.
        heartbeatMs: options.heartbeatMs ?? 480_000,
        pongTimeoutMs: options.pongTimeoutMs ?? 10_000,
        busyHeartbeatMs: options.busyHeartbeatMs ?? 2_000,
        busyPongTimeoutMs: options.busyPongTimeoutMs ?? 4_000,
      },
    );
    return transport;
  }

  /** @returns {Transport} */
  #http() {
    const { hooks, options } = this;
    /** @type {Transport} */
    const transport = new HttpTransport(
      {
        onEvent: (event) => hooks.onEvent(transport, event),
        onSent: hooks.onSent,
        onClosed: (problem) => hooks.onClosed(transport, problem),
        onToken: hooks.onToken,
        onRefused: hooks.onRefused,
      },
      {
        url: () => this.#asked(options.httpUrl || undefined),
        token: () => this.#asked(options.token),
        known: this.#known,
      },
    );
    return transport;
  }

  /**
   * Connect, with the address and the token of now.
   * @param {Transport} transport
   * @param {() => Init} init what to say, unless connecting has ended meanwhile: then it throws
   * @param {boolean} isTrial another transport serves: that it fails says nothing
   * @returns {Promise<Ready>}
   * @throws {Problem} see `WebSocketTransport` and `HttpTransport`; anything else came from `url` or `token`
   */
  async open(transport, init, isTrial) {
    if (transport instanceof HttpTransport) return transport.open(init());
    const [url, token] = await Promise.all([
      this.#asked(this.url),
      this.#asked(this.options.token),
    ]);
    try {
      return await transport.open(url ?? "", token || undefined, init());
    } catch (cause) {
      // With an HTTP API to ask, that says why.
      if (isTrial || this.options.httpUrl) throw cause;
      // Without a token a program has nothing that could be refused; a page has its origin.
      if (!token && !globalThis.location) throw cause;
      throw await this.#refusals.explained(asProblem(cause), url ?? "", Boolean(token));
    }
  }

  /**
   * Who never answers must not keep anybody from trying again.
   * @param {Asked | undefined} source
   * @returns {Promise<string | undefined>}
   */
  async #asked(source) {
    if (typeof source !== "function") return source;
    const timeoutMs = this.options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @type {Promise<never>} */
    const late = new Promise((_, reject) => {
      const text = `There was no answer within ${timeoutMs} ms.`;
      timer = startTimer(() => reject(new Error(text)), timeoutMs);
    });
    try {
      return await Promise.race([source(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {Transport} transport that could not be opened */
  failed(transport) {
    if (transport instanceof HttpTransport) this.#fallback.httpFailed();
    else this.#fallback.failed(!transport.wasIgnored);
  }

  /**
   * It is ready, and serves.
   * @param {Transport} transport
   * @param {Ready} ready
   */
  settled(transport, ready) {
    this.#refusals.reset();
    if (transport.kind === "http") return;
    this.#fallback.reset();
    const { unsent } = this.#known;
    const { settings, limits, choices, stand_ins: standIns } = ready;
    this.#known = { settings, limits, choices, standIns, unsent: {} };
    if (Object.keys(unsent).length) transport.send({ type: "config", settings: unsent });
  }

  /** ms until a WebSocket is tried again while HTTP serves. */
  nextTrialMs() {
    return this.#fallback.nextMs();
  }

  /** The network is perhaps another: a WebSocket is tried as soon as HTTP serves. */
  hurry() {
    this.#fallback.hurry();
  }
}

/** @param {unknown} cause */
export function asProblem(cause) {
  if (cause instanceof Problem) return cause;
  const text = "The address or the token could not be had.";
  return new Problem("not_connected", text, { retryable: true, cause });
}
