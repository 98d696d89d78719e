/**
 * The one thing that is seen across the room: whose turn it is, as a word, a sign, a colour, and an
 * orb that moves with what is heard. What it shows is decided by `stage-state.js`.
 */
import { setText } from "./elements.js";

/** @typedef {import("./stage-state.js").StageState} StageState */

/** @type {Record<StageState, {word: string, sign: string}>} */
const SHOWN = {
  connecting: { word: "Connecting", sign: "s-connecting" },
  reconnecting: { word: "Reconnecting", sign: "s-connecting" },
  offline: { word: "Offline", sign: "s-offline" },
  ended: { word: "Ended", sign: "s-ended" },
  error: { word: "Not connected", sign: "s-error" },
  ready: { word: "Ready", sign: "s-ready" },
  opening: { word: "One moment", sign: "i-mic" },
  listening: { word: "Listening", sign: "i-mic" },
  thinking: { word: "Thinking", sign: "s-thinking" },
  speaking: { word: "Speaking", sign: "i-voice" },
  muted: { word: "Muted", sign: "i-mic-off" },
  blocked: { word: "No sound yet", sign: "i-sound" },
};

export class Stage {
  #parts;
  #level;
  #isMoving = false;

  /**
   * @param {{root: HTMLElement, word: HTMLElement, hint: HTMLElement, sign: Element}} parts
   * @param {() => number | undefined} level how loud it is, from 0 to 1; nothing while nobody is heard
   */
  constructor(parts, level) {
    this.#parts = parts;
    this.#level = level;
  }

  /**
   * @param {StageState} state
   * @param {string} hint what one can do now
   */
  show(state, hint) {
    const { root, word, hint: aside, sign } = this.#parts;
    const shown = SHOWN[state];
    setText(word, shown.word);
    setText(aside, hint);
    if (root.dataset["state"] === state) return;
    root.dataset["state"] = state;
    sign.setAttribute("href", `#${shown.sign}`);
  }

  /** Somebody is heard: move until nobody is. */
  wake() {
    if (this.#isMoving) return;
    this.#isMoving = true;
    requestAnimationFrame(() => this.#frame());
  }

  #frame() {
    const level = this.#level();
    // Loudness is heard as a ratio; the root brings quiet speech into sight.
    const seen = Math.sqrt(Math.min(1, level ?? 0));
    this.#parts.root.style.setProperty("--level", seen.toFixed(3));
    this.#isMoving = level !== undefined;
    if (this.#isMoving) requestAnimationFrame(() => this.#frame());
  }
}
