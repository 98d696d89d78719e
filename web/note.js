/** A note that the agent shows on the page: the page's own function, `show_note`. */
import { byId } from "./elements.js";

const LONGEST = 500;

export class Note {
  #root = byId("note", HTMLElement);
  #text = byId("note-text", HTMLElement);

  /** @param {HTMLElement} home what has the focus after the note was closed */
  constructor(home) {
    byId("note-close", HTMLButtonElement).addEventListener("click", () => {
      this.clear();
      home.focus();
    });
  }

  /** What the agent may call. */
  get tools() {
    return { show_note: (/** @type {Record<string, unknown>} */ { text }) => this.show(text) };
  }

  /** @param {unknown} text */
  show(text) {
    if (typeof text !== "string" || !text.trim()) throw new Error("text: there is nothing to show.");
    if (text.length > LONGEST) throw new Error(`text: at most ${LONGEST} characters fit.`);
    this.#root.hidden = false;
    this.#text.textContent = text;
    return "The note is on the page.";
  }

  clear() {
    this.#root.hidden = true;
    this.#text.textContent = "";
  }
}
