/** The tools that were called for a reply, as a row of chips; how each stands is said in words. */
import { element } from "./elements.js";

/** @typedef {import("parley-client/messages.js").ToolUpdate} ToolUpdate */
/** @typedef {Pick<ToolUpdate, "name"> & Partial<ToolUpdate>} Call */

/** @type {Record<import("parley-client/messages.js").ToolState, string>} */
const STATES = {
  running: "…",
  done: "… done",
  failed: "… failed",
  cancelled: "… not done",
  unknown: "… may or may not have been done",
};

export class ToolCalls {
  /** @type {Map<string, HTMLElement>} */
  #chips = new Map();
  /** @type {Map<string, Call>} */
  #running = new Map();

  constructor() {
    this.root = element("ul", "calls");
    this.root.setAttribute("aria-label", "What was called");
    this.root.hidden = true;
  }

  /** Whether anything was called. */
  get any() {
    return this.#chips.size > 0;
  }

  /** @param {Call} call as it stands now */
  show(call) {
    const { call_id: id = `${this.#chips.size}`, state } = call;
    const chip = this.#chips.get(id) ?? element("li", "call");
    if (state) chip.dataset["state"] = state;
    if (state === "running") this.#running.set(id, call);
    else this.#running.delete(id);
    const isOpen = chip.querySelector("details")?.open ?? false;
    chip.replaceChildren(content(call, isOpen));
    if (!this.#chips.has(id)) this.root.append(chip);
    this.#chips.set(id, chip);
    this.root.hidden = false;
  }

  /** Its turn has failed: nobody tells any more what becomes of a call that runs. */
  giveUp() {
    for (const call of this.#running.values()) this.show({ ...call, state: "unknown" });
  }

  clear() {
    this.#chips.clear();
    this.#running.clear();
    this.root.replaceChildren();
    this.root.hidden = true;
  }
}

/** @param {Call} call */
export function sentenceOfCall({ name, title, state, ms }) {
  const took = typeof ms === "number" ? `, ${(ms / 1000).toFixed(1)} s` : "";
  return `${title || name}${state ? ` ${STATES[state] ?? state}${took}` : ""}`;
}

/**
 * @param {Call} call
 * @param {boolean} isOpen whether its details are being read
 */
function content(call, isOpen) {
  const { arguments: given, result } = call;
  const sentence = sentenceOfCall(call);
  if (given === undefined && result === undefined) return element("span", "", sentence);
  const details = element("details", "", element("summary", "", sentence));
  details.open = isOpen;
  if (given !== undefined) details.append(part("Given", indented(given)));
  if (result !== undefined) details.append(part("Result", resultOf(result)));
  return details;
}

/** @param {string} text JSON is easier to read in lines */
function resultOf(text) {
  try {
    return indented(JSON.parse(text));
  } catch {
    return text;
  }
}

/** @param {unknown} value */
function indented(value) {
  return JSON.stringify(value, null, 2);
}

/**
 * @param {string} label
 * @param {string} text
 */
function part(label, text) {
  const shown = element("pre", "", text);
  shown.tabIndex = 0; // it scrolls
  shown.setAttribute("aria-label", label);
  shown.setAttribute("role", "region");
  return element("div", "", element("b", "", label), shown);
}
