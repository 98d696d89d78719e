/** The controls of speech: hold-to-talk and hands-free, and what the page shows of them. */
import { Problem } from "parley-client";
import { setText } from "./elements.js";
import { holdToTalk } from "./talk-button.js";

/** @typedef {"idle" | "opening" | "listening"} Mode */

const HOLD = { idle: "Hold to talk", opening: "One moment …", listening: "Listening …" };
/** So much from before the button was pressed belongs to what is said. */
const PREROLL_MS = 300;

/**
 * @typedef {object} Parts of the page
 * @property {HTMLFormElement} compose
 * @property {HTMLInputElement} text
 * @property {HTMLButtonElement} hold
 * @property {HTMLElement} holdLabel
 * @property {HTMLButtonElement} handsFree
 * @property {HTMLElement} handsFreeLabel
 */

/**
 * @typedef {object} Hooks
 * @property {() => import("parley-client").Conversation | undefined} conversation
 * @property {() => import("parley-client/hands-free.js").HandsFreeSettings} handsFreeSettings
 * @property {() => void} onChange it begins or ends to listen
 * @property {(problem: Problem) => void} report
 */

export class SpeechControls {
  /** The turn that is being spoken. */
  turn = "";
  /** @type {Mode} */
  #mode = "idle";
  #parts;
  #player;
  #microphone;
  #notice;
  #hooks;

  /**
   * @param {Parts} parts
   * @param {{player: import("parley-client").Player, microphone: import("parley-client").Microphone,
   *   notice: import("./notice.js").Notice}} devices
   * @param {Hooks} hooks
   */
  constructor(parts, { player, microphone, notice }, hooks) {
    this.#parts = parts;
    this.#player = player;
    this.#microphone = microphone;
    this.#notice = notice;
    this.#hooks = hooks;
    holdToTalk(parts.hold, {
      onPress: () => this.#press(),
      onTalk: (heldMs) => this.#start(heldMs),
      onRelease: () => this.#stop(),
      onTap: () => this.#showHow(),
    });
    parts.handsFree.addEventListener("click", () => void this.#toggleHandsFree());
  }

  get isListening() {
    return this.#mode === "listening";
  }

  /** What the button, or hands-free, does. */
  get mode() {
    return this.isHandsFreeOpening ? "opening" : this.#mode;
  }

  /** Whether hands-free listens, or will as soon as the browser lets it. */
  get isHandsFree() {
    return this.#parts.handsFree.getAttribute("aria-pressed") === "true";
  }

  /** Whether hands-free waits for the browser. */
  get isHandsFreeOpening() {
    return this.#parts.handsFreeLabel.textContent === HOLD.opening;
  }

  /** @param {string} turn that is spoken from now on */
  begun(turn) {
    this.turn = turn;
    this.#setMode("listening");
  }

  /** @param {string | undefined} turn that is not spoken any more, if it was */
  ended(turn) {
    if (turn === this.turn) this.#setMode("idle");
  }

  /** Nothing can be said any more. */
  reset() {
    this.#setMode("idle");
    this.showHandsFree("idle");
    this.#player.resume();
    this.#microphone.release();
  }

  /** What has been chosen for hands-free has changed. */
  changed() {
    if (this.isHandsFree) void this.#conversation?.startHandsFree(this.#hooks.handsFreeSettings());
  }

  /** @param {Mode} next */
  showHandsFree(next) {
    const { handsFree, handsFreeLabel, hold } = this.#parts;
    handsFree.setAttribute("aria-pressed", String(next !== "idle"));
    setText(handsFreeLabel, next === "opening" ? HOLD.opening : "Hands-free");
    hold.disabled = next !== "idle" || !this.#conversation?.canSpeak;
    this.#showHint();
    this.#hooks.onChange();
  }

  /** Also while the browser asks whether it may listen. */
  async stopHandsFree() {
    this.showHandsFree("idle");
    await this.#conversation?.stopHandsFree();
  }

  get #conversation() {
    return this.#hooks.conversation();
  }

  /** @param {Mode} next */
  #setMode(next) {
    const { compose, hold, holdLabel } = this.#parts;
    this.#mode = next;
    compose.dataset["mode"] = next;
    hold.setAttribute("aria-pressed", String(next !== "idle"));
    setText(holdLabel, HOLD[next]);
    this.#showHint();
    this.#hooks.onChange();
  }

  #showHint() {
    const listening = this.isListening ? "Let go to send, or Stop" : "Type a message";
    this.#parts.text.placeholder = this.isHandsFree ? "Just speak, or type a message" : listening;
  }

  /** Who speaks next is not known yet: the reply waits. */
  #press() {
    this.#player.unlock();
    this.#player.pause();
    this.#notice.show("");
    this.#setMode("opening");
    // What fails is told when a turn begins.
    this.#microphone.open().catch(() => undefined);
  }

  /** @param {number} heldMs */
  #start(heldMs) {
    const begun = this.#conversation?.startSpeaking({ prerollMs: PREROLL_MS + heldMs });
    begun?.catch(() => this.#setMode("idle"));
  }

  #stop() {
    this.#player.resume();
    this.#setMode("idle");
    void this.#conversation?.stopSpeaking();
  }

  /** Too short for a word. */
  #showHow() {
    this.#player.resume();
    this.#setMode("idle");
    this.#notice.show("Hold the button while you talk.", { kind: "hint" });
  }

  async #toggleHandsFree() {
    this.#player.unlock();
    this.#notice.show("");
    try {
      if (this.isHandsFree) await this.stopHandsFree();
      else {
        this.showHandsFree("opening");
        await this.#conversation?.startHandsFree(this.#hooks.handsFreeSettings());
      }
    } catch (problem) {
      this.showHandsFree("idle");
      if (problem instanceof Problem) this.#hooks.report(problem);
      else throw problem;
    }
  }
}
