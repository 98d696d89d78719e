/** The inside of `<parley-talk>`: its elements, and what they show. */
import { STYLE } from "./talk-style.js";

/** @typedef {import("./conversation-view.js").TurnPicture} TurnPicture */
/** @typedef {import("./talk-state.js").TalkState} TalkState */
/** @typedef {Record<import("./talk-texts.js").TextName, string>} Texts */

/**
 * @typedef {object} Shown
 * @property {TalkState} state
 * @property {Texts} texts
 * @property {readonly TurnPicture[]} turns
 * @property {string | undefined} problem a sentence
 * @property {boolean} isHeld the round button is held to talk
 * @property {boolean} isOn the round button ends what it has begun
 * @property {boolean} isMuted
 * @property {boolean} canMute
 * @property {boolean} canInterrupt
 * @property {boolean} hasText there is a field to type in
 */

/** @type {CSSStyleSheet | undefined} */
let sheet;

const SVG = "http://www.w3.org/2000/svg";
const MICROPHONE =
  "M12 14a3 3 0 0 0 3-3V5a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3Zm5-3a5 5 0 0 1-10 0H5a7 7 0 0 0 6 6.9V21h2v-3.1A7 7 0 0 0 19 11Z";
const SLASH = "M3.3 4.7 4.7 3.3l16 16-1.4 1.4Z";

export class TalkPanel {
  #group = made("div", { class: "box", part: "box", role: "group" });
  #turns = made("ol", { class: "turns", part: "transcript", tabindex: "0" });
  #problem = made("p", { class: "problem", part: "problem" });
  button = made("button", { class: "talk", type: "button", "aria-describedby": "state" });
  #state = made("span", { class: "state", part: "state", id: "state" });
  interrupt = made("button", { class: "small", part: "interrupt", type: "button" });
  mute = made("button", { class: "small", part: "mute", type: "button" });
  form = made("form", { part: "form" });
  input = made("input", { part: "input", type: "text", autocomplete: "off", enterkeyhint: "send" });
  #send = made("button", { class: "small", part: "send", type: "submit" });
  /** The only one that is read out by itself. */
  #told = made("p", { class: "told", role: "status" });
  #slash = shape(SLASH);
  /** @type {Map<string, TurnLines>} */
  #lines = new Map();

  /** @param {ShadowRoot} root that is empty */
  constructor(root) {
    sheet ??= sheetOf(STYLE);
    root.adoptedStyleSheets = [sheet];
    const icon = document.createElementNS(SVG, "svg");
    icon.setAttribute("viewBox", "0 0 24 24");
    icon.setAttribute("aria-hidden", "true");
    icon.append(shape(MICROPHONE), this.#slash);
    const slot = made("slot", { name: "icon" });
    slot.append(icon);
    this.button.append(slot);
    const row = made("div", { class: "row", part: "controls" });
    row.append(this.button, this.#state, this.interrupt, this.mute);
    this.form.append(this.input, this.#send);
    const parts = [this.#turns, this.#problem, row, this.form, this.#told];
    this.#group.append(made("slot", {}), ...parts);
    root.append(this.#group);
  }

  /** @param {Shown} shown */
  show({ state, texts, turns, problem, ...shown }) {
    name(this.#group, texts.name);
    name(this.button, shown.isHeld ? texts.talk : shown.isOn ? texts.stop : texts.start);
    this.button.title = this.button.getAttribute("aria-label") ?? "";
    this.button.dataset["state"] = state;
    this.button.toggleAttribute("data-held", shown.isHeld);
    this.button.part.value = `button ${state}`;
    this.#slash.toggleAttribute("hidden", !["muted", "offline", "error"].includes(state));
    put(this.#state, texts[state]);
    this.#problem.hidden = !problem;
    put(this.#problem, problem ?? "");
    this.#showControls(texts, shown);
    this.#showTurns(turns, texts);
  }

  /**
   * Have something read out.
   * @param {string} text
   */
  tell(text) {
    put(this.#told, text);
  }

  /** @param {number} level from 0 to 1 */
  level(level) {
    // By the object model: a policy forbids only the attribute.
    this.button.style.setProperty("--level", level.toFixed(2));
  }

  /** @param {Texts} texts @param {Omit<Shown, "state" | "texts" | "turns" | "problem">} shown */
  #showControls(texts, { isMuted, canMute, canInterrupt, hasText }) {
    const active = rootOf(this.button).activeElement;
    const isLost = (active === this.mute && !canMute) || (active === this.interrupt && !canInterrupt);
    this.mute.hidden = !canMute;
    this.mute.setAttribute("aria-pressed", String(isMuted));
    put(this.mute, texts.mute);
    this.interrupt.hidden = !canInterrupt;
    put(this.interrupt, texts.interrupt);
    this.form.hidden = !hasText;
    name(this.input, texts.text);
    this.input.placeholder = texts.text;
    put(this.#send, texts.send);
    // Who has pressed what goes away is not thrown to the top of the page.
    if (isLost) this.button.focus();
  }

  /** @param {readonly TurnPicture[]} turns @param {Texts} texts */
  #showTurns(turns, texts) {
    name(this.#turns, texts.transcript);
    const before = this.#lines;
    this.#lines = new Map(turns.map(({ id }) => [id, before.get(id) ?? new TurnLines()]));
    for (const [id, { item }] of before) if (!this.#lines.has(id)) item.remove();
    let isLonger = false;
    for (const turn of turns) {
      const lines = /** @type {TurnLines} */ (this.#lines.get(turn.id));
      if (!lines.item.parentNode) this.#turns.append(lines.item);
      isLonger = lines.show(turn, texts) || isLonger;
    }
    this.#turns.hidden = turns.length === 0;
    if (isLonger) this.#turns.scrollTop = this.#turns.scrollHeight;
  }
}

/** One turn's lines. Only what is new of them is written, so that text which is marked stays so. */
class TurnLines {
  item = made("li", { part: "turn" });
  #you = made("span", { class: "who", part: "who" });
  #said = made("span", {});
  #saidLine = made("p", { part: "said" });
  #agent = made("span", { class: "who", part: "who" });
  #heard = made("span", {});
  #unheard = made("del", { part: "unheard" });
  #replyLine = made("p", { part: "reply" });

  constructor() {
    this.#saidLine.append(this.#you, " ", this.#said);
    this.#replyLine.append(this.#agent, " ", this.#heard, this.#unheard);
    this.item.append(this.#saidLine, this.#replyLine);
  }

  /**
   * @param {TurnPicture} turn
   * @param {Texts} texts
   * @returns {boolean} whether something has changed
   */
  show({ said, text, heard = text, language }, texts) {
    if (language) this.item.lang = language;
    this.#saidLine.hidden = !said;
    this.#replyLine.hidden = !text;
    put(this.#you, texts.you);
    put(this.#agent, texts.agent);
    const changes = [
      put(this.#said, said),
      put(this.#heard, heard),
      put(this.#unheard, text.slice(heard.length)),
    ];
    return changes.includes(true);
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} tag
 * @param {Record<string, string>} attributes
 * @returns {HTMLElementTagNameMap[Name]}
 */
function made(tag, attributes) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** @param {string} path */
function shape(path) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("d", path);
  return element;
}

/** @param {string} text of styles */
function sheetOf(text) {
  const made = new CSSStyleSheet();
  made.replaceSync(text);
  return made;
}

/** @param {HTMLElement} element @param {string} text that names it */
function name(element, text) {
  if (element.getAttribute("aria-label") !== text) element.setAttribute("aria-label", text);
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 * @returns {boolean} whether it is another than before
 */
function put(element, text) {
  if (element.textContent === text) return false;
  element.textContent = text;
  return true;
}

/** @param {HTMLElement} element */
function rootOf(element) {
  return /** @type {ShadowRoot} */ (element.getRootNode());
}
