/** The right-hand side: everything that is known of one item. */

import { bytes, clock, duration, row } from "./words.js";

/** @typedef {import("./model.js").Item} Item */

const MAX_RELATED = 300;

/**
 * @param {HTMLElement} place
 * @param {Item | undefined} item
 * @param {Item[]} related what else happened on its connection
 * @param {(key: string) => void} go called with the key of another item that is wanted
 */
export function show(place, item, related, go) {
  place.replaceChildren();
  if (!item) {
    place.append(element("p", "hint", "Choose something on the left, with the mouse or with ↑ and ↓."));
    return;
  }
  const { name } = row(item);
  place.append(element("h2", item.type, name), facts(item));
  if (item.fields["running"]) place.append(killButton(String(item.fields["function"])));
  for (const [title, text] of texts(item)) place.append(block(title, text));
  if (item.connection) place.append(relatedList(item, related, go));
}

/** @param {string} name of a function that runs */
function killButton(name) {
  const button = element("button", "", "Kill the function");
  button.addEventListener("click", () => {
    void fetch(`environments/${encodeURIComponent(name)}/kill`, { method: "POST" });
  });
  return button;
}

/** @param {Item} item */
function facts(item) {
  const list = element("dl", "");
  const fields = item.fields;
  /** @type {[string, unknown][]} */
  const known = [
    ["at", clock(item.at_ms)],
    ["function", fields["function"]],
    ["version", fields["version"]],
    ["request", fields["request_id"]],
    ["connection", item.connection || fields["to"]],
    ["stage", fields["stage"]],
    ["start", fields["cold"] === undefined ? undefined : fields["cold"] ? "cold" : "warm"],
    ["initialised in", fields["init_ms"] && duration(fields["init_ms"])],
    ["took", fields["duration_ms"] === undefined ? undefined : duration(fields["duration_ms"])],
    ["memory", fields["memory_mb"] && `${fields["memory_mb"]} of ${fields["memory_size_mb"]} MB`],
    ["status", fields["status"]],
    ["size", fields["bytes"] === undefined ? undefined : bytes(fields["bytes"])],
    ["user agent", fields["user_agent"]],
    ["closed", fields["disconnected_at_ms"] && clock(fields["disconnected_at_ms"])],
    ["close code", fields["code"]],
    ["reason", fields["reason"]],
  ];
  for (const [term, value] of known) {
    if (value === undefined || value === null || value === "") continue;
    list.append(element("dt", "", term), element("dd", "", String(value)));
  }
  return list;
}

/** @param {Item} item @returns {[string, string][]} */
function texts(item) {
  const fields = item.fields;
  /** @type {[string, string][]} */
  const found = [];
  if (fields["body"]) found.push(["body", pretty(fields["body"])]);
  if (fields["error"]) found.push(["error", pretty(fields["result"])]);
  if (fields["log"]?.length) found.push(["log", fields["log"].join("\n").replaceAll("\r", "\n")]); // the runtime client breaks lines with \r
  if (fields["event"]) found.push(["event", pretty(fields["event"])]);
  if (fields["result"] && !fields["error"]) found.push(["result", pretty(fields["result"])]);
  return found;
}

/** @param {Item} item @param {Item[]} related @param {(key: string) => void} go */
function relatedList(item, related, go) {
  const box = element("details", "related");
  box.append(element("summary", "", `on this connection (${related.length})`));
  const list = element("ol", "");
  for (const other of related.slice(-MAX_RELATED)) {
    const { name, text } = row(other);
    const line = element("li", "");
    const button = element("button", "", `${clock(other.at_ms)}  ${name}  ${text}`);
    if (other.key === item.key) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => go(other.key));
    line.append(button);
    list.append(line);
  }
  box.append(list);
  if (item.type === "connection") box.setAttribute("open", "");
  return box;
}

/** @param {string} title @param {string} text */
function block(title, text) {
  const box = element("details", `text ${title}`);
  box.setAttribute("open", "");
  const content = element("pre", "", text);
  content.tabIndex = 0; // it scrolls
  box.append(element("summary", "", title), content);
  return box;
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/**
 * @param {string} tag
 * @param {string} kind
 * @param {string} [text]
 */
function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}
