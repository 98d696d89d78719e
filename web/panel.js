/** The panel of details: next to the conversation, or over it where there is no room. */
import { showTabs } from "./tabs.js";

/** As in style.css. */
const OVER = window.matchMedia("(max-width: 720px), (max-height: 480px)");

export class Panel {
  /**
   * @param {HTMLElement} root
   * @param {HTMLButtonElement} toggle
   * @param {HTMLElement[]} covered what lies under it where there is no room
   */
  constructor(root, toggle, covered) {
    this.root = root;
    this.toggle = toggle;
    this.covered = covered;
    showTabs(root);
    toggle.addEventListener("click", () => (this.isOpen ? this.close() : this.open()));
    OVER.addEventListener("change", () => this.#show(this.isOpen));
  }

  get isOpen() {
    return !this.root.hidden;
  }

  get hasFocus() {
    return this.root.contains(document.activeElement);
  }

  open() {
    this.#show(true);
    const tab = this.root.querySelector("[role=tab][aria-selected=true]");
    if (tab instanceof HTMLElement) tab.focus();
  }

  close() {
    this.#show(false);
    this.toggle.focus();
  }

  /** @param {boolean} isOpen */
  #show(isOpen) {
    this.root.hidden = !isOpen;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
    // What cannot be seen must not have the focus either.
    for (const place of this.covered) place.inert = isOpen && OVER.matches;
  }
}
