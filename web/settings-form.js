/** The settings: what the server is asked for, and how hands-free listens. */

/** @typedef {import("parley-client/messages.js").Settings} Settings */

const TEXTS = /** @type {const} */ (["voice", "language", "style"]);
const NUMBERS = /** @type {const} */ (["speed", "stability"]);

export class SettingsForm {
  /**
   * @param {HTMLFormElement} form
   * @param {{onChange: (settings: Settings) => void, onHandsFree: () => void}} hooks
   */
  constructor(form, { onChange, onHandsFree }) {
    this.form = form;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.#showNumbers());
    form.addEventListener("change", ({ target }) => {
      if (!(target instanceof HTMLInputElement) || !target.reportValidity()) return;
      if (target.dataset["handsFree"] !== undefined) onHandsFree();
      else onChange(this.#chosen(target));
    });
    this.#showNumbers();
  }

  /** @returns {import("parley-client/hands-free.js").HandsFreeSettings} */
  get handsFree() {
    const value = (/** @type {string} */ name) => Number(this.#field(name).value);
    return {
      sensitivity: value("sensitivity"),
      endMs: value("endMs"),
      interruptMs: value("interruptMs"),
    };
  }

  /** @param {Settings} settings in force */
  show(settings) {
    for (const name of [...TEXTS, ...NUMBERS]) {
      const field = this.#field(name);
      const value = settings[name];
      if (value !== undefined && field !== document.activeElement) field.value = String(value);
    }
    this.#showNumbers();
  }

  /**
   * @param {HTMLInputElement} field
   * @returns {Settings}
   */
  #chosen(field) {
    const isNumber = NUMBERS.some((name) => name === field.name);
    return { [field.name]: isNumber ? Number(field.value) : field.value.trim() };
  }

  #showNumbers() {
    for (const output of this.form.querySelectorAll("output")) {
      output.textContent = this.#field(output.htmlFor.value).value + (output.dataset["unit"] ?? "");
    }
  }

  /**
   * @param {string} name
   * @returns {HTMLInputElement}
   */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name));
  }
}
