/** What the conversation has used so far, in the units that its providers are paid by. */

/** @typedef {import("parley-client/messages.js").Metrics} Metrics */

/** Price per unit is the deployment's, and not known here: docs/costs.md has how they add up. */
const UNITS = /** @type {const} */ ([
  ["heard_ms", (/** @type {number} */ ms) => `${(ms / 1000).toFixed(0)} s heard`],
  ["input_tokens", (/** @type {number} */ count) => `${count} tokens read`],
  ["output_tokens", (/** @type {number} */ count) => `${count} written`],
  ["spoken_chars", (/** @type {number} */ count) => `${count} characters spoken`],
]);

export class Usage {
  #turns = 0;
  /** @type {Map<string, number>} */
  #sums = new Map();

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
  }

  /** Forget everything. */
  clear() {
    this.#turns = 0;
    this.#sums.clear();
    this.root.hidden = true;
    this.root.textContent = "";
  }

  /** @param {Metrics} metrics of a turn that has ended */
  add(metrics) {
    this.#turns += 1;
    for (const [name] of UNITS) {
      const value = metrics[name];
      if (typeof value === "number") this.#sums.set(name, (this.#sums.get(name) ?? 0) + value);
    }
    const used = UNITS.flatMap(([name, words]) => {
      const sum = this.#sums.get(name);
      return sum ? [words(sum)] : [];
    });
    this.root.hidden = used.length === 0;
    const turns = this.#turns === 1 ? "1 turn" : `${this.#turns} turns`;
    this.root.textContent = `Used in ${turns}: ${used.join(", ")}.`;
  }
}
