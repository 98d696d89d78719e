/** The turns on the page, oldest first, and where one conversation ends and another begins. */
import { element } from "./elements.js";
import { TurnView } from "./turn-view.js";

/** @typedef {import("parley-client").Turn} Turn */

export class TurnList {
  /** @type {Map<string, TurnView>} */
  #views = new Map();
  /** Turns that were sent again without being asked: once is enough. */
  #wentOn = new Set();

  /**
   * @param {{list: HTMLElement, times: HTMLElement, empty: HTMLElement}} places where turns are shown,
   *   their times, and what is shown instead while there is none
   * @param {(turnId: string) => void} onRetry a failed turn is wanted again
   */
  constructor({ list, times, empty }, onRetry) {
    this.list = list;
    this.times = times;
    this.empty = empty;
    this.onRetry = onRetry;
  }

  get isEmpty() {
    return this.#views.size === 0;
  }

  /** Whether a reply is waited for, of which nothing is heard yet. */
  get isAwaited() {
    return [...this.#views.values()].some((view) => view.isAwaited);
  }

  /** @param {string | undefined} turnId */
  get(turnId = "") {
    return this.#views.get(turnId);
  }

  /**
   * @param {Turn} turn
   * @param {boolean} isSpoken and is being spoken now
   */
  begin({ id, said, cause }, isSpoken) {
    this.#views.get(id)?.remove();
    const view = new TurnView(this, { spoken: isSpoken, text: said, cause });
    view.onRetry = () => this.onRetry(id);
    view.goesOn = () => !this.#wentOn.has(id) && Boolean(this.#wentOn.add(id));
    this.#keep(id, view);
    return view;
  }

  /** @param {string | undefined} turnId a noise, that hands-free took for speech */
  remove(turnId = "") {
    this.#views.get(turnId)?.remove();
    this.#views.delete(turnId);
  }

  /** In a new session what is under way comes from its beginning. */
  startAgain() {
    for (const view of this.#views.values()) view.startAgain();
  }

  /**
   * Show that what follows belongs to another conversation than what came before.
   * @param {string} sentence
   */
  divide(sentence) {
    const line = element("li", "divider", element("p", "", sentence));
    // What is under way is said again in the new one.
    const underWay = [...this.#views.values()].find((view) => view.isOpen)?.root ?? null;
    const before = underWay ? underWay.previousElementSibling : this.list.lastElementChild;
    if (before?.classList.contains("divider")) before.remove();
    this.list.insertBefore(line, underWay);
    this.empty.hidden = true;
  }

  /** @param {import("parley-client/messages.js").Message[]} history of a session that goes on */
  showHistory(history) {
    for (const message of history) {
      const { role, text, turn_id, language } = message;
      const known = this.#views.get(turn_id);
      const view = known ?? new TurnView(this, { spoken: false, text: "" });
      this.#keep(turn_id, view);
      if (role === "user") view.setSaid(text, true);
      else view.recall(message);
      view.setLanguage(language);
    }
  }

  clear() {
    this.#views.clear();
    this.list.replaceChildren();
    this.times.replaceChildren();
    this.empty.hidden = false;
  }

  /** What was said, as plain text. */
  export() {
    return [...this.#views.values()].map((view) => view.export()).join("\n");
  }

  /**
   * @param {string} id
   * @param {TurnView} view
   */
  #keep(id, view) {
    this.#views.set(id, view);
    this.empty.hidden = true;
  }
}
