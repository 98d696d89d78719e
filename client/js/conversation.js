/**
 * A conversation: typed and spoken turns, replies in order, interruption. Microphone and player
 * are handed in and may be left out; it knows nothing of a page.
 *
 * Events (`on(name, listener)` or `addEventListener`): see `Events`. One connection, for now:
 * when it closes, the state is `closed` and `connect()` opens a new session.
 */
import { fromBase64 } from "./base64.js";
import { Connection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { sampleRateOf } from "./pcm.js";
import { Problem } from "./problem.js";
import { Speech } from "./speech.js";
import { TurnEvents } from "./turn-events.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Settings} Settings */
/** @typedef {"connecting" | "ready" | "closed"} State */

/**
 * @typedef {object} Events
 * @property {{state: State, problem?: Problem}} state
 * @property {ServerEvent} message every server event, in order within its turn
 * @property {ClientMessage} sent every message that left
 * @property {{turnId: string, spoken: boolean, text: string}} turn a turn began
 * @property {{turnId: string}} listened the user has finished speaking
 * @property {{turnId: string, playedMs: number}} interrupted a reply was cut off
 * @property {import("./messages.js").Transcript} transcript
 * @property {import("./messages.js").ReplyText} reply_text
 * @property {import("./messages.js").Audio} audio
 * @property {import("./messages.js").TurnEnd} turn_end
 * @property {import("./messages.js").ConfigUpdated} config_updated
 * @property {import("./messages.js").SessionEnded} session_ended
 * @property {Problem} error
 */

/**
 * @typedef {object} AudioInput a `Microphone`, or what behaves like one
 * @property {(onChunk: (pcm: Uint8Array) => void) => Promise<void>} start
 * @property {() => Promise<void>} stop settles when the last chunk has been handed over
 */

/**
 * @typedef {object} AudioOutput a `Player`, or what behaves like one
 * @property {(turnId: string, pcm: Uint8Array, rateHz: number) => void} play
 * @property {(turnId: string) => Promise<number>} stop settles with the ms that were heard
 * @property {(turnId: string) => boolean} isPlaying
 */

/** @typedef {{id: string, running: boolean, interrupted: boolean}} Turn */

export const PROTOCOL_VERSION = 1;
const END_TIMEOUT_MS = 3_000;

/** @extends {Emitter<Events>} */
export class Conversation extends Emitter {
  /** @type {State} */
  state = "closed";
  /** @type {string | undefined} */
  sessionId;
  maxTextChars = 8_000;
  maxChunks = 9_000;
  /** @type {Connection | undefined} */
  #connection;
  /** The newest turn.
   * @type {Turn | undefined} */
  #turn;
  /** What is being said right now.
   * @type {Speech | undefined} */
  #speech;
  /** What was said last, until it has been understood.
   * @type {Speech | undefined} */
  #spoken;
  /** @type {Map<string, TurnEvents>} */
  #ordered = new Map();
  /** The interruption that is under way.
   * @type {Promise<void> | undefined} */
  #stopping;

  /**
   * @param {string} url `wss://…/stage`
   * @param {{settings?: Settings, microphone?: AudioInput, player?: AudioOutput,
   *   WebSocket?: typeof WebSocket}} [options]
   */
  constructor(url, options = {}) {
    super();
    this.url = url;
    this.settings = options.settings ?? {};
    this.microphone = options.microphone;
    this.player = options.player;
    this.WebSocket = options.WebSocket;
  }

  /** Whether `interrupt()` would stop something. */
  get canInterrupt() {
    const turn = this.#turn;
    if (!turn || turn.interrupted) return false;
    return turn.running || (this.player?.isPlaying(turn.id) ?? false);
  }

  /**
   * Open the connection and a session.
   * @throws {Problem} why it did not work
   */
  async connect() {
    this.#connection?.close();
    /** @type {Connection} */
    const connection = new Connection(
      this.url,
      {
        onEvent: (event) => connection === this.#connection && this.#receive(event),
        onSent: (message) => this.emit("sent", message),
        onClosed: (problem) => connection === this.#connection && this.#closed(problem),
      },
      this.WebSocket,
    );
    this.#connection = connection;
    this.#become("connecting");
    try {
      const ready = await connection.open({
        type: "init",
        protocol: PROTOCOL_VERSION,
        settings: this.settings,
      });
      this.sessionId = ready.session_id;
      this.settings = ready.settings;
      this.maxTextChars = ready.limits.max_text_chars ?? this.maxTextChars;
      this.maxChunks = ready.limits.max_chunks ?? this.maxChunks;
      if (connection === this.#connection) this.#become("ready");
    } catch (problem) {
      if (connection === this.#connection) {
        this.#become("closed", problem instanceof Problem ? problem : undefined);
      }
      throw problem;
    }
  }

  /**
   * A typed turn. What is running is interrupted.
   * @param {string} text
   * @returns {Promise<string>} its turn id
   * @throws {Problem} `not_connected`, `bad_request`, `too_large`
   */
  async say(text) {
    this.#requireReady();
    if (!text.trim()) throw new Problem("bad_request", "There is nothing to say.");
    if (text.length > this.maxTextChars) {
      throw new Problem("too_large", `A message has at most ${this.maxTextChars} characters.`);
    }
    // Whoever else began a turn meanwhile is interrupted too.
    do await this.interrupt();
    while (this.canInterrupt);
    const turnId = newTurnId();
    this.#send({ type: "user_message", turn_id: turnId, text });
    this.#begin(turnId, { spoken: false, text });
    return turnId;
  }

  /**
   * Open the microphone and begin a spoken turn. What is running is interrupted. Call it from a
   * user's gesture.
   * @returns {Promise<string | undefined>} its turn id; none if `stopSpeaking` came before the
   *   microphone was open
   * @throws {Problem} `not_connected`, `microphone_denied`, `microphone_missing`, …
   */
  async startSpeaking() {
    this.#requireReady();
    const { microphone } = this;
    if (!microphone) throw new Problem("microphone_missing", "There is no microphone.");
    if (this.#speech) {
      this.#speech.released = false;
      return this.#speech.turnId;
    }
    const speech = new Speech(newTurnId(), (message) => this.#post(message));
    this.#speech = speech;
    try {
      // Listening starts at once; the old reply falls silent meanwhile.
      await Promise.all([microphone.start((pcm) => this.#hear(speech, pcm)), this.interrupt()]);
      while (this.canInterrupt) await this.interrupt();
      this.#requireReady();
      if (speech.released || speech.over) {
        this.#speech = undefined;
        await microphone.stop();
        return undefined;
      }
      this.#begin(speech.turnId, { spoken: true, text: "" });
      speech.start();
    } catch (problem) {
      if (this.#speech === speech) this.#speech = undefined;
      void microphone.stop();
      throw problem;
    }
    return speech.turnId;
  }

  /** The user has finished speaking. */
  async stopSpeaking() {
    const speech = this.#speech;
    if (!speech) return;
    speech.released = true;
    if (!speech.started) return;
    this.#speech = undefined;
    this.#spoken = speech;
    await this.microphone?.stop();
    if (speech.over || this.state !== "ready") return;
    speech.end();
    this.emit("listened", { turnId: speech.turnId });
  }

  /**
   * Stop what is being said, by either side: the reply falls silent at once, and the server
   * learns how much of it was heard. Without anything to stop, nothing happens.
   */
  interrupt() {
    const turn = this.#turn;
    if (turn && this.canInterrupt) {
      this.#stopping = this.#interrupt(turn).finally(() => (this.#stopping = undefined));
    }
    return this.#stopping ?? Promise.resolve();
  }

  /** @param {Turn} turn */
  async #interrupt(turn) {
    turn.interrupted = true;
    if (this.#speech?.turnId === turn.id) {
      this.#speech.cancel();
      this.#speech = undefined;
      void this.microphone?.stop();
    }
    const playedMs = (await this.player?.stop(turn.id)) ?? 0;
    this.#post({ type: "interrupt", turn_id: turn.id, played_ms: playedMs });
    this.emit("interrupted", { turnId: turn.id, playedMs });
  }

  /** @param {Settings} settings from the next turn on */
  configure(settings) {
    this.#requireReady();
    this.#send({ type: "config", settings });
  }

  /** End the session, and close the connection. */
  async end() {
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
      this.#send({ type: "end" });
      await over;
    }
    this.close();
  }

  /** Close the connection; the session stays. */
  close() {
    this.#connection?.close();
  }

  /**
   * @param {string} turnId
   * @param {{spoken: boolean, text: string}} what
   */
  #begin(turnId, what) {
    this.#turn = { id: turnId, running: true, interrupted: false };
    this.emit("turn", { turnId, ...what });
  }

  /**
   * @param {Speech} speech
   * @param {Uint8Array} pcm
   */
  #hear(speech, pcm) {
    if (this.state !== "ready") return;
    speech.add(pcm);
    if (speech.chunks >= this.maxChunks) void this.stopSpeaking();
  }

  /** @param {ServerEvent} event */
  #receive(event) {
    if (!("seq" in event) || typeof event.seq !== "number" || !event.turn_id) {
      this.#deliver(event);
      return;
    }
    let ordered = this.#ordered.get(event.turn_id);
    if (!ordered) this.#ordered.set(event.turn_id, (ordered = new TurnEvents()));
    const numbered = /** @type {ServerEvent & {seq: number}} */ (event);
    for (const next of ordered.take(numbered)) this.#deliver(next);
  }

  /** @param {ServerEvent} event */
  #deliver(event) {
    this.emit("message", event);
    switch (event.type) {
      case "audio":
        if (!(this.#turn?.id === event.turn_id && this.#turn.interrupted)) {
          const pcm = fromBase64(event.audio);
          this.player?.play(event.turn_id, pcm, sampleRateOf(event.format));
        }
        this.emit("audio", event);
        break;
      case "transcript":
        if (event.final && this.#spoken?.turnId === event.turn_id) this.#spoken = undefined;
        this.emit("transcript", event);
        break;
      case "turn_end":
        if (this.#turn?.id === event.turn_id) this.#turn.running = false;
        this.#post({ type: "ack", turn_id: event.turn_id, seq: event.seq });
        this.emit("turn_end", event);
        break;
      case "error":
        if (event.code === "audio_gap" && this.#spoken?.turnId === event.turn_id) {
          this.#spoken?.resend(event.missing ?? []);
        }
        this.emit("error", Problem.from(event));
        break;
      case "config_updated":
        this.settings = event.settings;
        this.emit("config_updated", event);
        break;
      case "reply_text":
        this.emit("reply_text", event);
        break;
      case "session_ended":
        this.emit("session_ended", event);
        break;
    }
  }

  /** @param {Problem | undefined} problem */
  #closed(problem) {
    const turn = this.#turn;
    this.#speech?.cancel();
    if (this.#speech) void this.microphone?.stop();
    this.#speech = this.#spoken = undefined;
    this.#ordered.clear();
    if (turn?.running) {
      turn.running = false;
      const text = "The connection was lost before the reply was complete.";
      const lost = { retryable: true, turnId: turn.id };
      if (problem) this.emit("error", new Problem("connection_lost", text, lost));
    }
    if (this.state === "ready") this.#become("closed", problem);
  }

  #requireReady() {
    if (this.state === "ready") return;
    const text = "There is no connection. Connect first.";
    throw new Problem("not_connected", text, { retryable: true });
  }

  /** @param {ClientMessage} message */
  #send(message) {
    this.#connection?.send(message);
  }

  /**
   * Send what is pointless without a connection.
   * @param {ClientMessage} message
   */
  #post(message) {
    if (this.#connection?.isOpen) this.#connection.send(message);
  }

  /**
   * @param {State} state
   * @param {Problem} [problem]
   */
  #become(state, problem) {
    this.state = state;
    this.emit("state", problem ? { state, problem } : { state });
  }
}

/** 64 random bits: unique within a session, and safe to use as an id. */
function newTurnId() {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return `t-${Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("")}`;
}
