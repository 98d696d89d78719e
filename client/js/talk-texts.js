/** The words of `<parley-talk>`: each can be replaced by an attribute, for another language. */

/** By the attribute `label-…` that replaces it. */
export const TEXTS = {
  /** The element as a whole, for a screen reader. */
  name: "Voice conversation",
  /** The button, by what it does. */
  start: "Start talking",
  stop: "End the conversation",
  talk: "Hold to talk, or press once to begin and once more to end",
  /** The states. */
  idle: "Ready",
  connecting: "Connecting …",
  listening: "Listening",
  thinking: "Thinking …",
  speaking: "Speaking",
  muted: "Muted",
  offline: "No network",
  error: "Not connected",
  /** The other controls. */
  mute: "Mute",
  interrupt: "Stop the reply",
  text: "Write a message",
  send: "Send",
  /** The transcript. */
  transcript: "Last lines",
  you: "You:",
  agent: "Agent:",
};

/** @typedef {keyof typeof TEXTS} TextName */

export const TEXT_ATTRIBUTES = Object.keys(TEXTS).map((name) => `label-${name}`);

/**
 * @param {(attribute: string) => string | null} read an attribute of the element
 * @returns {Record<TextName, string>}
 */
export function textsOf(read) {
  const own = Object.entries(TEXTS).map(([name, text]) => [name, read(`label-${name}`) ?? text]);
  return Object.fromEntries(own);
}
