/** What `<parley-talk>` shows and says of a conversation: decided from its picture alone. */

/** @typedef {import("./conversation-view.js").Picture} Picture */
/** @typedef {import("./conversation-view.js").TurnPicture} TurnPicture */
/** @typedef {import("./problem.js").Problem} Problem */

/**
 * @typedef {"idle" | "connecting" | "listening" | "thinking" | "speaking" | "muted" | "offline" |
 *   "error"} TalkState What the round button shows.
 */

/**
 * @typedef {object} Use what the user has asked for
 * @property {boolean} isOpening the microphone is waited for
 * @property {boolean} isMuted hands-free is on, and does not listen
 * @property {Problem} [problem] the last one
 */

/** How many turns are shown. */
const SHOWN_TURNS = 3;

/**
 * @param {Picture} picture
 * @param {Use} use
 * @returns {TalkState}
 */
export function stateOf(picture, { isOpening, isMuted, problem }) {
  const { state, isListening, handsFree } = picture;
  if (state === "offline") return "offline";
  if (state === "failed") return "error";
  if (state === "connecting" || state === "reconnecting") return "connecting";
  if (isListening) return "listening";
  const reply = replyOf(picture);
  if (reply) return reply;
  if (isOpening) return "connecting";
  if (handsFree) return "listening";
  if (problem) return "error";
  return isMuted ? "muted" : "idle";
}

/**
 * @param {Picture} picture
 * @returns {"thinking" | "speaking" | undefined} what becomes of the newest turn's reply
 */
function replyOf({ state, sound, turns }) {
  // What has come is heard to its end, also without a connection.
  if (sound !== "idle") return "speaking";
  const { status } = turns.at(-1) ?? {};
  if (state !== "ready" || status === undefined || status === "done") return undefined;
  return status === "replying" ? "speaking" : "thinking";
}

/**
 * What a screen reader says. Not every state: it would talk into the microphone at each turn.
 * @param {TalkState} before
 * @param {TalkState} state
 * @param {Record<TalkState, string>} texts
 * @returns {string | undefined} nothing new if undefined
 */
export function announcement(before, state, texts) {
  if (before === state) return undefined;
  const isWorthIt =
    ["offline", "muted"].includes(state) ||
    ["connecting", "offline", "error", "muted"].includes(before);
  return isWorthIt ? texts[state] : undefined;
}

/**
 * @param {Picture} picture
 * @returns {readonly TurnPicture[]} those that are shown, oldest first
 */
export function shownTurns({ turns }) {
  const ours = turns.filter(({ isForgotten, said, text }) => !isForgotten && (said || text));
  return ours.slice(-SHOWN_TURNS);
}

/** The turns that have gone a step further since the last look. */
export class TurnSteps {
  /** @type {Map<string, string>} */
  #seen = new Map();

  /**
   * @param {readonly TurnPicture[]} turns
   * @returns {TurnPicture[]} those that have another status than before, or of which less was heard
   */
  of(turns) {
    const steps = turns.map((turn) => /** @type {const} */ ([turn, `${turn.status} ${turn.heard}`]));
    const changed = steps.filter(([{ id }, step]) => this.#seen.get(id) !== step);
    this.#seen = new Map(steps.map(([{ id }, step]) => [id, step]));
    return changed.map(([turn]) => turn);
  }
}
