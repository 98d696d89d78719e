/** The left-hand side: a row for every item that is wanted, the newest first. */

import { clock, row, searched } from "./words.js";

/** @typedef {import("./model.js").Item} Item */

const VIEWS = {
  all: ["connection", "invocation", "message", "post", "close", "fault"],
  connections: ["connection"],
  invocations: ["invocation"],
  posts: ["post", "close"],
  faults: ["fault"],
};
const MAX_ROWS = 1000;

export class List {
  /**
   * @param {HTMLElement} place
   * @param {(key: string) => void} chosen called when another row is selected
   */
  constructor(place, chosen) {
    this.place = place;
    this.chosen = chosen;
    this.view = "all";
    this.words = /** @type {string[]} */ ([]);
    this.selected = "";
    /** @type {Map<string, HTMLElement>} */
    this.rows = new Map();
    place.addEventListener("click", (event) => {
      const found = event.target instanceof Element ? event.target.closest("li") : null;
      if (found) this.select(found.dataset["key"] ?? "");
    });
  }

  /** Whether an item is listed. @param {Item} item */
  wants(item) {
    const types = VIEWS[/** @type {keyof typeof VIEWS} */ (this.view)];
    if (!types.includes(item.type)) return false;
    if (this.words.length === 0) return true;
    const text = searched(item);
    return this.words.every((word) => text.includes(word));
  }

  /** Show an item that is new or has changed. @param {Item} item */
  put(item) {
    const existing = this.rows.get(item.key);
    if (!this.wants(item)) {
      existing?.remove();
      this.rows.delete(item.key);
      return;
    }
    const made = rowOf(item);
    made.setAttribute("aria-selected", String(item.key === this.selected));
    if (existing) existing.replaceWith(made);
    else this.place.prepend(made);
    this.rows.set(item.key, made);
    for (const [key, oldest] of this.rows) {
      if (this.rows.size <= MAX_ROWS) break;
      oldest.remove();
      this.rows.delete(key);
    }
  }

  /** Show other items. @param {Iterable<Item>} items */
  fill(items) {
    this.place.replaceChildren();
    this.rows.clear();
    for (const item of items) this.put(item);
    this.rows.get(this.selected)?.scrollIntoView({ block: "nearest" });
  }

  /** @param {string} key */
  select(key) {
    this.rows.get(this.selected)?.setAttribute("aria-selected", "false");
    this.selected = key;
    const found = this.rows.get(key);
    found?.setAttribute("aria-selected", "true");
    found?.scrollIntoView({ block: "nearest" });
    if (found) this.place.setAttribute("aria-activedescendant", found.id);
    this.chosen(key);
  }

  /** Select the row that is so many further down. @param {number} by */
  move(by) {
    const rows = [...this.place.children];
    const now = rows.findIndex((found) => found.getAttribute("aria-selected") === "true");
    const next = now < 0 ? 0 : Math.min(Math.max(now + by, 0), rows.length - 1);
    const found = rows[next];
    if (found instanceof HTMLElement) this.select(found.dataset["key"] ?? "");
  }
}

/** @param {Item} item */
function rowOf(item) {
  const { name, text, figures, state } = row(item);
  const made = document.createElement("li");
  made.id = `row-${item.key}`;
  made.setAttribute("role", "option");
  made.dataset["key"] = item.key;
  made.dataset["type"] = item.type;
  made.dataset["state"] = state;
  for (const [kind, content] of [["time", clock(item.at_ms)], ["name", name], ["what", text]]) {
    const part = document.createElement("span");
    part.className = kind ?? "";
    part.textContent = content ?? "";
    made.append(part);
  }
  const end = document.createElement("span");
  end.className = "figures";
  for (const figure of figures) {
    const part = document.createElement("span");
    part.textContent = figure;
    if (figure === "cold") part.className = "cold";
    end.append(part);
  }
  made.append(end);
  return made;
}
