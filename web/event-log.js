/** The event log: newest first, audio by its size, a run of chunks as one line. */
import { element } from "./elements.js";

const KEPT = 300;
const EXPORTED = 5_000;
/** Colours. @type {Record<string, string>} */
const KINDS = {
  audio_start: "speech",
  audio_chunk: "speech",
  audio_end: "speech",
  transcript: "speech",
  reply_text: "text",
  user_message: "text",
  agent_turn: "text",
  tool: "text",
  client_call: "text",
  tool_result: "text",
  custom: "text",
  audio: "sound",
  interrupt: "cut",
  turn_end: "end",
  ack: "quiet",
  ping: "quiet",
  pong: "quiet",
};
/** Which way a message went, as a sign and in words; `here` is what the client itself says. */
const WAYS = {
  in: { sign: "← ", words: "received " },
  out: { sign: "→ ", words: "sent " },
  here: { sign: "· ", words: "noted " },
};
/** @typedef {keyof typeof WAYS} Way */
const STREAMED = ["audio_chunk", "audio", "reply_text"];

export class EventLog {
  #run = { key: "", count: 0, bytes: 0, text: "" };
  /** Everything, one by one, for the export.
   * @type {object[]} */
  #all = [];

  /**
   * @param {HTMLElement} list
   * @param {HTMLInputElement} filter shows only what has this text in it
   */
  constructor(list, filter) {
    this.list = list;
    this.filter = filter;
    filter.addEventListener("input", () => {
      for (const item of list.children) this.#sift(/** @type {HTMLElement} */ (item));
    });
  }

  /**
   * @param {Way} direction
   * @param {object} message
   */
  add(direction, message) {
    const { type, audio, ...rest } = /** @type {Record<string, any>} */ (message);
    // The token is the session: it must not end up in a screenshot or a file.
    if (rest["resume_token"]) rest["resume_token"] = "…";
    const bytes = typeof audio === "string" ? Math.floor(audio.length * 0.75) : 0;
    const at = new Date().toISOString();
    this.#all.push({ at, direction, type, ...rest, ...(bytes && { audio_bytes: bytes }) });
    if (this.#all.length > EXPORTED) this.#all.shift();
    const key = `${direction} ${type} ${rest["turn_id"]}`;
    const continues = STREAMED.includes(type) && key === this.#run.key;
    this.#run = {
      key,
      count: continues ? this.#run.count + 1 : 1,
      bytes: continues ? this.#run.bytes + bytes : bytes,
      text: (continues ? this.#run.text : "") + (rest["delta"] ?? ""),
    };
    const before = continues ? this.list.firstElementChild : null;
    const item = this.#item(direction, type, rest, before?.querySelector("details")?.open);
    const hadFocus = before?.contains(document.activeElement);
    before?.remove();
    this.#sift(item);
    this.list.prepend(item);
    if (hadFocus) item.querySelector("summary")?.focus();
    while (this.list.childElementCount > KEPT) this.list.lastElementChild?.remove();
  }

  /** Forget everything. */
  clear() {
    this.#all = [];
    this.#run = { key: "", count: 0, bytes: 0, text: "" };
    this.list.replaceChildren();
  }

  /** One JSON object a line, oldest first; audio by its size. */
  export() {
    return this.#all.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  }

  /** @param {HTMLElement} item */
  #sift(item) {
    const wanted = this.filter.value.trim().toLowerCase();
    const line = item.querySelector("summary")?.textContent ?? "";
    item.hidden = !line.toLowerCase().includes(wanted);
  }

  /**
   * @param {Way} direction
   * @param {string} type
   * @param {Record<string, any>} rest
   * @param {boolean} [isOpen]
   */
  #item(direction, type, rest, isOpen = false) {
    const { count, bytes, text } = this.#run;
    const fields = text ? { ...rest, delta: text } : rest;
    const what = [
      type,
      count > 1 ? `× ${count}` : "",
      bytes ? `${(bytes / 1000).toFixed(1)} kB` : "",
    ];
    const { sign, words } = WAYS[direction];
    const way = element("i", "way", sign);
    way.setAttribute("aria-hidden", "true");
    const line = element(
      "summary",
      "",
      element("time", "", new Date().toISOString().slice(14, 23)),
      element(
        "b",
        "",
        way,
        element("span", "hidden", words),
        what.filter(Boolean).join(" "),
      ),
      element("span", "fields", JSON.stringify(fields)),
    );
    const box = element("details", "", line);
    // Hundreds of rows, of which few are ever opened.
    box.addEventListener("toggle", () => {
      if (box.open && !box.querySelector("pre")) box.append(whole(fields));
    });
    box.open = isOpen;
    return element("li", type === "error" ? "error" : `${direction} ${KINDS[type] ?? ""}`, box);
  }
}

/** @param {object} fields */
function whole(fields) {
  const text = element("pre", "", JSON.stringify(fields, null, 2));
  text.tabIndex = 0; // it scrolls
  return text;
}
