/** What the page has to say to its user, with what can be done about it. */
import { setText } from "./elements.js";

/** @typedef {{label: string, run: () => void}} Action */

export class Notice {
  #text;
  #button;
  #action = () => {};

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} text
   * @param {HTMLButtonElement} button
   * @param {HTMLElement} home what has the focus after the button has gone
   */
  constructor(root, text, button, home) {
    this.root = root;
    this.home = home;
    this.#text = text;
    this.#button = button;
    button.addEventListener("click", () => this.#action());
  }

  /**
   * @param {string} message nothing to clear it
   * @param {{kind?: "problem" | "hint", action?: Action}} [how]
   */
  show(message, { kind = "problem", action } = {}) {
    // A press of the button must not move the focus to the top of the page.
    if (!action && document.activeElement === this.#button) this.home.focus();
    this.#action = action?.run ?? (() => {});
    this.root.dataset["kind"] = kind;
    this.#button.hidden = !action;
    setText(this.#button, action?.label ?? "");
    setText(this.#text, message);
    this.root.hidden = !message;
  }

  get message() {
    return this.root.hidden ? "" : (this.#text.textContent ?? "");
  }
}
