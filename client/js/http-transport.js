/**
 * The same messages and events as a `WebSocketTransport` has, over HTTP: a turn is one request, and its answer
 * brings all of its events. It speaks when the user has finished, and hears when the reply is
 * complete. Like that it does not come back: who lost it opens another, and says again what was
 * not answered; the server runs a turn once.
 */
import { CollectedSpeech } from "./collected-speech.js";
import { ask } from "./http-request.js";
import { Problem, SESSION_GONE } from "./problem.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Settings} Settings */
/** @typedef {import("./messages.js").Limits} Limits */
/** @typedef {import("./messages.js").Init} Init */
/** @typedef {import("./messages.js").Ready} Ready */
/** @typedef {import("./reconnector-types.js").Known} Known */

/** API Gateway waits 30 s for a function, and then for nobody. */
const TURN_TIMEOUT_MS = 35_000;
const TIMEOUT_MS = 10_000;
/** A turn that failed on its way is sent so often. */
const TRIES = 4;
const FIRST_DELAY_MS = 1_000;

/**
 * @typedef {object} HttpHooks
 * @property {(event: ServerEvent) => void} onEvent
 * @property {(message: ClientMessage) => void} onSent
 * @property {(problem: Problem) => void} onClosed after `ready`, and not by us
 * @property {(token: string) => void} onToken the session's next resume token
 * @property {(turnId: string, problem: Problem) => void} onRefused the turn does not run
 */

export class HttpTransport {
  /** @type {"websocket" | "http"} */
  kind = "http";
  hasOpened = false;
  #url = "";
  #over = false;
  #session = { id: "", token: "" };
  /** What is being said, by its turn.
   * @type {Map<string, CollectedSpeech>} */
  #speeches = new Map();
  /** Turns that have been asked for and not answered.
   * @type {Set<string>} */
  #running = new Set();
  /** Those of them whose answers may come with sound that nobody wants any more.
   * @type {Set<string>} */
  #interrupted = new Set();
  /** How many times a turn was asked for. */
  #requests = 0;

  /**
   * @param {HttpHooks} hooks
   * @param {object} options
   * @param {() => Promise<string | undefined>} options.url asked once
   * @param {() => Promise<string | undefined>} options.token asked at every request: it may expire
   * @param {Known} options.known what HTTP cannot ask; kept from one connection to the next
   */
  constructor(hooks, options) {
    this.hooks = hooks;
    this.options = options;
  }

  get isOpen() {
    return this.hasOpened && !this.#over;
  }

  /**
   * Open a session, or see whether it may be gone on with.
   * @param {Init} init
   * @returns {Promise<Ready>}
   * @throws {Problem} `unreachable`, `redirected`, `unauthorized`, or the code of the server's refusal
   */
  async open(init) {
    this.#url = ((await this.options.url()) ?? "").replace(/\/+$/, "");
    const { known } = this.options;
    const { session_id: id, resume_token: token } = init;
    /** @type {Ready["history"]} */
    let history = [];
    if (id && token) {
      this.#session = { id, token };
      history = await this.#history();
    } else {
      const made = await this.#post("/sessions", { settings: init.settings ?? {} });
      this.#session = { id: made["session_id"], token: made["resume_token"] };
      known.settings = made["settings"];
      known.choices = made["choices"];
      known.standIns = made["stand_ins"];
    }
    if (this.#over) throw new Problem("closed", "The connection was closed.");
    this.hasOpened = true;
    return {
      type: "ready",
      protocol: 1,
      session_id: this.#session.id,
      resume_token: this.#session.token,
      resumed: Boolean(id),
      settings: { ...known.settings, ...known.unsent },
      limits: known.limits,
      ...(known.choices && { choices: known.choices }),
      stand_ins: known.standIns ?? [],
      history,
    };
  }

  /** @param {ClientMessage} message nothing is sent when it is not open */
  send(message) {
    if (!this.isOpen) return;
    switch (message.type) {
      case "user_message":
        void this.#take(message.turn_id, { text: message.text, attempt: message.attempt ?? 1 });
        break;
      case "audio_start":
        this.#speeches.set(message.turn_id, new CollectedSpeech(message));
        break;
      case "audio_chunk":
        this.#speeches.get(message.turn_id)?.add(message);
        break;
      case "audio_end":
        this.#spoken(message);
        break;
      case "interrupt":
        void this.#interrupt(message);
        break;
      case "config":
        this.#configure(message.settings);
        break;
      case "end":
        this.#later({ type: "session_ended", session_id: this.#session.id, reason: "ended" });
        break;
    }
    this.hooks.onSent(message);
  }

  /** A request that is lost says so itself: nobody needs to be asked. */
  attend() {}

  probe() {}

  /** Leave; nobody is told. What has been asked for is left to end. */
  close() {
    this.#over = true;
  }

  /** What was said in the session, which may be gone on with.
   * @returns {Promise<NonNullable<Ready["history"]>>} */
  async #history() {
    const { id, token: resumeToken } = this.#session;
    const token = await this.options.token();
    const url = `${this.#url}/sessions/${encodeURIComponent(id)}`;
    const { status, messages } = await ask(url, { token, resumeToken, timeoutMs: TIMEOUT_MS });
    if (status === "active") return messages;
    throw new Problem("session_not_found", "The session is over.");
  }

  /** @param {import("./messages.js").AudioEnd} end */
  #spoken({ turn_id: turnId, chunks }) {
    const speech = this.#speeches.get(turnId);
    if (!speech) return;
    this.#speeches.delete(turnId);
    const { format, attempt } = speech;
    try {
      void this.#take(turnId, { audio: speech.whole(chunks), format, attempt });
    } catch (problem) {
      if (problem instanceof Problem) this.#refused(turnId, problem);
      else throw problem;
    }
  }

  /**
   * Have a turn run, and deliver its events; again until there is an answer.
   * @param {string} turnId
   * @param {object} said
   */
  async #take(turnId, said) {
    if (this.#running.has(turnId)) return;
    this.#running.add(turnId);
    const events = await this.#answered(turnId, said);
    this.#running.delete(turnId);
    const isSilent = this.#interrupted.delete(turnId);
    for (const event of events) {
      if (this.#over) return;
      // Its number must not be missing.
      this.hooks.onEvent(isSilent && event.type === "audio" ? { ...event, audio: "" } : event);
    }
  }

  /**
   * @param {string} turnId
   * @param {object} said
   * @returns {Promise<ServerEvent[]>} none if there will be no answer
   */
  async #answered(turnId, said) {
    for (let failures = 0; !this.#over; ) {
      try {
        return await this.#answer(turnId, said);
      } catch (cause) {
        const problem = problemOf(cause);
        // It runs, or its answer is on its way to somebody else: that ends.
        if (problem.code !== "turn_running") failures += 1;
        if (!mayComeYet(problem) || failures >= TRIES) {
          this.#failed(turnId, problem);
          break;
        }
        const delayMs = FIRST_DELAY_MS * 2 ** Math.max(0, failures - 1);
        await after(Math.max(delayMs, problem.retryAfterMs ?? 0));
      }
    }
    return [];
  }

  /**
   * @param {string} turnId
   * @param {object} said
   * @returns {Promise<ServerEvent[]>}
   */
  async #answer(turnId, said) {
    const { known } = this.options;
    const settings = known.unsent;
    const number = (this.#requests += 1);
    const { id: session_id, token: resume_token } = this.#session;
    const about = { turn_id: turnId, session_id, resume_token, events: true };
    const answer = await this.#post("/turns", { ...said, ...about, settings }, TURN_TIMEOUT_MS);
    known.settings = { ...known.settings, ...settings };
    if (known.unsent === settings) known.unsent = {};
    // While a newer request is under way its token stays good, and not the one that came first.
    const token = answer["resume_token"];
    if (token && number === this.#requests && !this.#over) {
      this.#session.token = token;
      this.hooks.onToken(token);
    }
    return answer["events"];
  }

  /**
   * A turn is not answered: the connection is over, or the turn is.
   * @param {string} turnId
   * @param {Problem} problem
   */
  #failed(turnId, problem) {
    if (this.#over) return;
    const { code, field = "" } = problem;
    // Or every turn to come would fail for them, too.
    if (field.startsWith("settings")) this.#configure(undefined);
    if (["unreachable", "unauthorized", "redirected", ...SESSION_GONE].includes(code)) {
      this.#over = true;
      const lost = new Problem("connection_lost", "The connection was lost.", {
        retryable: true,
        cause: problem,
      });
      this.hooks.onClosed(code === "unreachable" ? lost : problem);
    } else {
      this.hooks.onRefused(turnId, problem);
    }
  }

  /**
   * After what sends has been noted as sent.
   * @param {string} turnId
   * @param {Problem} problem
   */
  #refused(turnId, problem) {
    queueMicrotask(() => this.#failed(turnId, problem));
  }

  /** @param {import("./messages.js").Interrupt} message */
  async #interrupt({ turn_id: turnId, played_ms }) {
    if (this.#speeches.delete(turnId)) {
      const nothing = { seq: 0, text: "", metrics: {} };
      this.#later({ type: "turn_end", turn_id: turnId, reason: "interrupted", ...nothing });
      return;
    }
    if (this.#running.has(turnId)) this.#interrupted.add(turnId);
    for (let tries = 1; tries <= TRIES && !this.#over; tries += 1) {
      try {
        await this.#postInterrupt(turnId, played_ms);
        return;
      } catch (cause) {
        if (!problemOf(cause).retryable) return;
        await after((FIRST_DELAY_MS / 4) * 2 ** tries);
      }
    }
  }

  /**
   * @param {string} turnId
   * @param {number} played_ms
   */
  #postInterrupt(turnId, played_ms) {
    const { id, token: resume_token } = this.#session;
    const path = `/sessions/${encodeURIComponent(id)}/turns/${encodeURIComponent(turnId)}/interrupt`;
    return this.#post(path, { played_ms, resume_token });
  }

  /** @param {Settings | undefined} settings go with the next turn; none: those before are refused */
  #configure(settings) {
    const { known } = this.options;
    known.unsent = settings ? { ...known.unsent, ...settings } : {};
    this.#later({ type: "config_updated", settings: { ...known.settings, ...known.unsent } });
  }

  /** @param {ServerEvent} event that the server is not asked for; after `send` has returned */
  #later(event) {
    queueMicrotask(() => {
      if (!this.#over) this.hooks.onEvent(event);
    });
  }

  /**
   * @param {string} path
   * @param {object} body
   * @param {number} [timeoutMs]
   */
  async #post(path, body, timeoutMs = TIMEOUT_MS) {
    const token = await this.options.token();
    return ask(this.#url + path, { body, token, timeoutMs });
  }
}

/**
 * Whether the turn runs, or may have: then the same request has its answer. What met a limit does
 * not, and when to try that again is the user's business.
 * @param {Problem} problem
 */
function mayComeYet({ code, retryable }) {
  return code === "turn_running" || (code === "internal" && retryable);
}

/** @param {unknown} cause */
function problemOf(cause) {
  if (cause instanceof Problem) return cause;
  const text = "The address or the token could not be had.";
  return new Problem("unreachable", text, { retryable: true, cause });
}

/** @param {number} ms */
function after(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
