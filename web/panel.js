/** The panel of details: next to the conversation, or over it where there is no room. */
import { showTabs } from "./tabs.js";

/** As in style.css. */
const OVER = window.matchMedia("(max-width: 720px), (max-height: 480px)");

export class Panel {
  /** @type {HTMLElement} */
  #opener;

  /**
   * @param {HTMLElement} root
   * @param {HTMLButtonElement} toggle
   * @param {HTMLButtonElement} settings opens it at the settings
   * @param {HTMLElement[]} covered what lies under it where there is no room
   */
  constructor(root, toggle, settings, covered) {
    this.root = root;
    this.toggle = toggle;
    this.settings = settings;
    this.covered = covered;
    this.#opener = toggle;
    const choose = showTabs(root);
    toggle.addEventListener("click", () => {
      if (this.#isAtSettings) choose("events-tab");
      else if (this.isOpen) return this.close(toggle);
      this.open(toggle);
    });
    settings.addEventListener("click", () => {
      if (this.isOpen && this.#isAtSettings) return this.close(settings);
      choose("settings-tab");
      this.open(settings);
    });
    root.addEventListener("focusin", () => this.#tell());
    OVER.addEventListener("change", () => this.#show(this.isOpen));
  }

  get isOpen() {
    return !this.root.hidden;
  }

  get #isAtSettings() {
    return this.root.querySelector("#settings-tab")?.getAttribute("aria-selected") === "true";
  }

  get hasFocus() {
    return this.root.contains(document.activeElement);
  }

  /** @param {HTMLElement} opener what has the focus again afterwards */
  open(opener) {
    this.#opener = opener;
    this.#show(true);
    const tab = this.root.querySelector("[role=tab][aria-selected=true]");
    if (tab instanceof HTMLElement) tab.focus();
  }

  close(home = this.#opener) {
    this.#show(false);
    home.focus();
  }

  /** Which of its buttons it is open for. */
  #tell() {
    this.toggle.setAttribute("aria-expanded", String(this.isOpen && !this.#isAtSettings));
    this.settings.setAttribute("aria-expanded", String(this.isOpen && this.#isAtSettings));
  }

  /** @param {boolean} isOpen */
  #show(isOpen) {
    this.root.hidden = !isOpen;
    this.#tell();
    // What cannot be seen must not have the focus either.
    for (const place of this.covered) place.inert = isOpen && OVER.matches;
  }
}
