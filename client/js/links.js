/**
 * What messages go over: a WebSocket, or HTTP where none can be had. It makes them, opens them, and
 * knows which is to be tried next.
 */
import { startTimer } from "./delay.js";
import { Fallback } from "./fallback.js";
import { HttpLink } from "./http-link.js";
import { Problem } from "./problem.js";
import { Refusals } from "./refusal.js";
import { Socket } from "./socket.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Init} Init */
/** @typedef {import("./messages.js").Ready} Ready */
/** @typedef {Socket | HttpLink} Link */
/** @typedef {import("./connection-types.js").Asked} Asked */
/** @typedef {import("./connection-types.js").ConnectionOptions} ConnectionOptions */

/**
 * @typedef {object} LinkHooks
 * @property {(link: Link, event: ServerEvent) => void} onEvent
 * @property {(message: ClientMessage) => void} onSent
 * @property {(link: Link, problem: Problem) => void} onClosed
 * @property {() => boolean} isNeeded
 * @property {() => boolean} mayBegin see `Socket`
 * @property {(token: string) => void} onToken see `HttpLink`, as of `onRefused`
 * @property {(turnId: string, problem: Problem) => void} onRefused
 */

const CONNECT_TIMEOUT_MS = 15_000;
/** With HTTP to go to, nobody waits so long for a proxy that never answers. */
const CONNECT_TIMEOUT_WITH_HTTP_MS = 5_000;

export class Links {
  #fallback;
  #refusals = new Refusals();
  /** @type {import("./connection-types.js").Known} */
  #known = { settings: {}, limits: {}, unsent: {} };

  /**
   * @param {Asked} url the WebSocket's
   * @param {LinkHooks} hooks
   * @param {ConnectionOptions} options
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

  /** @returns {Link} */
  websocket() {
    const { hooks, options } = this;
    const timeoutMs = options.httpUrl ? CONNECT_TIMEOUT_WITH_HTTP_MS : CONNECT_TIMEOUT_MS;
    /** @type {Link} */
    const link = new Socket(
      {
        onEvent: (event) => hooks.onEvent(link, event),
        onSent: hooks.onSent,
        onClosed: (problem) => hooks.onClosed(link, problem),
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
    return link;
  }

  /** @returns {Link} */
  #http() {
    const { hooks, options } = this;
    /** @type {Link} */
    const link = new HttpLink(
      {
        onEvent: (event) => hooks.onEvent(link, event),
        onSent: hooks.onSent,
        onClosed: (problem) => hooks.onClosed(link, problem),
        onToken: hooks.onToken,
        onRefused: hooks.onRefused,
      },
      {
        url: () => this.#asked(options.httpUrl || undefined),
        token: () => this.#asked(options.token),
        known: this.#known,
      },
    );
    return link;
  }

  /**
   * Connect, with the address and the token of now.
   * @param {Link} link
   * @param {() => Init} init what to say, unless connecting has ended meanwhile: then it throws
   * @param {boolean} isTrial another link serves: that it fails says nothing
   * @returns {Promise<Ready>}
   * @throws {Problem} see `Socket` and `HttpLink`; what else is thrown came from whoever was asked
   */
  async open(link, init, isTrial) {
    if (link instanceof HttpLink) return link.open(init());
    const [url, token] = await Promise.all([
      this.#asked(this.url),
      this.#asked(this.options.token),
    ]);
    try {
      return await link.open(url ?? "", token || undefined, init());
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

  /** @param {Link} link that could not be opened */
  failed(link) {
    if (link instanceof HttpLink) this.#fallback.httpFailed();
    else this.#fallback.failed(!link.wasIgnored);
  }

  /**
   * It is ready, and serves.
   * @param {Link} link
   * @param {Ready} ready
   */
  settled(link, ready) {
    this.#refusals.reset();
    if (link.transport === "http") return;
    this.#fallback.reset();
    const { unsent } = this.#known;
    const { settings, limits, choices, stand_ins: standIns } = ready;
    this.#known = { settings, limits, choices, standIns, unsent: {} };
    if (Object.keys(unsent).length) link.send({ type: "config", settings: unsent });
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
