/**
 * A conversation as a picture that a page can show: one unchanging object after the other. For
 * React there is `react.js`; for other frameworks, `subscribe` and `snapshot` are all it takes.
 */

import { placesIn, withDelta } from "./fillers.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./player.js").Player} Player */
/** @typedef {import("./problem.js").Problem} Problem */

/**
 * @typedef {Pick<import("./messages.js").ToolUpdate, "name"> &
 *   Partial<import("./messages.js").ToolUpdate>} ToolPicture A call's newest `tool` event; of the
 *   history, only the name.
 */

/**
 * @typedef {object} TurnPicture
 * @property {string} id Names it.
 * @property {boolean} spoken Whether it is spoken, not typed.
 * @property {string} said What the user said, as far as it is understood.
 * @property {import("./messages.js").AgentTurnCause} [cause] Why the agent began it; absent if the
 *   user did.
 * @property {string} text The reply so far.
 * @property {readonly import("./messages.js").Span[]} [fillers] Where in `text` something was said
 *   only to fill a silence: `text.slice(start, end)`.
 * @property {readonly ToolPicture[]} [tools] The tools that were called for it, in order.
 * @property {"listening" | "waiting" | "replying" | "done"} status How far it is.
 * @property {string} [heard] What of the reply was heard, if less.
 * @property {true} [isHeardEstimated] `heard` is an estimate: the voice gave no times.
 * @property {Problem} [problem] What went wrong.
 * @property {import("./messages.js").Metrics} [metrics] Where the time went.
 * @property {string} [language] ISO 639 code, where the language is detected: for the `lang` of what
 *   shows the turn.
 * @property {true} [isForgotten] It belongs to an earlier session, which the server has lost. Draw a
 *   line after the last of these.
 */

/**
 * @typedef {object} Picture
 * @property {import("./reconnector.js").State} state The connection's state.
 * @property {boolean} canSpeak Whether what is said now is taken.
 * @property {"websocket" | "http"} transport What messages go over.
 * @property {Problem} [problem] The last one, until the next turn or connection.
 * @property {import("./conversation-types.js").Ending} [ended] Why the conversation was hung up, until
 *   the next connection.
 * @property {number} [retryInMs] How long until the next attempt to connect, at the change of the state.
 * @property {boolean} isDeaf Whether the browser has stopped or muted the microphone in use.
 * @property {readonly TurnPicture[]} turns The turns, oldest first.
 * @property {boolean} isListening Whether the user is being listened to.
 * @property {boolean} handsFree Whether hands-free is on.
 * @property {import("./player.js").PlayerState} sound The player's state. `blocked`: call `unlock` in a gesture.
 */

export class ConversationView {
  /** @type {Picture} */
  #picture;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** The last turns: what was heard of them may yet be told.
   * @type {Map<string, import("./turn.js").Turn>} */
  #following = new Map();

  /**
   * @param {Conversation} conversation
   * @param {Pick<Player, "state" | "on">} [player]
   */
  constructor(conversation, player) {
    this.#picture = {
      state: conversation.state,
      canSpeak: conversation.canSpeak,
      transport: conversation.transport,
      turns: [],
      isListening: false,
      handsFree: false,
      isDeaf: false,
      sound: player?.state ?? "idle",
    };
    /** What it shows. */
    this.conversation = conversation;
    this.#follow(conversation);
    player?.on("state", (sound) => this.#show({ sound }));
  }

  /** How things stand: the same object until something changes. */
  snapshot = () => this.#picture;

  /**
   * Call a listener at every change; the function that it returns ends that.
   * @param {() => void} listener
   * @returns {() => void}
   */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** @param {Conversation} conversation */
  #follow(conversation) {
    conversation.on("state", ({ state, problem, retryInMs }) => {
      const { canSpeak } = conversation;
      const change = { state, problem, retryInMs, canSpeak, ended: undefined };
      this.#show({ ...change, ...(!canSpeak && { isDeaf: false }) });
    });
    conversation.on("ended", ({ reason }) => this.#show({ ended: reason }));
    conversation.on("microphone", ({ state }) => {
      const isDeaf = state === "interrupted";
      const wasTold = !isDeaf && this.#picture.problem?.code === "microphone_interrupted";
      this.#show({ isDeaf, ...(wasTold && { problem: undefined }) });
    });
    conversation.on("transport", ({ transport }) => this.#show({ transport }));
    conversation.on("session", ({ resumed, history }) => {
      if (!resumed) this.#startAgain();
      else if (this.#picture.turns.length === 0) this.#show({ turns: turnsOf(history) });
    });
    conversation.on("turn", (turn) => {
      const { id, spoken, said, cause } = turn;
      this.#following = new Map([...this.#following].slice(-1)).set(id, turn);
      const others = this.#picture.turns.filter((turn) => turn.id !== id);
      const { isListening } = conversation;
      /** @type {TurnPicture["status"]} */
      const status = isListening && !cause ? "listening" : "waiting";
      const turns = [...others, { id, spoken, said, text: "", status, ...(cause && { cause }) }];
      this.#show({ turns, isListening, problem: undefined });
      // One that is refused, or not waited for any longer, has no `turn_end`.
      turn.catch(() => this.#done(id, {}));
    });
    conversation.on("listened", ({ turnId }) => {
      // A turn that has failed meanwhile is waited for no longer.
      this.#change(turnId, ({ status }) => (status === "listening" ? { status: "waiting" } : {}));
      this.#show({ isListening: conversation.isListening });
    });
    conversation.on("transcript", ({ turn_id, text, language }) =>
      this.#change(turn_id, () => ({ said: text, ...(language && { language }) })),
    );
    conversation.on("reply_text", (more) =>
      this.#change(more.turn_id, ({ text, fillers = [] }) => {
        const filled = withDelta(fillers, text, more);
        const change = { text: text + more.delta, status: /** @type {const} */ ("replying") };
        return { ...change, ...(filled.length && { fillers: filled }) };
      }),
    );
    conversation.on("tool", (update) =>
      this.#change(update.turn_id, ({ tools = [] }) => ({ tools: withUpdate(tools, update) })),
    );
    conversation.on("interrupted", ({ turnId, playedMs }) => {
      // Of a turn that has ended no event tells it any more.
      const turn = this.#following.get(turnId);
      this.#done(turnId, heardOf(turn?.heardAt(playedMs), turn?.isHeardEstimated));
    });
    conversation.on("turn_end", ({ turn_id, heard, heard_estimated, metrics, language }) =>
      this.#done(turn_id, {
        metrics,
        ...heardOf(heard, heard_estimated),
        ...(language && { language }),
      }),
    );
    conversation.on("hands_free", ({ enabled }) => this.#show({ handsFree: enabled }));
    conversation.on("error", (problem) => {
      if (problem.turnId) this.#change(problem.turnId, () => ({ problem }));
      this.#show({ problem });
    });
  }

  /** In a new session a reply that had begun comes from its beginning, and what is over is forgotten. */
  #startAgain() {
    for (const { id, status } of this.#picture.turns) {
      const nothing = { text: "", fillers: undefined, tools: undefined };
      if (status === "replying") this.#change(id, () => ({ ...nothing, status: "waiting" }));
      else if (status === "done") this.#change(id, () => ({ isForgotten: true }));
    }
  }

  /**
   * @param {string} id
   * @param {Partial<TurnPicture>} more
   */
  #done(id, more) {
    this.#change(id, () => ({ ...more, status: "done" }));
    this.#show({ isListening: this.conversation.isListening });
  }

  /**
   * @param {string} id
   * @param {(turn: TurnPicture) => Partial<TurnPicture>} how
   */
  #change(id, how) {
    const turns = this.#picture.turns.map((turn) =>
      turn.id === id ? { ...turn, ...how(turn) } : turn,
    );
    this.#show({ turns });
  }

  /** @param {Partial<Picture>} change */
  #show(change) {
    this.#picture = { ...this.#picture, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/**
 * @param {string | null} [heard] what of a reply was heard, if that is known and less than all
 * @param {boolean} [isEstimated]
 * @returns {Pick<TurnPicture, "heard" | "isHeardEstimated">}
 */
function heardOf(heard, isEstimated) {
  if (typeof heard !== "string") return {};
  return isEstimated ? { heard, isHeardEstimated: true } : { heard };
}

/**
 * @param {readonly ToolPicture[]} tools
 * @param {import("./messages.js").ToolUpdate} update of one of them, or of another
 * @returns {readonly ToolPicture[]}
 */
function withUpdate(tools, update) {
  const isKnown = tools.some(({ call_id }) => call_id === update.call_id);
  if (!isKnown) return [...tools, update];
  return tools.map((tool) => (tool.call_id === update.call_id ? update : tool));
}

/**
 * @param {import("./messages.js").Message[]} history
 * @returns {TurnPicture[]}
 */
function turnsOf(history) {
  /** @type {Map<string, TurnPicture>} */
  const turns = new Map();
  for (const message of history) {
    const { role, text, turn_id: id, heard, heard_estimated, language } = message;
    const turn = turns.get(id) ?? { id, spoken: false, said: "", text: "", status: "done" };
    const fillers = placesIn(text, message.fillers);
    const tools = message.tools?.map((name) => ({ name }));
    const reply = {
      text,
      heard: undefined,
      ...heardOf(heard, heard_estimated),
      ...(fillers.length && { fillers }),
      ...(tools?.length && { tools }),
    };
    const more = role === "user" ? { said: text } : reply;
    turns.set(id, { ...turn, ...more, ...(language && { language }) });
  }
  return [...turns.values()];
}
