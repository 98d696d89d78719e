/**
 * A conversation: typed and spoken turns, replies in order, interruption, and nothing lost when
 * the connection is. Microphone and player are handed in and may be left out; it knows nothing
 * of a page.
 *
 * Events (`on(name, listener)` or `addEventListener`): see `Events`.
 */
import { BrokenTurns } from "./broken-turns.js";
import { Reconnector } from "./reconnector.js";
import { Devices } from "./devices.js";
import { Emitter, oneOf } from "./emitter.js";
import { HangUp } from "./hang-up.js";
import { Interruption } from "./interruption.js";
import { checkText } from "./message-checks.js";
import { OpenTurns } from "./open-turns.js";
import { Outgoing } from "./outgoing.js";
import { PageTools } from "./page-tools.js";
import { Problem } from "./problem.js";
import { Replies } from "./replies.js";
import { SilenceClock } from "./silence-clock.js";
import { Undelivered } from "./undelivered.js";
import { Utterances } from "./utterances.js";
import { Watchdog } from "./watchdog.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").Settings} Settings */
/** @typedef {import("./turn.js").Turn} Turn */
/** @typedef {import("./reconnector.js").StateChange} StateChange */
/** @typedef {import("./hands-free.js").HandsFreeSettings} HandsFreeSettings */
/** @typedef {import("./conversation-types.js").Events} Events */
/** @typedef {import("./conversation-types.js").ConversationOptions} ConversationOptions */

const END_TIMEOUT_MS = 3_000;
/** So much from before the key was pressed belongs to what is said. */
const PREROLL_MS = 300;
const MAX_FACT_CHARS = 2_000;
const DAY_MS = 86_400_000;

/** @extends {Emitter<Events>} */
export class Conversation extends Emitter {
  /** @type {Reconnector} */
  #reconnector;
  /** @type {Outgoing} */
  #outgoing;
  /** @type {Utterances} */
  #utterances;
  #turns = new OpenTurns();
  /** @type {Replies} */
  #replies;
  /** @type {BrokenTurns} */
  #broken;
  /** @type {Interruption} */
  #interruption;
  /** @type {Undelivered} */
  #undelivered;
  /** @type {Watchdog} */
  #watchdog;
  /** @type {Devices} */
  #devices;
  /** @type {PageTools} */
  #tools;
  /** @type {SilenceClock} */
  #silence;
  /** @type {HangUp} */
  #hangUp;
  /** Why somebody else than the user ends the conversation.
   * @type {import("./conversation-types.js").Ending | undefined} */
  #ending;
  /** Its part in the microphone, which others may use too. */
  #input;

  /** Whether speech is sent in µ-law where the server takes it. */
  #companding;

  /**
   * @param {import("./reconnector.js").Asked} url `wss://…/stage`, or who to ask for it
   * @param {ConversationOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    const { settings = {}, session, microphone, player, queue, companding = true, ...more } = options;
    this.#companding = companding;
    const { tools = {}, agent, ...connectionOptions } = more;
    /** Every setting in force. */
    this.settings = settings;
    /** What may be chosen here, once the server has said so.
     * @type {import("./messages.js").Choices | undefined} */
    this.choices = undefined;
    /** The stages whose provider only stands in for a real one, on a developer's machine.
     * @type {NonNullable<import("./messages.js").Ready["stand_ins"]>} */
    this.standIns = [];
    /** The session's agent, where the deployment has several; before `ready`, the one asked for. */
    this.agent = agent;
    /** Where speech comes from. */
    this.microphone = microphone;
    /** Where replies sound. */
    this.player = player;
    this.#reconnector = new Reconnector(url, {
      ...connectionOptions,
      hello: () => ({
        received: this.#replies.received,
        // A session that is resumed has its settings and its agent.
        ...(!this.#reconnector.session && { settings: this.#choosable(), ...(agent && { agent }) }),
        ...(this.#tools.names.length && { tools: this.#tools.names }),
      }),
      quiet: () => this.#isQuiet,
      needed: () => !this.#isQuiet || this.#devices.isHandsFree,
    });
    this.#reconnector.session = session;
    this.#outgoing = new Outgoing((message) => this.#reconnector.send(message), queue);
    this.#tools = new PageTools(tools, this.#toolsParts());
    this.#input = microphone?.share?.() ?? microphone;
    this.#devices = new Devices({
      conversation: this,
      microphone: this.#input,
      player,
      unable: () => this.#unableToListen(),
      onHandsFree: (change) => this.emit("hands_free", change),
      onInterruption: (change) => this.#interrupted(change),
      onWarning: (problem) => this.emit("warning", problem),
      onError: (problem) => this.emit("error", problem),
    });
    this.#utterances = new Utterances(this.#stage(), this.#input);
    this.#broken = new BrokenTurns({
      turns: this.#turns,
      outgoing: this.#outgoing,
      post: (message, keep) => this.#post(message, keep),
      onProblem: (problem) => this.emit("error", problem),
    });
    this.#replies = new Replies(this.#repliesParts());
    this.#interruption = new Interruption(this.#interruptionParts());
    this.#watchdog = new Watchdog({
      onSilence: () => this.#reconnector.probe(this.#awaited),
      onGap: () => void this.#reconnector.renew(),
    });
    this.#silence = new SilenceClock({
      isQuiet: () => this.#isQuiet,
      tell: (ms) => {
        if (this.state !== "ready") return false; // nobody connects again only to be silent
        return this.#reconnector.send({ type: "silence", silent_ms: Math.min(ms, DAY_MS) });
      },
    });
    this.#hangUp = new HangUp({
      isPlaying: (turnId) => player?.isPlaying(turnId) ?? false,
      isLast: async (turnId) => {
        await this.#utterances.begun;
        const { newest } = this.#turns;
        // After a reload the reply may be of a turn that is none here.
        const isNewest = newest === undefined || newest.id === turnId;
        return this.canSpeak && isNewest && !this.#utterances.turn;
      },
      end: () => {
        this.#ending = "agent";
        void this.end();
      },
    });
    this.#reconnector.on("ready", (ready) => this.#opened(ready));
    this.#reconnector.on("state", (change) => this.#changed(change));
    this.#reconnector.on("event", (event) => {
      if (event.type === "config_updated") this.settings = event.settings;
      if (event.type === "session_ended") this.#noteEnd(event);
      if (this.#replies.take(event)) this.#look();
    });
    this.#undelivered = new Undelivered({
      turns: this.#turns,
      outgoing: this.#outgoing,
      wasAnswered: (turnId) => this.#replies.wasAnswered(turnId),
      ask: (turn, requestId) => this.#reconnector.probe(turn, requestId),
      refuse: (turnId, problem) => this.#broken.refused(turnId, problem),
      onProblem: (problem) => this.emit("error", problem),
    });
    this.#reconnector.on("fault", (fault) => this.#undelivered.take(fault));
    this.#reconnector.on("sent", (message) => this.emit("sent", message));
    this.#reconnector.on("session_lost", (problem) => {
      this.#replies.startAgain();
      this.#forgetSession(problem);
      this.emit("error", problem);
    });
    this.#reconnector.on("transport", (change) => {
      this.#utterances.look();
      this.emit("transport", change);
    });
    this.#reconnector.on("token", (session) =>
      this.emit("session", { ...session, resumed: true, history: [] }),
    );
    this.#reconnector.on("refused", ({ turnId, problem }) => this.#broken.refused(turnId, problem));
    this.#reconnector.on("stayed", () => this.#outgoing.flush());
  }

  /** @returns {import("./utterances.js").Stage} */
  #stage() {
    return {
      unable: () => this.#unable(),
      isHttp: () => this.transport === "http",
      // A server that does not say can do both.
      findsEnds: () => this.choices?.endpointing?.includes("server_vad") ?? true,
      coding: () => this.#coding(),
      takesPauses: () => this.choices?.preemptive_replies ?? false,
      isHandsFree: () => this.#devices.isHandsFree,
      silence: (turnId) => this.#interruption.silence(turnId),
      send: (message) => this.#outgoing.add(message),
      begin: (turn) => this.#begin(turn),
      listened: ({ id: turnId }) => {
        this.#look();
        this.emit("listened", { turnId });
      },
      refuse: (turn, problem) => this.#broken.refuse(turn, problem),
    };
  }

  /** @returns {import("./page-tools.js").PageToolsParts} */
  #toolsParts() {
    return {
      // HTTP has no call to answer; what was asked before waits for a WebSocket.
      send: (message) => this.transport === "websocket" && this.#reconnector.send(message),
      turnState: (turnId) => {
        const turn = this.#turns.get(turnId);
        if (!turn) return "unknown";
        return turn.interrupted ? "interrupted" : "open";
      },
      maxMessageBytes: () => this.#outgoing.maxMessageBytes,
      onFailed: (problem) => this.emit("warning", problem),
    };
  }

  /** @returns {import("./replies.js").RepliesParts} */
  #repliesParts() {
    return {
      tools: this.#tools,
      interrupt: () => void this.#interruption.interrupt(),
      begin: (turn) => this.#beginAgentTurn(turn),
      hangUp: (turnId) => this.#hangUp.after(turnId),
      turns: this.#turns,
      outgoing: this.#outgoing,
      utterances: this.#utterances,
      player: this.player,
      forget: (turnId) => this.#broken.forget(turnId),
      acknowledge: (ack) => void this.#reconnector.send(ack),
      emit: (name, detail) => this.emit(name, detail),
    };
  }

  /** @returns {import("./interruption.js").InterruptionParts} */
  #interruptionParts() {
    return {
      turns: this.#turns,
      player: this.player,
      isUp: () => this.canSpeak,
      hasLeft: (turnId) => this.#outgoing.hasLeft(turnId),
      takeBack: (turnId) => this.#utterances.takeBack(turnId),
      forget: (turnId) => void this.#broken.forget(turnId),
      post: (message, keep) => this.#post(message, keep),
      onInterrupted: (turnId, playedMs) => {
        this.#tools.turnEnded(turnId, true);
        this.emit("interrupted", { turnId, playedMs });
      },
    };
  }

  /** The connection's state. */
  get state() {
    return this.#reconnector.state;
  }

  /** What messages go over: HTTP if WebSockets are blocked and there is an `httpUrl`. */
  get transport() {
    return this.#reconnector.transport;
  }

  /** What resumes the session. Keep it to come back after a reload. */
  get session() {
    return this.#reconnector.session;
  }

  /** Whether `interrupt()` would stop something. */
  get canInterrupt() {
    return this.#interruption.isPossible;
  }

  /** Whether what is said now is taken: at once, or as soon as there is a connection again. */
  get canSpeak() {
    return !["idle", "closed", "failed"].includes(this.state);
  }

  /** The reply that is waited for. */
  get #awaited() {
    return this.#turns.all().find((turn) => turn !== this.#utterances.turn);
  }

  /** Whether the user is being listened to. */
  get isListening() {
    return this.#utterances.isListening;
  }

  /** Whether hands-free listens, or will as soon as the browser gives the microphone. It is false after
   * `stopHandsFree`, also while the browser asks, and after a failure. */
  get isHandsFreeWanted() {
    return this.#devices.isHandsFreeWanted;
  }

  /** Whether nothing is said, waited for or heard. */
  get #isQuiet() {
    return this.#turns.isEmpty && !this.#utterances.turn && !this.canInterrupt;
  }

  /**
   * Open the connection and a session, and stay connected. After `failed` or `closed`, resume the
   * session, with all attempts.
   * @throws {Problem} why it did not work
   */
  async connect() {
    await this.#reconnector.connect();
  }

  /**
   * Begin a typed turn. It interrupts what is running.
   * @param {string} text
   * @returns {Turn} `await` it for the whole reply, `for await` its events. It fails with a
   *   `Problem`: `not_connected`, `bad_request`, `too_large`, `queue_full`, or the server's
   */
  say(text) {
    return this.#utterances.type(text);
  }

  /**
   * Open the microphone and begin a spoken turn. It interrupts what is running. Call it from a user's
   * gesture.
   * @param {import("./utterances.js").Speaking} [options]
   * @returns {Turn} `cancelled` if `stopSpeaking` came before the microphone was open, which then
   *   lets go of it. It fails
   *   with a `Problem`: `not_connected`, `microphone_denied`, `microphone_missing`, …
   */
  startSpeaking({ prerollMs = PREROLL_MS, endpointing = "manual", pauses = false } = {}) {
    return this.#utterances.speak({ prerollMs, endpointing, pauses });
  }

  /**
   * The user pauses, in a turn that was begun with `pauses`: the reply may be begun, and is heard only
   * if this was the end.
   */
  pauseSpeaking() {
    this.#utterances.pause();
  }

  /** The user goes on after a pause. */
  resumeSpeaking() {
    this.#utterances.resume();
  }

  /** End the spoken turn: the user has finished. */
  stopSpeaking() {
    return this.#utterances.finish();
  }

  /**
   * Listen hands-free. Speech begins a turn and interrupts the reply. Silence ends the turn.
   * Call it from a user's gesture.
   * @param {HandsFreeSettings} [settings]
   * @throws {Problem} `microphone_denied`, `microphone_missing`, …
   */
  startHandsFree(settings = {}) {
    return this.#devices.startHandsFree(settings);
  }

  /** Finish what is being said, and listen no longer. */
  stopHandsFree() {
    return this.#devices.stopHandsFree();
  }

  /**
   * Stop what is being said, by either side. The reply falls silent at once, and the server learns
   * how much of it was heard. Without anything to stop, nothing happens.
   */
  interrupt() {
    this.#utterances.finishKept();
    return this.#interruption.interrupt();
  }

  /**
   * Try the turn again that failed last, if its problem was `retryable`.
   * @param {string} turnId
   * @returns {Turn | undefined} the next attempt, unless there is nothing to try again
   */
  retry(turnId) {
    const { failed } = this.#turns;
    if (failed?.turnId !== turnId || this.#unable()) return undefined;
    this.#turns.failed = undefined;
    return this.#utterances.repeat(failed);
  }

  /**
   * Change settings from the next turn on: those that `choices` lists, and `record`.
   * @param {Settings} settings
   * @throws {Problem} `not_connected`, `bad_request`, `too_large`
   */
  configure(settings) {
    const problem = this.#unable();
    if (problem) throw problem;
    this.#outgoing.add({ type: "config", settings });
  }

  /**
   * Tell a fact that the agent's next reply knows, such as what the user looks at. Nothing is said of
   * it.
   * @param {string} fact up to 2,000 characters
   * @throws {Problem} `not_connected`, `not_allowed`, `bad_request`, `too_large`
   */
  tell(fact) {
    const problem = this.#unable() ?? this.#unableToTell();
    if (problem) throw problem;
    checkText(fact, MAX_FACT_CHARS, "told");
    this.#outgoing.add({ type: "context", text: fact }, false);
  }

  /** End the session: fall silent, let go of the microphone, and close the connection. */
  async end() {
    this.#hangUp.stop();
    await this.#letGo();
    if (this.state === "ready") {
      const over = oneOf(this, ["session_ended", "state"], END_TIMEOUT_MS);
      await Promise.race([this.#utterances.begun, over]);
      await this.#interruption.silence();
      this.#post({ type: "end" }, false);
      await over;
    } else {
      await this.#interruption.silence(this.#turns.newest?.id);
    }
    this.close();
    this.#reconnector.session = undefined;
  }

  /** Close the connection and let go of the microphone. The session stays, and what has come of the
   * reply is heard to its end, unless `interrupt()` silences it. */
  close() {
    this.#hangUp.stop();
    // A connection that was not open has nothing to tell, and hands-free needs none.
    if (!this.canSpeak) {
      void this.#letGo();
      this.#devices.follow(false);
    }
    this.#reconnector.close();
    for (const { id } of this.#turns.all()) this.#broken.forget(id);
  }

  /** @param {Turn} turn */
  #begin(turn) {
    turn.begun = true;
    this.#turns.begin(turn);
    this.#replies.expect(turn);
    this.#silence.began(undefined);
    this.emit("turn", turn);
    this.#look();
  }

  /** @param {Turn} turn the events of which have begun to come */
  #beginAgentTurn(turn) {
    turn.begun = true;
    this.#turns.begin(turn);
    this.player?.begin?.(turn.id);
    this.#silence.began(turn.cause);
    this.emit("turn", turn);
  }

  /** @param {import("./messages.js").SessionEnded} event */
  #noteEnd({ reason }) {
    if (reason === "silence" || reason === "too_long") this.#ending = reason;
  }

  /** The agent's turns will not go on in another session.
   * @param {Problem} problem why this one is lost */
  #forgetSession(problem) {
    for (const turn of this.#turns.all()) {
      if (!turn.cause) continue;
      this.#turns.delete(turn.id);
      turn.fail(problem);
    }
  }

  /** Of the settings in force, those that a client may set: the others are refused. */
  #choosable() {
    const may = this.choices?.settings;
    if (!may) return this.settings;
    const chosen = Object.entries(this.settings).filter(([name]) => may.some((n) => n === name));
    return Object.fromEntries(chosen);
  }

  /** @returns {import("./speech.js").Coding} how speech is sent: a server that does not say takes PCM */
  #coding() {
    const takesMulaw = this.#companding && this.choices?.speech_formats?.includes("mulaw_16000");
    return takesMulaw && this.transport === "websocket" ? "mulaw_16000" : "pcm_16000";
  }

  /** @param {import("./messages.js").Ready} ready */
  #opened(ready) {
    this.settings = ready.settings;
    this.choices = ready.choices;
    this.standIns = ready.stand_ins ?? [];
    this.agent = ready.agent ?? this.agent;
    if (!ready.resumed) {
      this.#tools.forget();
      this.#silence.reset();
    }
    const { max_text_chars, max_chunks, max_chunk_bytes, max_message_bytes } = ready.limits;
    this.#utterances.maxTextChars = max_text_chars ?? 8_000;
    this.#utterances.maxChunks = max_chunks ?? 9_000;
    this.#utterances.maxChunkBytes = max_chunk_bytes ?? 20_480;
    this.#outgoing.maxMessageBytes = max_message_bytes ?? 32_768;
    this.emit("message", ready);
    const { session_id: id, resume_token: token, resumed, history } = ready;
    this.emit("session", { id, token, resumed, history: history ?? [] });
    this.#outgoing.repeat();
    this.#tools.repeat();
    const hasTurns = (history ?? []).length > 0 || !this.#turns.isEmpty;
    this.#silence.start(ready.silence, hasTurns);
    this.#look();
  }

  /** @param {StateChange} change */
  #changed(change) {
    const { state, problem } = change;
    if (state === "closed" || state === "failed") this.#stopped(problem);
    if (state !== "ready") this.#watchdog.stop();
    if (!this.canSpeak) this.#silence.stop();
    this.#devices.follow(this.canSpeak);
    this.emit("state", change);
    if (state === "closed" && this.#ending) this.emit("ended", { reason: this.#ending });
    if (!this.canSpeak) this.#ending = undefined;
  }

  /**
   * Nothing more is tried. What has not been answered is said again if `connect` is called.
   * @param {Problem | undefined} problem
   */
  #stopped(problem) {
    void this.#letGo();
    this.#broken.abandon(problem);
  }

  /** Nobody is listened to any more: the microphone is let go at once, or will not open. */
  async #letGo() {
    this.#utterances.abandon();
    const ended = this.stopHandsFree();
    this.#input?.release?.();
    await ended;
  }

  /** @param {import("./microphone-share.js").Interruption} change */
  #interrupted({ isActive, problem }) {
    if (isActive) this.#utterances.endUnheard();
    this.emit("microphone", { state: isActive ? "interrupted" : "hearing", problem });
    if (problem) this.emit("error", problem);
  }

  /** See whether there is something to wait for. */
  #look() {
    const isReady = this.state === "ready";
    const isWaiting = isReady && this.#awaited !== undefined;
    this.#watchdog.see({ isWaiting, hasGap: isReady && this.#replies.hasGap });
    this.#reconnector.attend(!this.#turns.isEmpty);
  }

  /** Before the first `connect` one may listen already: it can be the same gesture. */
  #unableToListen() {
    return this.state === "idle" ? undefined : this.#unable();
  }

  #unableToTell() {
    const { choices, transport } = this;
    if (choices && transport === "websocket") {
      if (choices.context) return undefined;
      const text =
        "This deployment takes no facts from an application: `choices.context` says whether it does.";
      return new Problem("not_allowed", text);
    }
    const when = choices ? "Facts are told over a WebSocket only." : "The server is not ready yet.";
    return new Problem("not_connected", when, { retryable: true });
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
