/** One turn on the page: what was said, the reply, its figures, what went wrong. */

/** @typedef {import("/client/messages.js").TurnEnd} TurnEnd */

/**
 * @param {string} tag
 * @param {string} className
 */
function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}

export class TurnView {
  /** @param {HTMLElement} list where turns are shown */
  constructor(list) {
    this.root = element("li", "turn");
    this.said = element("p", "said");
    this.reply = element("p", "reply");
    this.numbers = element("p", "numbers");
    this.root.append(this.said, this.reply, this.numbers);
    this.said.hidden = true;
    list.append(this.root);
    /** @type {Map<string, number>} */
    this.times = new Map();
    this.zero = performance.now();
  }

  /** The user has finished: times count from here. */
  start() {
    this.zero = performance.now();
  }

  /**
   * @param {string} text
   * @param {boolean} final
   */
  setSaid(text, final) {
    this.said.hidden = false;
    this.said.textContent = text || "…";
    this.said.dataset["final"] = String(final);
    if (final) this.mark("transcript");
  }

  /** @param {string} delta */
  addReply(delta) {
    this.mark("first text");
    this.reply.textContent += delta;
  }

  /** Sound has begun. */
  sounded() {
    this.mark("first sound");
  }

  /** @param {string} name */
  mark(name) {
    if (!this.times.has(name)) this.times.set(name, performance.now() - this.zero);
    this.#showNumbers();
  }

  /** @param {string} message */
  fail(message) {
    const problem = element("p", "problem");
    problem.textContent = message;
    this.root.insertBefore(problem, this.numbers);
  }

  /** @param {TurnEnd} end */
  finish(end) {
    this.mark("total");
    if (end.heard !== undefined && end.heard !== null) this.markHeard(end.heard);
  }

  /**
   * Show what of the reply was really heard.
   * @param {string} heard
   */
  markHeard(heard) {
    const text = this.reply.textContent ?? "";
    const words = heard.split(/\s+/).filter(Boolean).length;
    const found = new RegExp(`^(?:\\s*\\S+){${words}}`).exec(text)?.[0] ?? "";
    const rest = element("span", "unheard");
    rest.textContent = text.slice(found.length);
    rest.title = "not heard";
    this.reply.replaceChildren(found, rest);
  }

  #showNumbers() {
    this.numbers.replaceChildren(
      ...[...this.times].map(([name, ms]) => {
        const figure = document.createElement("span");
        const value = document.createElement("b");
        value.textContent = `${Math.round(ms)} ms`;
        figure.append(`${name} `, value);
        return figure;
      }),
    );
  }
}
