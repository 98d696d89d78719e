/** Follows the journal of the local stack and shows it. */

import { show } from "./details.js";
import { List } from "./list.js";
import { Model } from "./model.js";

/** @param {string} id */
function find(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

const model = new Model();
const state = find("state");
const details = find("details");
const filter = /** @type {HTMLInputElement} */ (find("filter"));
const pause = find("pause");
const tabs = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[role=tab]")]);
const list = new List(find("rows"), (key) => showDetails(key));
/** @type {import("./model.js").Entry[]} */
const waiting = [];
let paused = false;

/** @param {string} key */
function showDetails(key) {
  const item = model.items.get(key);
  show(details, item, item?.connection ? model.ofConnection(item.connection) : [], (other) => {
    if (!list.rows.has(other)) chooseView("all");
    list.select(other);
  });
}

/** @param {import("./model.js").Entry} entry */
function take(entry) {
  const item = model.add(entry);
  list.put(item);
  if (item.key === list.selected) showDetails(item.key);
}

function refill() {
  list.fill(model.items.values());
  count();
}

function count() {
  const items = [...model.items.values()];
  const counts = {
    connections: items.filter((item) => item.type === "connection" && item.fields["kind"] === "connected").length,
    invocations: items.filter((item) => item.type === "invocation").length,
    posts: items.filter((item) => item.type === "post").length,
    faults: items.filter((item) => item.type === "fault").length,
  };
  for (const tab of tabs) {
    const number = tab.querySelector("b");
    if (number) number.textContent = String(counts[/** @type {keyof typeof counts} */ (tab.dataset["view"])]);
  }
  find("empty").hidden = list.rows.size > 0;
}

/** @param {string} view */
function chooseView(view) {
  list.view = view;
  for (const tab of tabs) {
    const isChosen = tab.dataset["view"] === view;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
  }
  refill();
}

function togglePause() {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  if (!paused) for (const entry of waiting.splice(0)) take(entry);
  say(paused ? "paused" : "live");
  count();
}

function clear() {
  model.clear();
  list.select("");
  refill();
}

/** @param {"connecting" | "live" | "paused"} word */
function say(word) {
  state.dataset["state"] = word;
  state.textContent = word;
}

/** To what is known of the row that is chosen; the first one if none is. */
function open() {
  if (!list.selected) list.move(0);
  if (list.selected) details.focus();
}

/**
 * Tabs, as the ARIA Authoring Practices have them.
 * @param {number} by
 */
function moveTab(by) {
  const now = tabs.findIndex((tab) => tab === document.activeElement);
  const next = tabs[(now + by + tabs.length) % tabs.length];
  if (now < 0 || !next) return;
  chooseView(next.dataset["view"] ?? "all");
  next.focus();
}

/** @type {Record<string, () => void>} */
const KEYS = {
  Enter: open,
  ArrowRight: () => moveTab(1),
  ArrowLeft: () => moveTab(-1),
  ArrowDown: () => list.move(1),
  j: () => list.move(1),
  ArrowUp: () => list.move(-1),
  k: () => list.move(-1),
  Home: () => list.move(-Infinity),
  End: () => list.move(Infinity),
  "/": () => filter.focus(),
  p: togglePause,
  c: clear,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === filter) {
    if (event.key === "Escape" || event.key === "Enter") find("rows").focus();
    return;
  }
  const tab = tabs[Number(event.key) - 1];
  const act = tab ? () => chooseView(tab.dataset["view"] ?? "all") : KEYS[event.key];
  if (!act && event.key === "Escape" && details.contains(document.activeElement)) {
    find("rows").focus();
  }
  if (!act || (details.contains(document.activeElement) && event.key.length > 1)) return;
  // Buttons are pressed with it, and the list is left with it.
  if (event.key === "Enter" && document.activeElement !== find("rows")) return;
  event.preventDefault();
  act();
});
for (const tab of tabs) tab.addEventListener("click", () => chooseView(tab.dataset["view"] ?? "all"));
filter.addEventListener("input", () => {
  list.words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  refill();
});
pause.addEventListener("click", togglePause);
find("clear").addEventListener("click", clear);

const source = new EventSource("events");
source.addEventListener("live", () => say(paused ? "paused" : "live"));
source.addEventListener("error", () => say("connecting"));
source.addEventListener("message", (message) => {
  const entry = JSON.parse(message.data);
  if (paused) waiting.push(entry);
  else take(entry);
  requestCount();
});

let counting = 0;
/** Count once for all entries that come at a time. */
function requestCount() {
  counting ||= requestAnimationFrame(() => {
    counting = 0;
    count();
  });
}

showDetails("");
find("rows").focus();
