/** The bars: where the time of the last turns went, from the server's own figures. */

const PARTS = /** @type {const} */ ([
  ["dispatch_ms", "gateway", "--p0"],
  ["transcript_ms", "transcript", "--p1"],
  ["prepare_ms", "history", "--p2"],
  ["responder_ms", "model", "--p3"],
  ["clause_ms", "first clause", "--p4"],
  ["synthesizer_ms", "voice", "--p5"],
  ["delivery_ms", "delivery", "--p6"],
]);
const SHOWN = 8;

/** @typedef {import("/client/messages.js").Metrics} Metrics */

export class Figures {
  /**
   * @param {HTMLElement} bars
   * @param {HTMLElement} legend
   */
  constructor(bars, legend) {
    this.bars = bars;
    /** @type {Metrics[]} */
    this.turns = [];
    legend.replaceChildren(
      ...PARTS.map(([, name, colour]) => {
        const item = document.createElement("li");
        const swatch = document.createElement("i");
        swatch.style.background = `var(${colour})`;
        item.append(swatch, name);
        return item;
      }),
    );
  }

  /** @param {Metrics} metrics of a turn that had sound */
  add(metrics) {
    if (!metrics.first_audio_ms) return;
    this.turns = [...this.turns, metrics].slice(-SHOWN);
    const longest = Math.max(...this.turns.map((turn) => turn.first_audio_ms ?? 0));
    this.bars.replaceChildren(...this.turns.map((turn) => this.#row(turn, longest)));
  }

  /**
   * @param {Metrics} metrics
   * @param {number} longest
   */
  #row(metrics, longest) {
    const row = document.createElement("li");
    const bar = document.createElement("span");
    bar.className = "bar";
    const said = [];
    for (const [key, name, colour] of PARTS) {
      const ms = metrics[key] ?? 0;
      const part = document.createElement("i");
      part.style.width = `${(ms / longest) * 100}%`;
      part.style.background = `var(${colour})`;
      part.title = `${name} ${Math.round(ms)} ms`;
      if (ms) said.push(part.title);
      bar.append(part);
    }
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", said.join(", "));
    const total = document.createElement("span");
    total.textContent = `${Math.round(metrics.first_audio_ms ?? 0)} ms`;
    row.append(bar, total);
    return row;
  }
}
