/** The time to the first sound of the last turns, as stacked bars of one scale. */
import { element } from "./elements.js";
import { milliseconds, partsOf } from "./turn-metrics.js";

const KEPT = 12;

export class LatencyChart {
  /** @type {{text: string, metrics: import("parley-client/messages.js").Metrics}[]} */
  #turns = [];

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.empty = [...root.childNodes];
  }

  /** Forget everything. */
  clear() {
    this.#turns = [];
    this.root.replaceChildren(...this.empty);
  }

  /** @param {import("parley-client/messages.js").TurnEnd} end */
  add({ text, metrics }) {
    if (partsOf(metrics).length === 0) return;
    this.#turns = [...this.#turns, { text, metrics }].slice(-KEPT);
    this.#show();
  }

  #show() {
    const sums = this.#turns.map(({ metrics }) =>
      partsOf(metrics).reduce((sum, { ms }) => sum + ms, 0),
    );
    const longest = Math.max(...sums);
    const legend = partsOf(Object.assign({}, ...this.#turns.map(({ metrics }) => metrics)));
    const middle = [...sums].sort((a, b) => a - b)[Math.floor(sums.length / 2)] ?? 0;
    this.root.replaceChildren(
      element("p", "hint", `Time to the first sound, measured by the server. Median ${milliseconds(middle)}.`),
      element("ol", "stack", ...this.#turns.map((turn, index) => this.#row(turn, sums[index] ?? 0, longest))),
      element("ul", "legend", ...legend.map(({ name, colour }) => element("li", "", swatch(colour), name))),
    );
  }

  /**
   * @param {{text: string, metrics: import("parley-client/messages.js").Metrics}} turn
   * @param {number} sum
   * @param {number} longest
   */
  #row({ text, metrics }, sum, longest) {
    const bar = element("span", "bar");
    bar.style.width = `${(100 * sum) / longest}%`;
    const parts = partsOf(metrics);
    bar.append(
      ...parts.map(({ name, ms, colour }) => {
        const part = swatch(colour);
        part.style.flexGrow = String(ms);
        part.title = `${name} ${milliseconds(ms)}`;
        return part;
      }),
    );
    const said = parts.map(({ name, ms }) => `${name} ${milliseconds(ms)}`).join(", ");
    const row = element("li", "", element("span", "track", bar), element("b", "", milliseconds(sum)));
    row.setAttribute("aria-label", `${milliseconds(sum)}: ${said}`);
    row.title = text.slice(0, 80);
    return row;
  }
}

/** @param {string} colour */
function swatch(colour) {
  const made = element("i");
  made.style.background = colour;
  return made;
}
