/** What the connection's states are to the user: a word, controls, and what can be done about it. */
import { setText } from "./elements.js";
import { NOT_UNDERSTOOD, isAboutSettings, settingOf } from "./sentences.js";

/** @typedef {import("parley-client").Conversation} Conversation */
/** @typedef {import("parley-client").Problem} Problem */

const STATES = {
  idle: "Not connected",
  connecting: "Connecting …",
  ready: "Connected",
  reconnecting: "Reconnecting …",
  offline: "No network",
  closed: "Not connected",
  failed: "Not connected",
};
/** Who waits longer than this may want to hurry it. */
const LONG_WAIT_MS = 5_000;

/**
 * @typedef {object} Parts of the page
 * @property {HTMLDetailsElement} link
 * @property {HTMLElement} state
 * @property {HTMLElement} transport
 * @property {HTMLFormElement} compose
 * @property {HTMLInputElement} text
 * @property {HTMLButtonElement} hold
 * @property {HTMLButtonElement} say
 * @property {HTMLButtonElement} handsFree
 */

/**
 * @typedef {object} Hooks
 * @property {() => Conversation | undefined} conversation
 * @property {(problem: Problem) => string} explained
 * @property {(problem: Problem, action: import("./notice.js").Action | undefined) => void} report
 */

export class ConnectionView {
  /** The client's attempts are used up: one follows now and then. */
  #isTriedSlowly = false;
  #parts;
  #speech;
  #notice;
  #hooks;

  /**
   * @param {Parts} parts
   * @param {{speech: import("./speech-controls.js").SpeechControls, notice: import("./notice.js").Notice}} others
   * @param {Hooks} hooks
   */
  constructor(parts, { speech, notice }, hooks) {
    this.#parts = parts;
    this.#speech = speech;
    this.#notice = notice;
    this.#hooks = hooks;
  }

  /** Another connection is to be made. */
  startAgain() {
    this.#isTriedSlowly = false;
  }

  /** @param {import("parley-client/reconnector.js").StateChange} change */
  show({ state, problem, attempt, attempts, retryInMs }) {
    const view = this.#parts.state;
    view.dataset["state"] = state;
    const isCounted = retryInMs !== undefined && state !== "failed";
    const [label, count] = view.children;
    // Each attempt is to be seen, and the state to be read out once.
    if (label instanceof HTMLElement) setText(label, STATES[state]);
    if (count instanceof HTMLElement) setText(count, isCounted ? ` (${attempt} of ${attempts})` : "");
    const canSpeak = this.#conversation?.canSpeak ?? false;
    // An attempt that the user has not asked for does not disturb reading, nor the focus.
    const isQuiet = this.#isTriedSlowly && (state === "connecting" || state === "reconnecting");
    if (!isQuiet) this.#enable(canSpeak);
    if (!canSpeak) this.#speech.reset();
    this.showTransport();
    if (isQuiet) return;
    if (state === "connecting" && problem) this.#parts.link.open = true;
    if (state === "failed") this.#gaveUp(problem);
    else if (state === "closed") this.#closed(problem);
    else if (problem) {
      const canBeHurried = (retryInMs ?? 0) > LONG_WAIT_MS;
      this.#hooks.report(problem, canBeHurried ? this.#again("Try again") : undefined);
    } else if (state === "ready") {
      this.#isTriedSlowly = false;
      this.#notice.show("");
    }
  }

  showTransport() {
    const isOverHttp = this.#conversation?.transport === "http" && this.#conversation.state === "ready";
    this.#parts.transport.hidden = !isOverHttp;
    this.#parts.transport.textContent = isOverHttp ? "over HTTP" : "";
  }

  get #conversation() {
    return this.#hooks.conversation();
  }

  /** @param {boolean} canSpeak whether anything can be said now */
  #enable(canSpeak) {
    const { compose, handsFree, hold, say, text } = this.#parts;
    // It keeps the focus, and what is half written can still be read.
    text.readOnly = !canSpeak;
    text.setAttribute("aria-disabled", String(!canSpeak));
    const focused = document.activeElement;
    hold.disabled = !canSpeak || this.#speech.isHandsFree;
    for (const control of [say, handsFree]) control.disabled = !canSpeak;
    // A button that cannot be pressed has no focus to go on from.
    if (focused instanceof HTMLButtonElement && focused.disabled && compose.contains(focused)) text.focus();
  }

  /**
   * The client's attempts are used up, or there is no use in any.
   * @param {Problem | undefined} problem
   */
  #gaveUp(problem) {
    const isRefused = problem !== undefined && isAboutSettings(problem);
    if (isRefused && Object.keys(this.#conversation?.settings ?? {}).length > 0) {
      this.#forgetSettings(problem);
      return;
    }
    this.#isTriedSlowly = problem?.retryable ?? false;
    const goesOn = problem?.retryable ? " This page tries again now and then while you look at it." : "";
    // Nothing of what was chosen is the reason.
    const why = isRefused ? NOT_UNDERSTOOD : problem && this.#hooks.explained(problem);
    this.#notice.show((why ?? "") + goesOn, { action: this.#again("Try again") });
  }

  /**
   * What was chosen earlier is not allowed any more: the conversation goes on without it.
   * @param {Problem} problem
   */
  #forgetSettings(problem) {
    const conversation = this.#conversation;
    if (!conversation) return;
    const { [/** @type {"voice"} */ (settingOf(problem))]: _, ...others } = conversation.settings;
    const isKnown = Object.keys(others).length < Object.keys(conversation.settings).length;
    conversation.settings = isKnown ? others : {};
    void this.#tryAgain().then(() => {
      const sentence = "A setting that you chose earlier is not available here any more.";
      if (this.#conversation?.state === "ready") this.#notice.show(sentence, { kind: "hint" });
    });
  }

  /** @param {Problem | undefined} problem */
  #closed(problem) {
    const sentence = problem ? this.#hooks.explained(problem) : "This conversation has ended.";
    this.#notice.show(sentence, { action: this.#again("Connect") });
  }

  /** @param {string} label */
  #again(label) {
    return { label, run: () => void this.#tryAgain() };
  }

  /** Go on with the same conversation, and with what it has not been able to say. */
  async #tryAgain() {
    this.#isTriedSlowly = false;
    try {
      await this.#conversation?.connect();
    } catch {
      // The state has told why.
    }
  }
}
