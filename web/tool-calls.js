/** The tools that were called for a reply, as cards: name, state and time; inside, what was given and
 * what came back, where the deployment shows it. */
import { element } from "./elements.js";

/** @typedef {import("parley-client/messages.js").ToolUpdate} ToolUpdate */
/** @typedef {Pick<ToolUpdate, "name"> & Partial<ToolUpdate>} Call */

/** @type {Record<import("parley-client/messages.js").ToolState, string>} */
const STATES = {
  running: "running …",
  done: "done",
  failed: "failed",
  cancelled: "not done",
  unknown: "may or may not have been done",
};

export class ToolCalls {
  /** @type {Map<string, HTMLElement>} */
  #cards = new Map();
  /** @type {Map<string, Call>} */
  #running = new Map();

  constructor() {
    this.root = element("ul", "calls");
    this.root.setAttribute("aria-label", "What was called");
    this.root.hidden = true;
  }

  /** Whether anything was called. */
  get any() {
    return this.#cards.size > 0;
  }

  /** @param {Call} call as it stands now */
  show(call) {
    const { call_id: id = `${this.#cards.size}`, state } = call;
    const card = this.#cards.get(id) ?? element("li", "call");
    if (state) card.dataset["state"] = state;
    if (state === "running") this.#running.set(id, call);
    else this.#running.delete(id);
    const before = card.querySelector("details");
    const hadFocus = before?.contains(document.activeElement);
    card.replaceChildren(content(call, before?.open ?? false));
    if (hadFocus) card.querySelector("summary")?.focus();
    if (!this.#cards.has(id)) this.root.append(card);
    this.#cards.set(id, card);
    this.root.hidden = false;
  }

  /** Its turn has failed: nobody tells any more what becomes of a call that runs. */
  giveUp() {
    for (const call of this.#running.values()) this.show({ ...call, state: "unknown" });
  }

  clear() {
    this.#cards.clear();
    this.#running.clear();
    this.root.replaceChildren();
    this.root.hidden = true;
  }
}

/** @param {Call} call */
export function sentenceOfCall(call) {
  return `${call.title || call.name}${call.state ? `: ${[stateOf(call), tookOf(call)].filter(Boolean).join(", ")}` : ""}`;
}

/** @param {Call} call */
function stateOf({ state }) {
  return state ? (STATES[state] ?? state) : "";
}

/** @param {Call} call */
function tookOf({ ms }) {
  return typeof ms === "number" ? `${(ms / 1000).toFixed(1)} s` : "";
}

/**
 * @param {Call} call
 * @param {boolean} isOpen whether its details are being read
 */
function content(call, isOpen) {
  const { arguments: given, result } = call;
  const line = [
    element("b", "name", call.title || call.name),
    ...[stateOf(call), tookOf(call)].filter(Boolean).flatMap((text) => [" ", element("span", "", text)]),
  ];
  if (given === undefined && result === undefined) return element("p", "line", ...line);
  const details = element("details", "", element("summary", "line", ...line));
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
