/**
 * Where a turn's time went: what this page measured, and the server's own parts as a bar.
 */
import { element } from "./elements.js";

/** @typedef {import("parley-client/messages.js").Metrics} Metrics */
/** @typedef {"transcript" | "first text" | "first sound" | "total"} Figure */

const ORDER = /** @type {const} */ (["transcript", "first text", "first sound", "total"]);

/** The parts add up to the time until the first audio. */
const PARTS = /** @type {const} */ ([
  ["dispatch_ms", "dispatch", "to the function"],
  ["transcript_ms", "transcript", "understanding speech"],
  ["prepare_ms", "prepare", "reading the history"],
  ["responder_ms", "model", "to the first token"],
  ["clause_ms", "clause", "to the first clause"],
  ["synthesizer_ms", "voice", "to the first audio"],
  ["delivery_ms", "delivery", "to this connection"],
]);

export class TurnMetrics {
  /** @type {Map<Figure, number>} */
  #times = new Map();
  #zero = performance.now();
  #numbers = element("span", "numbers");
  #bar = element("span", "bar");
  #table = element("dl", "parts");
  #turn = element("span", "turn-name");
  #box = element(
    "li",
    "figures",
    element("details", "", element("summary", "", this.#turn, this.#numbers, this.#bar), this.#table),
  );

  /** The element to show. */
  get root() {
    return this.#box;
  }

  constructor() {
    this.#box.hidden = true;
    this.#bar.hidden = true;
  }

  /** @param {string} text what was said in the turn */
  name(text) {
    this.#turn.textContent = text;
  }

  /** Times count from here. */
  restart() {
    this.#zero = performance.now();
  }

  /** @param {Figure} name what has just happened, for the first time or again */
  mark(name) {
    if (this.#times.has(name)) return;
    this.#times.set(name, performance.now() - this.#zero);
    this.#box.hidden = false;
    this.#numbers.replaceChildren(
      ...ORDER.flatMap((figure) => {
        const ms = this.#times.get(figure);
        return ms === undefined
          ? []
          : [element("span", "number", `${figure} `, element("b", "", milliseconds(ms)))];
      }),
    );
  }

  /** @param {Metrics} metrics the server's own */
  show(metrics) {
    const parts = partsOf(metrics);
    if (parts.length === 0) return;
    this.#bar.hidden = false;
    this.#bar.setAttribute("role", "img");
    const said = parts.map(({ name, ms }) => `${name} ${milliseconds(ms)}`).join(", ");
    this.#bar.setAttribute("aria-label", `Server: ${said}`);
    this.#bar.replaceChildren(
      ...parts.map(({ name, ms, colour }) => {
        const part = element("i");
        part.style.flexGrow = String(ms);
        part.style.background = colour;
        part.title = `${name} ${milliseconds(ms)}`;
        return part;
      }),
    );
    this.#table.replaceChildren(
      ...parts.map(({ name, what, ms, colour }) => {
        const swatch = element("i");
        swatch.style.background = colour;
        const term = element("dt", "", swatch, name, element("small", "", what));
        return element("div", "", term, element("dd", "", milliseconds(ms)));
      }),
      ...this.#sums(metrics),
    );
  }

  /** @param {Metrics} metrics */
  #sums(metrics) {
    const notes = [
      metrics.cold === true ? "a cold start" : "",
      metrics.connection_reused === true ? "warm connection to the model" : "",
      metrics.retries ? `${metrics.retries} retries` : "",
      metrics.preemptive_hit === true ? "begun before the end of speech" : "",
      metrics.preemptive_wasted_chars
        ? `${metrics.preemptive_wasted_chars} characters begun in vain`
        : "",
      metrics.audio_ms ? `${(metrics.audio_ms / 1000).toFixed(1)} s of speech` : "",
      tokensOf(metrics),
    ].filter(Boolean);
    const sum = element(
      "div",
      "sum",
      element("dt", "", "first audio, measured by the server"),
      element("dd", "", milliseconds(metrics.first_audio_ms ?? 0)),
    );
    return notes.length ? [sum, element("p", "", notes.join(" · "))] : [sum];
  }
}

/**
 * What the model has read and written; nothing where nobody knows.
 * @param {Metrics} metrics
 */
function tokensOf({ input_tokens: read, output_tokens: written, tokens_estimated: estimated }) {
  if (read === undefined || written === undefined) return "";
  return `${estimated ? "about " : ""}${read} tokens read, ${written} written`;
}

/**
 * What the time to the first audio is made of.
 * @param {Metrics} metrics
 */
export function partsOf(metrics) {
  return PARTS.map(([key, name, what], index) => ({
    name,
    what,
    ms: metrics[key] ?? 0,
    colour: `var(--p${index})`,
  })).filter(({ ms }) => ms > 0);
}

/** @param {number} ms */
export function milliseconds(ms) {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
