/** Which of its states the page shows in large, and what one can do in it. */

/**
 * @typedef {"connecting" | "reconnecting" | "offline" | "ended" | "error" | "ready" | "opening" |
 *   "listening" | "thinking" | "speaking" | "muted" | "blocked"} StageState
 */

/**
 * @typedef {object} Facts
 * @property {import("parley-client/reconnector-types.js").State | "ended"} connection `ended`: hung up
 * @property {import("parley-client").Player["state"]} player
 * @property {"idle" | "opening" | "listening"} speech what the button, or hands-free, does
 * @property {boolean} isHandsFree
 * @property {boolean} isMuted the microphone
 * @property {boolean} isAwaited a reply is, of which nothing is heard yet
 */

/** @type {Partial<Record<Facts["connection"], StageState>>} */
const CONNECTIONS = {
  idle: "connecting",
  connecting: "connecting",
  reconnecting: "reconnecting",
  offline: "offline",
  closed: "ended",
  ended: "ended",
  failed: "error",
};

/**
 * @param {Facts} facts
 * @returns {StageState}
 */
export function stageState({ connection, player, speech, isHandsFree, isMuted, isAwaited }) {
  const unconnected = CONNECTIONS[connection];
  // What has come already is heard to its end, also without a connection.
  if (player === "playing" && speech !== "listening") return "speaking";
  if (unconnected) return unconnected;
  if (speech === "listening") return isMuted ? "muted" : "listening";
  if (speech === "opening") return "opening";
  if (player === "blocked") return "blocked";
  // It is silent to hear whether it is interrupted.
  if (player === "paused") return "listening";
  if (isAwaited) return "thinking";
  if (isMuted) return "muted";
  return isHandsFree ? "listening" : "ready";
}

/** @type {Record<StageState, string>} */
const HINTS = {
  connecting: "",
  reconnecting: "What you say now is kept.",
  offline: "It goes on by itself when the network is back.",
  ended: "",
  error: "",
  ready: "Hold the button and speak, or type.",
  opening: "The browser may ask for the microphone.",
  listening: "Let go to send.",
  thinking: "",
  speaking: "Stop ends it at once.",
  muted: "The microphone is off.",
  blocked: "The browser waits for a click.",
};

/**
 * @param {StageState} state
 * @param {boolean} isHandsFree
 */
export function stageHint(state, isHandsFree) {
  if (!isHandsFree) return HINTS[state];
  if (state === "listening") return "Just speak.";
  return state === "speaking" ? "Speak to interrupt." : HINTS[state];
}
