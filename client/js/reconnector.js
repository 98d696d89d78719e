/**
 * Stays connected: opens transports one after the other, resumes the session on each, and says at
 * any time how things stand. What is sent and received is somebody else's business.
 */
import { Backoff } from "./backoff.js";
import { startTimer } from "./delay.js";
import { Emitter } from "./emitter.js";
import { asProblem, Transports } from "./transports.js";
import { browserPresence } from "./presence.js";
import { Problem, SESSION_GONE } from "./problem.js";
import { QUIET_EVERY_MS, QuietMoment } from "./quiet-moment.js";
import { checkWellFormed } from "./message-checks.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Init} Init */
/** @typedef {import("./messages.js").Ready} Ready */
/** @typedef {import("./transports.js").Transport} Transport */
/** @typedef {import("./reconnector-types.js").State} State */
/** @typedef {import("./reconnector-types.js").StateChange} StateChange */
/** @typedef {import("./reconnector-types.js").ReconnectorEvents} ReconnectorEvents */
/** @typedef {import("./reconnector-types.js").Asked} Asked */
/** @typedef {import("./reconnector-types.js").ReconnectorOptions} ReconnectorOptions */

export const PROTOCOL_VERSION = 1;
/** Looked for a quiet moment so long, before it is done anyway. */
const QUIET_PATIENCE_MS = 300_000;
/** However often the network or the page's visibility changes, attempts are at least so far apart. */
const CHANGE_EVERY_MS = 3_000;
/** After the page was hidden or the network away, the answer must come sooner. */
const WAKE_TIMEOUT_MS = 4_000;

/** @extends {Emitter<ReconnectorEvents>} */
export class Reconnector extends Emitter {
  /** @type {State} */
  state = "idle";
  /** What the session is resumed with.
   * @type {{id: string, token: string} | undefined} */
  session;
  /** What messages go over, since it has last been ready.
   * @type {"websocket" | "http"} */
  transport = "websocket";
  /** @type {Transport | undefined} */
  #current;
  /** The one that is being opened.
   * @type {Transport | undefined} */
  #next;
  #transports;
  #backoff;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** When that is, by `Date.now`. */
  #retryAt = Infinity;
  /** When the last attempt was made, and the last WebSocket tried while HTTP served. */
  #attemptedAt = -Infinity;
  #triedAt = -Infinity;
  /** Whether there was a network and somebody looked when that last changed. */
  #wasPresent = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #stable;
  #rotation = new QuietMoment({
    isQuiet: () => this.#isQuiet,
    act: () => void this.renew(),
  });
  /** @type {(() => void) | undefined} */
  #unwatch;
  /** @type {{resolve: (ready: Ready) => void, reject: (problem: Problem) => void} | undefined} */
  #caller;
  #hasWorked = false;
  #isBusy = false;
  /** Without a connection, until somebody looks or speaks. */
  #isResting = false;

  /**
   * @param {Asked} url
   * @param {ReconnectorOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    this.url = url;
    this.options = options;
    this.presence = options.presence ?? browserPresence();
    this.#transports = new Transports(url, this.#hooks(), options);
    this.#backoff = new Backoff({
      baseMs: options.baseDelayMs,
      maxMs: options.maxDelayMs,
      attempts: options.attempts,
      random: options.random,
    });
  }

  /**
   * Connect, and stay connected.
   * @returns {Promise<Ready>} as soon as it has worked
   * @throws {Problem} when nothing more is tried
   */
  connect() {
    this.#stop();
    this.#caller?.reject(new Problem("closed", "Connecting has begun anew."));
    this.#backoff.reset();
    this.#hasWorked = false;
    this.#transports.reset();
    this.#wasPresent = this.#isPresent;
    this.#unwatch = this.presence.watch(() => this.#changed());
    this.#become("connecting");
    /** @type {Promise<Ready>} */
    const connected = new Promise((resolve, reject) => (this.#caller = { resolve, reject }));
    void this.#attempt();
    return connected;
  }

  /**
   * @param {ClientMessage} message
   * @returns {boolean} whether it left
   */
  send(message) {
    if (this.#isResting) this.#comeBack();
    // While the session moves to a WebSocket it has no other turn: what is said waits for it.
    const isMoving = this.transport === "http" && this.#next?.hasOpened;
    if (this.state !== "ready" || isMoving || !this.#current?.isOpen) return false;
    this.#current.send(message);
    return true;
  }

  /** @param {boolean} isBusy a turn is spoken or waited for: silence must be noticed in seconds */
  attend(isBusy) {
    this.#isBusy = isBusy;
    this.#current?.attend(isBusy);
  }

  /**
   * Ask whether the other side still lives, and a turn too.
   * @param {{id: string, attempt: number}} [turn]
   * @param {string} [requestId] that API Gateway said has failed
   */
  probe(turn, requestId) {
    this.#current?.probe(undefined, turn, requestId);
  }

  /** Move to a fresh transport; the old one serves until it is ready. */
  async renew() {
    if (this.state !== "ready" || this.#next) return;
    if (this.transport === "http") this.#triedAt = Date.now();
    const transport = (this.#next = this.#transports.websocket());
    try {
      this.#opened(transport, await this.#open(transport));
    } catch (cause) {
      if (this.#next !== transport) return;
      this.#next = undefined;
      const problem = asProblem(cause);
      if (!this.#current?.isOpen) this.#lost(problem);
      else if (this.transport === "http") this.#stay(problem);
      else this.#rotation.again(QUIET_PATIENCE_MS);
    }
  }

  /**
   * Leave. The session stays; `connect` resumes it.
   * @param {Problem} [problem] why, if it was not asked for
   */
  close(problem) {
    const isOver = this.state === "failed" && !this.#unwatch;
    if (isOver || ["idle", "closed"].includes(this.state)) return;
    this.#end("closed", problem);
  }

  /** @returns {import("./transports.js").TransportHooks} */
  #hooks() {
    return {
      onEvent: (transport, event) => this.#take(transport, event),
      onFault: (fault) => this.emit("fault", fault),
      onSent: (message) => this.emit("sent", message),
      onClosed: (transport, problem) => this.#closed(transport, problem),
      isNeeded: () => this.#isNeeded,
      mayBegin: () => this.transport !== "http" || !this.#current?.isOpen || this.#isQuiet,
      onToken: (token) => this.#keep(token),
      onRefused: (turnId, problem) => this.emit("refused", { turnId, problem }),
    };
  }

  async #attempt() {
    this.#cancelRetry();
    this.#attemptedAt = Date.now();
    const transport = (this.#next = this.#transports.next());
    try {
      this.#opened(transport, await this.#open(transport));
    } catch (cause) {
      if (this.#next !== transport) return;
      this.#next = undefined;
      const problem = asProblem(cause);
      if (this.#isSessionGone(problem)) return void this.#attempt();
      this.#transports.failed(transport);
      if (!problem.retryable) this.#end("failed", problem);
      else if (this.#transports.isHttpDue) void this.#attempt();
      else this.#tryAgain(problem);
    }
  }

  /** @param {Problem} problem if it is this, the next session is a new one */
  #isSessionGone(problem) {
    if (!this.session || !SESSION_GONE.includes(problem.code)) return false;
    this.session = undefined;
    const text = "The session is over or was taken over. A new one was opened.";
    this.emit("session_lost", new Problem(problem.code, text, { cause: problem }));
    return true;
  }

  /** @param {Transport} transport */
  #open(transport) {
    /** @returns {Init} */
    const init = () => {
      const { session } = this;
      if (this.#next !== transport) throw new Problem("closed", "The connection was closed.");
      const hello = this.options.hello?.();
      checkWellFormed(hello?.settings, "settings");
      checkWellFormed(session, "session");
      return {
        type: "init",
        protocol: PROTOCOL_VERSION,
        ...(session && { session_id: session.id, resume_token: session.token }),
        ...hello,
      };
    };
    return this.#transports.open(transport, init, this.state === "ready");
  }

  /**
   * @param {Transport} transport
   * @param {Ready} ready
   */
  #opened(transport, ready) {
    if (this.#next !== transport) return transport.close();
    this.#next = undefined;
    this.#current?.close();
    this.#current = transport;
    transport.attend(this.#isBusy);
    this.session = { id: ready.session_id, token: ready.resume_token };
    clearTimeout(this.#stable);
    this.#stable = startTimer(() => this.#backoff.reset(), this.options.stableAfterMs ?? 5_000);
    this.#settle(transport, ready);
    const isNew = this.state !== "ready";
    this.state = "ready";
    this.#hasWorked = true;
    this.emit("ready", ready);
    if (isNew) this.#become("ready");
    this.#caller?.resolve(ready);
    this.#caller = undefined;
  }

  /**
   * @param {Transport} transport that is ready
   * @param {Ready} ready
   */
  #settle(transport, ready) {
    const { kind } = transport;
    this.#transports.settled(transport, ready);
    if (kind === "http") this.#rotation.in(this.#transports.nextTrialMs());
    else this.#rotation.in(this.options.rotateAfterMs ?? 6_600_000, QUIET_PATIENCE_MS);
    if (this.transport === kind) return;
    this.transport = kind;
    this.emit("transport", { transport: kind });
  }

  /** @param {Problem} problem why no WebSocket can be had yet: HTTP goes on */
  #stay({ code }) {
    this.#rotation.in(code === "closed" ? QUIET_EVERY_MS : this.#transports.nextTrialMs());
    this.emit("stayed", undefined);
  }

  /** @param {string} token the session's next */
  #keep(token) {
    if (!this.session) return;
    this.session = { id: this.session.id, token };
    this.emit("token", this.session);
  }

  /**
   * @param {Transport} transport
   * @param {ServerEvent} event
   */
  #take(transport, event) {
    if (event.type === "session_ended") {
      // The old transport's farewell after a move to a fresh one.
      const moved = event.reason === "replaced" && (transport !== this.#current || this.#next);
      if (moved) return;
      this.emit("event", event);
      const text = "This conversation goes on in another place. Connect to take it back.";
      const replaced = new Problem("session_replaced", text, { retryable: true });
      if (event.reason !== "replaced") this.session = undefined;
      this.close(event.reason === "replaced" ? replaced : undefined);
    } else {
      this.emit("event", event);
    }
  }

  /**
   * @param {Transport} transport
   * @param {Problem} problem
   */
  #closed(transport, problem) {
    if (transport !== this.#current) return;
    if (!this.#next) this.#lost(problem);
    // While a fresh one is being opened the old one may go, but not be silent.
    else if (problem.closeCode === undefined) this.#become("reconnecting", problem);
  }

  /** @param {Problem} problem */
  #lost(problem) {
    clearTimeout(this.#stable);
    this.#rotation.stop();
    this.#current = undefined;
    if (this.#isSessionGone(problem)) this.#comeBack();
    else if (problem.retryable) this.#tryAgain(problem);
    else this.#end("failed", problem);
  }

  /** @param {Problem} problem */
  #tryAgain(problem) {
    this.#cancelRetry();
    if (!this.presence.online()) {
      this.#become("offline", problem);
      return;
    }
    if (this.#hasWorked && !this.#isNeeded) {
      this.#rest(problem);
      return;
    }
    const retryInMs = this.#backoff.next(problem.retryAfterMs);
    if (retryInMs !== undefined) {
      this.#attemptIn(retryInMs);
      this.#become(this.#waiting, problem, retryInMs);
    } else if (!this.presence.visible()) {
      // A laptop that slept should find its conversation when it wakes.
      this.#rest(problem);
    } else {
      this.#giveUp(problem);
    }
  }

  /**
   * The attempts are used up. Others follow, far apart, for as long as somebody looks.
   * @param {Problem} problem
   */
  #giveUp(problem) {
    if (!this.options.slowRetryMs) {
      this.#end("failed", problem);
      return;
    }
    this.#end("failed", problem, () => {
      this.#unwatch = this.presence.watch(() => this.#lookedAt(problem));
      const { slowRetryMs = 0, random = Math.random } = this.options;
      return this.#waitSlowly(slowRetryMs * (1 + random() / 2));
    });
  }

  /**
   * The network or the page's visibility has changed after the attempts were used up.
   * @param {Problem} problem why they were
   */
  #lookedAt(problem) {
    this.#become("failed", problem, this.#waitSlowly(leftMs(this.#attemptedAt)));
  }

  /**
   * @param {number} afterMs until the next attempt, if somebody looks
   * @returns {number | undefined} how long it is, at least what the server wants
   */
  #waitSlowly(afterMs) {
    clearTimeout(this.#retry);
    if (!this.presence.visible() || !this.presence.online()) return undefined;
    const retryInMs = Math.max(afterMs, this.#backoff.heldMs);
    this.#retry = startTimer(() => this.#tryOnce(), retryInMs);
    return retryInMs;
  }

  /** One attempt: none is left after it. */
  #tryOnce() {
    this.#unwatch?.();
    this.#unwatch = this.presence.watch(() => this.#changed());
    this.#become(this.#waiting);
    void this.#attempt();
  }

  /** The network or the page's visibility has changed. */
  #changed() {
    const { state } = this;
    if (state === "ready") {
      if (!this.presence.visible()) return;
      this.#current?.probe(WAKE_TIMEOUT_MS);
      // Another network may let a WebSocket through.
      if (this.transport === "http" && this.presence.online()) {
        this.#rotation.in(leftMs(this.#triedAt));
      }
      return;
    }
    this.#transports.hurry();
    const wasPresent = this.#wasPresent && state !== "offline" && !this.#isResting;
    this.#wasPresent = this.#isPresent;
    if (!this.#isPresent || state === "closed" || this.#next) return;
    if (wasPresent) this.#hurry();
    else this.#comeBack(Math.min(leftMs(this.#attemptedAt), leftUntil(this.#retryAt)));
  }

  /** The network is perhaps another: the attempt that is due is made sooner. */
  #hurry() {
    const inMs = Math.max(leftMs(this.#attemptedAt), this.#backoff.heldMs);
    if (Date.now() + inMs >= this.#retryAt) return;
    this.#become(this.#waiting, undefined, inMs);
    this.#attemptIn(inMs);
  }

  /** Whether there is a network, and somebody looks. */
  get #isPresent() {
    return this.presence.online() && this.presence.visible();
  }

  /** Whether a fresh transport would disturb nothing, and is not only for a page that is hidden. */
  get #isQuiet() {
    const isQuiet = this.options.quiet?.() ?? true;
    return isQuiet && (this.transport === "websocket" || this.presence.visible());
  }

  /** Whether somebody looks, or something is going on. */
  get #isNeeded() {
    return this.presence.visible() || (this.options.needed?.() ?? false);
  }

  /** @returns {State} */
  get #waiting() {
    return this.#hasWorked ? "reconnecting" : "connecting";
  }

  /** @param {Problem} problem why there is no connection, which nobody misses */
  #rest(problem) {
    this.#isResting = true;
    this.#become(this.#waiting, problem);
  }

  /**
   * Try at once, or as soon as the server lets us, with all attempts.
   * @param {number} [afterMs] not before that
   */
  #comeBack(afterMs = 0) {
    this.#cancelRetry();
    this.#isResting = false;
    this.#backoff.reset();
    const inMs = Math.max(afterMs, this.#backoff.heldMs);
    this.#become(this.#waiting, undefined, inMs || undefined);
    if (inMs) this.#attemptIn(inMs);
    else void this.#attempt();
  }

  /** @param {number} ms */
  #attemptIn(ms) {
    this.#cancelRetry();
    this.#retryAt = Date.now() + ms;
    this.#retry = startTimer(() => void this.#attempt(), ms);
  }

  #cancelRetry() {
    clearTimeout(this.#retry);
    this.#retryAt = Infinity;
  }

  /**
   * @param {"closed" | "failed"} state
   * @param {Problem} [problem]
   * @param {() => number | undefined} [goOn] gives when it is tried again all the same
   */
  #end(state, problem, goOn) {
    this.#stop();
    const caller = this.#caller;
    this.#caller = undefined;
    this.#become(state, problem, goOn?.());
    caller?.reject(problem ?? new Problem("closed", "The connection was closed."));
  }

  #stop() {
    this.#cancelRetry();
    clearTimeout(this.#stable);
    this.#rotation.stop();
    this.#isResting = false;
    this.#unwatch?.();
    this.#unwatch = undefined;
    const transports = [this.#current, this.#next];
    this.#current = this.#next = undefined;
    for (const transport of transports) transport?.close();
  }

  /**
   * @param {State} state
   * @param {Problem} [problem]
   * @param {number} [retryInMs]
   */
  #become(state, problem, retryInMs) {
    this.state = state;
    const { used: attempt, attempts } = this.#backoff;
    this.emit("state", { state, problem, attempt, attempts, retryInMs });
  }
}

/**
 * How long until the next attempt that a change here is worth.
 * @param {number} lastAt by `Date.now`
 */
function leftMs(lastAt) {
  return leftUntil(lastAt + CHANGE_EVERY_MS);
}

/** @param {number} at by `Date.now` */
function leftUntil(at) {
  return Math.max(0, at - Date.now());
}
