/**
 * What the server says, on its way to whom it concerns: put in order, handed to its turn, played,
 * told as an event, and acknowledged at its end.
 */
import { AgentTurns } from "./agent-turns.js";
import { fromBase64 } from "./base64.js";
import { sampleRateOf } from "./pcm.js";
import { Problem } from "./problem.js";
import { about, TurnEvents } from "./event-order.js";

/** @typedef {import("./messages.js").ServerEvent} ServerEvent */
/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./conversation-types.js").Events} Events */
/** @typedef {import("./turn.js").Turn} Turn */

/**
 * @typedef {object} RepliesParts
 * @property {import("./open-turns.js").OpenTurns} turns
 * @property {import("./outgoing.js").Outgoing} outgoing
 * @property {import("./utterances.js").Utterances} utterances
 * @property {import("./conversation-types.js").AudioOutput} [player]
 * @property {import("./page-tools.js").PageTools} tools
 * @property {() => void} interrupt what is running
 * @property {(turn: Turn) => void} begin a turn of the agent's
 * @property {(turnId: string) => void} hangUp once this turn's reply has been played
 * @property {(turnId: string) => ClientMessage[]} forget gives what was said in the turn
 * @property {(ack: import("./messages.js").Ack) => void} acknowledge
 * @property {<Name extends keyof Events & string>(name: Name, detail: Events[Name]) => void} emit
 */

export class Replies {
  #incoming = new TurnEvents();

  /** @param {RepliesParts} parts */
  constructor(parts) {
    this.parts = parts;
    const { turns, interrupt, begin, player } = parts;
    this.agentTurns = new AgentTurns({
      turns,
      interrupt,
      begin,
      wasAnswered: (turnId) => this.wasAnswered(turnId),
      play: (event) => this.#play(event),
      finish: (turnId) => player?.finish?.(turnId),
    });
  }

  /** What `init` says has arrived. */
  get received() {
    return this.#incoming.received;
  }

  /** Whether something between is missing. */
  get hasGap() {
    return this.#incoming.hasGap;
  }

  /**
   * Whether the server has said anything of a turn.
   * @param {string} turnId
   */
  wasAnswered(turnId) {
    return this.#incoming.seq(turnId) > 0;
  }

  /** @param {import("./turn.js").Turn} turn the events of which may come now */
  expect(turn) {
    this.#incoming.begin(turn.id, turn.attempt);
    this.parts.player?.begin?.(turn.id);
  }

  /** The session is lost: what has not ended is said in another, and its reply begins anew. */
  startAgain() {
    for (const turn of this.parts.turns.all()) {
      if (turn.cause) {
        this.#incoming.forget(turn.id);
        continue;
      }
      turn.startAgain();
      this.#incoming.begin(turn.id, turn.attempt);
      // What was interrupted stays silent.
      if (!turn.interrupted) this.parts.player?.begin?.(turn.id);
    }
  }

  /**
   * @param {ServerEvent} event
   * @returns {boolean} whether it is one of a turn's
   */
  take(event) {
    if (!("seq" in event) || typeof event.seq !== "number" || !event.turn_id) {
      this.#deliver(event);
      return false;
    }
    const numbered = /** @type {import("./event-order.js").TurnEvent} */ (event);
    const { events, isLate } = this.#incoming.take(numbered);
    for (const next of events) {
      if (next.type === "agent_turn") this.agentTurns.began(next);
      this.parts.turns.get(next.turn_id)?.take(next);
      this.#deliver(next);
    }
    if (isLate && event.type === "turn_end") {
      this.#acknowledge(event.turn_id, event.attempt ?? 1);
    }
    return true;
  }

  /** @param {ServerEvent} event */
  #deliver(event) {
    const { emit, utterances, outgoing, tools } = this.parts;
    emit("message", event);
    switch (event.type) {
      case "audio":
        this.#play(event);
        emit("audio", event);
        break;
      case "turn_end":
        this.#ended(event);
        emit("turn_end", event);
        break;
      case "error":
        this.#failing(event);
        break;
      case "config_updated":
        outgoing.configured();
        emit("config_updated", event);
        break;
      case "transcript":
        if (event.final) utterances.understood(event.turn_id);
        emit("transcript", event);
        break;
      case "reply_text":
        emit("reply_text", event);
        break;
      case "agent_turn":
        emit("agent_turn", event);
        break;
      case "client_call":
        tools.called(event);
        break;
      case "tool":
        if (event.state !== "running") tools.ended(event.call_id);
        emit("tool", event);
        break;
      case "custom":
        emit("custom", event);
        break;
      case "session_ended":
        emit("session_ended", event);
        break;
    }
  }

  /** @param {import("./messages.js").Audio} event */
  #play(event) {
    const { turn_id, audio, format } = event;
    const { turns, player } = this.parts;
    const isOff = turns.newest?.id === turn_id && turns.newest.interrupted;
    if (!isOff && this.agentTurns.hold(event)) return;
    // After an interruption the rest comes without sound, so that no number is missing.
    if (audio && !isOff) player?.play(turn_id, fromBase64(audio), sampleRateOf(format));
  }

  /** @param {import("./messages.js").TurnEnd} event */
  #ended(event) {
    const { turn_id: turnId, attempt = 1, reason, retryable, ends_session: isLast } = event;
    const { turns, utterances, player, forget, tools, hangUp } = this.parts;
    const wasWanted = !turns.get(turnId)?.interrupted;
    const messages = forget(turnId);
    if (reason === "failed" && retryable && messages.length) {
      turns.failed = { turnId, attempt, messages };
      utterances.keep(turnId, messages);
    } else {
      utterances.takeBack(turnId);
    }
    player?.finish?.(turnId);
    tools.turnEnded(turnId, reason === "interrupted");
    this.agentTurns.ended(event, wasWanted);
    this.#acknowledge(turnId, attempt);
    if (isLast) hangUp(turnId);
  }

  /** @param {import("./messages.js").Error} event */
  #failing(event) {
    const { code, turn_id: turnId, missing, field } = event;
    if (field?.startsWith("config.")) this.parts.outgoing.configured();
    // What can be sent again is no problem of the user's.
    if (code === "audio_gap" && turnId && missing) this.parts.outgoing.resend(turnId, missing);
    else this.parts.emit("error", Problem.from(event));
  }

  /**
   * @param {string} turnId
   * @param {number} attempt the end of which has come
   */
  #acknowledge(turnId, attempt) {
    const { player, acknowledge } = this.parts;
    const seq = this.#incoming.seq(turnId);
    const isOver = !player?.isPlaying(turnId);
    const playedMs = isOver ? player?.playedMsOf?.(turnId) : undefined;
    const heard = playedMs === undefined ? {} : { played_ms: playedMs };
    acknowledge({ type: "ack", turn_id: turnId, seq, ...about(attempt), ...heard });
  }
}
