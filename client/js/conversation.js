/**
 * A conversation: typed and spoken turns, replies in order, interruption, and nothing lost when
 * the connection is. Microphone and player are handed in and may be left out; it knows nothing
 * of a page.
 *
 * Events (`on(name, listener)` or `addEventListener`): see `Events`.
 */
import { fromBase64 } from "./base64.js";
import { Connection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { HandsFree } from "./hands-free.js";
import { Outgoing } from "./outgoing.js";
import { sampleRateOf } from "./pcm.js";
import { Problem } from "./problem.js";
import { about, TurnEvents } from "./turn-events.js";
import { Utterances } from "./utterances.js";
import { Vigil } from "./vigil.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Settings} Settings */
/** @typedef {import("./turn.js").Turn} Turn */
/** @typedef {import("./connection.js").StateChange} StateChange */
/** @typedef {import("./hands-free.js").HandsFreeSettings} HandsFreeSettings */
/** @typedef {import("./conversation-types.js").Events} Events */
/** @typedef {import("./conversation-types.js").ConversationOptions} ConversationOptions */

const END_TIMEOUT_MS = 3_000;
/** So much from before the key was pressed belongs to what is said. */
const PREROLL_MS = 300;

/** @extends {Emitter<Events>} */
export class Conversation extends Emitter {
  /** @type {Connection} */
  #connection;
  /** @type {Outgoing} */
  #outgoing;
  /** @type {Utterances} */
  #utterances;
  #incoming = new TurnEvents();
  /** @type {Vigil} */
  #vigil;
  /** Those that have not ended.
   * @type {Map<string, Turn>} */
  #turns = new Map();
  /** @type {Turn | undefined} */
  #newest;
  /** What can be tried again.
   * @type {import("./utterances.js").Failed | undefined} */
  #failed;
  /** The interruption that is under way.
   * @type {Promise<void> | undefined} */
  #stopping;
  /** @type {HandsFree | undefined} */
  #handsFree;

  /**
   * @param {import("./connection.js").Asked} url `wss://…/stage`, or who to ask for it
   * @param {ConversationOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    const { settings = {}, session, microphone, player, queue, ...connection } = options;
    this.settings = settings;
    this.microphone = microphone;
    this.player = player;
    this.#connection = new Connection(url, {
      ...connection,
      hello: () => ({
        received: this.#incoming.received,
        // A session that is resumed has its settings.
        ...(!this.#connection.session && { settings: this.settings }),
      }),
      quiet: () => this.#turns.size === 0 && !this.#utterances.turn && !this.canInterrupt,
    });
    this.#connection.session = session;
    this.#outgoing = new Outgoing((message) => this.#connection.send(message), queue);
    this.#utterances = new Utterances(this.#stage(), microphone);
    this.#vigil = new Vigil({
      onSilence: () => this.#connection.probe(this.#awaited),
      onGap: () => void this.#connection.renew(),
    });
    this.#connection.on("ready", (ready) => this.#opened(ready));
    this.#connection.on("state", (change) => this.#changed(change));
    this.#connection.on("event", (event) => this.#receive(event));
    this.#connection.on("sent", (message) => this.emit("sent", message));
    this.#connection.on("session_lost", (problem) => this.emit("error", problem));
  }

  /** @returns {import("./utterances.js").Stage} */
  #stage() {
    return {
      unable: () => this.#unable(),
      silence: () => this.#silence(),
      send: (message) => this.#outgoing.add(message),
      begin: (turn) => this.#begin(turn),
      listened: ({ id: turnId }) => {
        this.#look();
        this.emit("listened", { turnId });
      },
      refuse: (turn, problem) => this.#refuse(turn, problem),
    };
  }

  get state() {
    return this.#connection.state;
  }

  /** What it takes to resume the session: keep it to come back after a reload. */
  get session() {
    return this.#connection.session;
  }

  /** Whether `interrupt()` would stop something. */
  get canInterrupt() {
    const turn = this.#newest;
    if (!turn || turn.interrupted) return false;
    const isRunning = this.canSpeak && this.#turns.has(turn.id);
    return isRunning || (this.player?.isPlaying(turn.id) ?? false);
  }

  /** Whether what is said now is taken: at once, or as soon as there is a connection again. */
  get canSpeak() {
    return !["idle", "closed", "failed"].includes(this.state);
  }

  /** The reply that is waited for. */
  get #awaited() {
    return [...this.#turns.values()].find((turn) => turn !== this.#utterances.turn);
  }

  /**
   * Open the connection and a session, and stay connected; after `failed` or `closed`, resume it.
   * @throws {Problem} why it did not work
   */
  async connect() {
    await this.#connection.connect();
  }

  /**
   * A typed turn. What is running is interrupted.
   * @param {string} text
   * @returns {Turn} `await` it for the whole reply, `for await` its events. It fails with a
   *   `Problem`: `not_connected`, `bad_request`, `too_large`, `queue_full`, or the server's
   */
  say(text) {
    return this.#utterances.type(text);
  }

  /**
   * Open the microphone and begin a spoken turn. What is running is interrupted. Call it from a
   * user's gesture.
   * @param {{prerollMs?: number}} [options] how much from before belongs to it, if the
   *   microphone was open
   * @returns {Turn} `cancelled` if `stopSpeaking` came before the microphone was open. It fails
   *   with a `Problem`: `not_connected`, `microphone_denied`, `microphone_missing`, …
   */
  startSpeaking({ prerollMs = PREROLL_MS } = {}) {
    return this.#utterances.speak(prerollMs);
  }

  /** The user has finished speaking. */
  stopSpeaking() {
    return this.#utterances.finish();
  }

  /**
   * Hands-free: whoever begins to speak begins a turn, and interrupts the reply; silence ends it.
   * Call it from a user's gesture.
   * @param {HandsFreeSettings} [settings]
   * @throws {Problem} `microphone_denied`, `microphone_missing`, …
   */
  async startHandsFree(settings = {}) {
    const { microphone: detection, player } = this;
    if (!detection || !("watch" in detection)) {
      throw new Problem("microphone_missing", "There is no microphone that notices speech.");
    }
    await this.stopHandsFree();
    const handsFree = new HandsFree({ conversation: this, detection, player }, settings);
    handsFree.onSpeaking = (speaking) => this.emit("hands_free", { enabled: true, speaking });
    await handsFree.start();
    this.#handsFree = handsFree;
    this.emit("hands_free", { enabled: true, speaking: false });
  }

  /** What is being said is finished, and nothing more is listened to. */
  async stopHandsFree() {
    const handsFree = this.#handsFree;
    if (!handsFree) return;
    this.#handsFree = undefined;
    await handsFree.stop();
    this.emit("hands_free", { enabled: false, speaking: false });
  }

  /**
   * Stop what is being said, by either side: the reply falls silent at once, and the server
   * learns how much of it was heard. Without anything to stop, nothing happens.
   */
  interrupt() {
    const turn = this.#newest;
    if (turn && this.canInterrupt) {
      this.#stopping = this.#interrupt(turn).finally(() => (this.#stopping = undefined));
    }
    return this.#stopping ?? Promise.resolve();
  }

  /** @param {Turn} turn */
  async #interrupt(turn) {
    turn.interrupted = true;
    this.#utterances.takeBack(turn.id);
    const playedMs = (await this.player?.stop(turn.id)) ?? 0;
    const isRunning = this.#turns.has(turn.id);
    if (isRunning && !this.#outgoing.hasLeft(turn.id)) {
      this.#forget(turn.id);
      turn.cancel();
    } else {
      this.#post({ type: "interrupt", turn_id: turn.id, played_ms: playedMs }, isRunning);
    }
    this.emit("interrupted", { turnId: turn.id, playedMs });
  }

  async #silence() {
    // Whoever else began a turn meanwhile is interrupted too.
    do await this.interrupt();
    while (this.canInterrupt);
  }

  /**
   * Try the turn again that has failed last, if its problem was `retryable`.
   * @param {string} turnId
   * @returns {Turn | undefined} the next attempt, unless there is nothing to try again
   */
  retry(turnId) {
    const failed = this.#failed;
    if (failed?.turnId !== turnId || this.#unable()) return undefined;
    this.#failed = undefined;
    return this.#utterances.repeat(failed);
  }

  /**
   * @param {Settings} settings from the next turn on
   * @throws {Problem} `not_connected`
   */
  configure(settings) {
    const problem = this.#unable();
    if (problem) throw problem;
    this.#outgoing.add({ type: "config", settings }, false);
  }

  /** End the session, and close the connection. */
  async end() {
    await this.stopHandsFree();
    if (this.state === "ready") {
      const over = new Promise((resolve) => {
        const stops = [this.on("session_ended", done), this.on("state", done)];
        const timer = setTimeout(done, END_TIMEOUT_MS);
        function done() {
          clearTimeout(timer);
          for (const stop of stops) stop();
          resolve(undefined);
        }
      });
      this.#post({ type: "end" }, false);
      await over;
    }
    this.close();
    this.#connection.session = undefined;
  }

  /** Close the connection; the session stays. */
  close() {
    this.#connection.close();
    for (const turnId of [...this.#turns.keys()]) this.#forget(turnId);
  }

  /** @param {Turn} turn */
  #begin(turn) {
    turn.begun = true;
    this.#newest = turn;
    this.#failed = undefined;
    this.#turns.set(turn.id, turn);
    this.#incoming.begin(turn.id, turn.attempt);
    this.emit("turn", turn);
    this.#look();
  }

  /**
   * @param {Turn} turn that cannot be said
   * @param {unknown} cause
   */
  #refuse(turn, cause) {
    const problem =
      cause instanceof Problem ? cause : new Problem("internal", String(cause), { cause });
    const wasHeardOf = this.#turns.has(turn.id) && this.#outgoing.hasLeft(turn.id);
    this.#forget(turn.id);
    if (wasHeardOf) this.#post({ type: "interrupt", turn_id: turn.id, played_ms: 0 }, false);
    turn.fail(problem);
    this.emit("error", problem);
  }

  /** @param {import("./messages.js").Ready} ready */
  #opened(ready) {
    this.settings = ready.settings;
    const { max_text_chars, max_chunks, max_message_bytes } = ready.limits;
    this.#utterances.maxTextChars = max_text_chars ?? 8_000;
    this.#utterances.maxChunks = max_chunks ?? 9_000;
    this.#outgoing.maxMessageBytes = max_message_bytes ?? 32_768;
    this.emit("message", ready);
    const { session_id: id, resume_token: token, resumed, history } = ready;
    this.emit("session", { id, token, resumed, history: history ?? [] });
    this.#outgoing.repeat();
    this.#look();
  }

  /** @param {StateChange} change */
  #changed(change) {
    const { state, problem } = change;
    if (state === "closed" || state === "failed") this.#stopped(problem);
    if (state !== "ready") this.#vigil.stop();
    this.emit("state", change);
  }

  /**
   * Nothing more is tried. What has not been answered is said again if `connect` is called.
   * @param {Problem | undefined} problem
   */
  #stopped(problem) {
    this.#utterances.takeBack();
    void this.stopHandsFree();
    for (const turn of this.#turns.values()) {
      if (turn.ended) continue;
      const why = unfinished(turn, problem);
      turn.fail(why);
      if (problem) this.emit("error", why);
    }
  }

  /** @param {ServerEvent} event */
  #receive(event) {
    if (!("seq" in event) || typeof event.seq !== "number" || !event.turn_id) {
      this.#deliver(event);
      return;
    }
    const numbered = /** @type {import("./turn-events.js").TurnEvent} */ (event);
    const { events, isLate } = this.#incoming.take(numbered);
    for (const next of events) {
      this.#turns.get(next.turn_id)?.take(next);
      this.#deliver(next);
    }
    if (isLate && event.type === "turn_end") {
      this.#acknowledge(event.turn_id, event.attempt ?? 1);
    }
    this.#look();
  }

  /** @param {ServerEvent} event */
  #deliver(event) {
    this.emit("message", event);
    switch (event.type) {
      case "audio":
        this.#play(event);
        this.emit("audio", event);
        break;
      case "turn_end":
        this.#ended(event);
        this.emit("turn_end", event);
        break;
      case "error":
        this.#failing(event);
        break;
      case "config_updated":
        this.settings = event.settings;
        this.emit("config_updated", event);
        break;
      case "transcript":
        this.emit("transcript", event);
        break;
      case "reply_text":
        this.emit("reply_text", event);
        break;
      case "session_ended":
        this.emit("session_ended", event);
        break;
    }
  }

  /** @param {import("./messages.js").Audio} event */
  #play(event) {
    const { turn_id, audio, format } = event;
    const isOff = this.#newest?.id === turn_id && this.#newest.interrupted;
    // After an interruption the rest comes without sound, so that no number is missing.
    if (audio && !isOff) this.player?.play(turn_id, fromBase64(audio), sampleRateOf(format));
  }

  /** @param {import("./messages.js").TurnEnd} event */
  #ended(event) {
    const { turn_id: turnId, attempt = 1 } = event;
    const messages = this.#forget(turnId);
    if (event.reason === "failed" && event.retryable && messages.length) {
      this.#failed = { turnId, attempt, messages };
    }
    this.#utterances.takeBack(turnId);
    this.player?.finish?.(turnId);
    this.#acknowledge(turnId, attempt);
  }

  /** @param {import("./messages.js").Error} event */
  #failing(event) {
    const { code, turn_id: turnId, missing } = event;
    // What can be sent again is no problem of the user's.
    if (code === "audio_gap" && turnId && missing) this.#outgoing.resend(turnId, missing);
    else this.emit("error", Problem.from(event));
  }

  /**
   * @param {string} turnId
   * @param {number} attempt the end of which has come
   */
  #acknowledge(turnId, attempt) {
    const seq = this.#incoming.seq(turnId);
    const isOver = !this.player?.isPlaying(turnId);
    const playedMs = isOver ? this.player?.playedMsOf?.(turnId) : undefined;
    const heard = playedMs === undefined ? {} : { played_ms: playedMs };
    this.#connection.send({ type: "ack", turn_id: turnId, seq, ...about(attempt), ...heard });
  }

  /**
   * @param {string} turnId
   * @returns {ClientMessage[]} what was said in it
   */
  #forget(turnId) {
    this.#turns.delete(turnId);
    return this.#outgoing.forget(turnId);
  }

  /** See whether there is something to wait for. */
  #look() {
    const isReady = this.state === "ready";
    const isWaiting = isReady && this.#awaited !== undefined;
    this.#vigil.see({ isWaiting, hasGap: isReady && this.#incoming.hasGap });
  }

  #unable() {
    if (this.canSpeak) return undefined;
    const text = "There is no connection. Connect first.";
    return new Problem("not_connected", text, { retryable: true });
  }

  /**
   * Send what no turn depends on.
   * @param {ClientMessage} message
   * @param {boolean} keep
   */
  #post(message, keep) {
    try {
      this.#outgoing.add(message, keep);
    } catch (problem) {
      if (problem instanceof Problem) this.emit("error", problem);
    }
  }
}

/**
 * @param {Turn} turn that will not end, for now
 * @param {Problem | undefined} cause none if the connection was closed on purpose
 */
function unfinished(turn, cause) {
  const more = { retryable: true, turnId: turn.id, cause };
  return cause
    ? new Problem("connection_lost", "The connection was lost before the reply was complete.", more)
    : new Problem("closed", "The conversation was closed before the reply was complete.", more);
}
