/** The settings: what the server is asked for, and how hands-free listens. */
import { element } from "./elements.js";
import { LANGUAGES, languageName } from "./languages.js";

/** @typedef {import("parley-client/messages.js").Settings} Settings */
/** @typedef {keyof Settings} Name */
/** @typedef {HTMLInputElement | HTMLSelectElement} Field */

/** @typedef {import("parley-client/messages.js").Choices} Choices */

const NAMES = /** @type {const} */ (["voice", "language", "style", "speed", "stability", "record"]);
const NUMBERS = ["speed", "stability"];
/** Of a server that does not say: none can be chosen from a list of voices that nobody has.
 * @type {Choices} */
const UNSAID = { settings: ["language", "style", "speed", "stability"], voices: [], languages: LANGUAGES };

export class SettingsForm {
  #choices = UNSAID;
  /** In force, as far as is known.
   * @type {Settings} */
  #inForce = {};
  /** What was changed, oldest first, as long as the server has not answered.
   * @type {string[]} */
  #asked = [];

  /**
   * @param {HTMLFormElement} form
   * @param {{onChange: (settings: Settings) => void, onHandsFree: () => void}} hooks
   */
  constructor(form, { onChange, onHandsFree }) {
    this.form = form;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.#showNumbers());
    form.addEventListener("change", ({ target }) => {
      if (!(target instanceof HTMLInputElement || target instanceof HTMLSelectElement)) return;
      // Not a setting, although it is among them.
      if (!target.name) return;
      if (target.dataset["handsFree"] !== undefined) onHandsFree();
      else if (target.reportValidity()) {
        this.#asked.push(target.name);
        onChange(this.#chosen(target));
      }
    });
    this.#fill();
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

  /** Of the settings, in force as far as is known: those that may be chosen.
   * @returns {Settings} */
  get chosen() {
    const { settings } = this.#choices;
    return Object.fromEntries(
      Object.entries(this.#inForce).filter(([name]) => settings.some((each) => each === name)),
    );
  }

  /**
   * What a session has that has just been opened or resumed.
   * @param {Settings} settings in force
   * @param {Partial<Choices> | undefined} choices as far as the server says
   */
  open(settings, choices) {
    this.#choices = readable(choices);
    this.#asked = [];
    this.#inForce = settings;
    this.#fill();
  }

  /** @param {Settings} settings in force, as the server answers a change */
  changed(settings) {
    this.#inForce = settings;
    this.#answered();
  }

  /** The server has not taken a change: what is in force is shown again. */
  refused() {
    this.#answered();
  }

  #answered() {
    this.#asked.shift();
    this.#fill();
  }

  #fill() {
    const { settings, voices, languages } = this.#choices;
    const named = languages.map((code) => /** @type {const} */ ([code, languageName(code)]));
    named.sort(([, a], [, b]) => a.localeCompare(b));
    const offers = { voice: voices.map(({ id, name }) => /** @type {const} */ ([id, name])), language: named };
    for (const name of NAMES) {
      // A later change of it is under way.
      if (this.#asked.includes(name)) continue;
      const field = this.#field(name);
      if (name === "voice" || name === "language") this.#offer(name, offers[name]);
      const isEmpty = field instanceof HTMLSelectElement && field.options.length === 0;
      const row = field.closest(".field");
      if (row instanceof HTMLElement) row.hidden = isEmpty || !settings.includes(name);
      this.#show(name, field);
    }
    const replies = this.form.querySelector("#reply-settings");
    if (replies instanceof HTMLElement) replies.hidden = !replies.querySelector(".field:not([hidden])");
    this.#showNumbers();
  }

  /**
   * @param {Name} name
   * @param {(readonly [value: string, label: string])[]} offered
   */
  #offer(name, offered) {
    const field = this.#field(name);
    const current = this.#inForce[name];
    const options = [...offered];
    // What the deployment has chosen need not be what it lets others choose.
    if (options.length > 0 && !options.some(([value]) => value === current)) {
      const label = name === "language" && current ? languageName(String(current)) : "As it is";
      options.unshift([String(current ?? ""), label]);
    }
    field.replaceChildren(
      ...options.map(([value, label]) => {
        const option = element("option", "", label);
        option.value = value;
        option.disabled = value === "";
        return option;
      }),
    );
  }

  /**
   * @param {Name} name
   * @param {Field} field
   */
  #show(name, field) {
    const value = this.#inForce[name];
    if (field instanceof HTMLInputElement && field.type === "range") widen(field, Number(value));
    if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = value === true;
    else if (value !== undefined) field.value = String(value);
    else if (field instanceof HTMLSelectElement) field.value = "";
    else field.value = field.defaultValue;
  }

  /**
   * @param {Field} field
   * @returns {Settings}
   */
  #chosen(field) {
    if (field instanceof HTMLInputElement && field.type === "checkbox") {
      return { [field.name]: field.checked };
    }
    return { [field.name]: NUMBERS.includes(field.name) ? Number(field.value) : field.value.trim() };
  }

  #showNumbers() {
    for (const output of this.form.querySelectorAll("output")) {
      const field = this.#field(String(output.htmlFor));
      const said = field.value + (output.dataset["unit"] ?? "");
      output.textContent = said;
      field.setAttribute("aria-valuetext", said);
    }
  }

  /**
   * @param {string} name
   * @returns {Field}
   */
  #field(name) {
    return /** @type {Field} */ (this.form.elements.namedItem(name));
  }
}

/**
 * As far as they make sense: a server need not be this project's.
 * @param {unknown} said
 * @returns {Choices}
 */
function readable(said) {
  const { settings, voices, languages } = /** @type {Record<string, unknown>} */ (Object(said));
  const named = listOf(voices).flatMap((voice) => {
    const { id, name } = Object(voice);
    return isText(id) ? [{ id, name: isText(name) ? name : id }] : [];
  });
  return {
    settings: /** @type {Name[]} */ (Array.isArray(settings) ? settings : UNSAID.settings),
    voices: named,
    languages: Array.isArray(languages) ? languages.filter(isText) : UNSAID.languages,
  };
}

/**
 * @param {unknown} value
 * @returns {unknown[]}
 */
function listOf(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {unknown} value
 * @returns {value is string}
 */
function isText(value) {
  return typeof value === "string" && value.trim() !== "";
}

/**
 * Show what is in force also if it is more, or less, than can be chosen.
 * @param {HTMLInputElement} field
 * @param {number} value
 */
function widen(field, value) {
  const { leastOffered = field.min, mostOffered = field.max } = field.dataset;
  Object.assign(field.dataset, { leastOffered, mostOffered });
  field.min = value < Number(leastOffered) ? String(value) : leastOffered;
  field.max = value > Number(mostOffered) ? String(value) : mostOffered;
}
