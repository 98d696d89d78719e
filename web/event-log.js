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
  audio: "sound",
  interrupt: "cut",
  turn_end: "end",
  ack: "quiet",
  ping: "quiet",
  pong: "quiet",
};
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
   * @param {"in" | "out"} direction
   * @param {object} message
   */
  add(direction, message) {
    const { type, audio, ...rest } = /** @type {Record<string, any>} */ (message);
    // Whoever has the token has the session: it must not end up in a screenshot or a file.
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
    if (continues) this.list.firstElementChild?.remove();
    const item = this.#item(direction, type, rest);
    this.#sift(item);
    this.list.prepend(item);
    while (this.list.childElementCount > KEPT) this.list.lastElementChild?.remove();
  }

  /** One JSON object a line, oldest first; audio by its size. */
  export() {
    return this.#all.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  }

  /** @param {HTMLElement} item */
  #sift(item) {
    const wanted = this.filter.value.trim().toLowerCase();
    item.hidden = !(item.textContent ?? "").toLowerCase().includes(wanted);
  }

  /**
   * @param {"in" | "out"} direction
   * @param {string} type
   * @param {Record<string, any>} rest
   */
  #item(direction, type, rest) {
    const { count, bytes, text } = this.#run;
    const fields = text ? { ...rest, delta: text } : rest;
    const what = [
      direction === "out" ? "→" : "←",
      type,
      count > 1 ? `× ${count}` : "",
      bytes ? `${(bytes / 1000).toFixed(1)} kB` : "",
    ];
    const time = new Date().toISOString().slice(14, 23);
    const item = element(
      "li",
      type === "error" ? "error" : `${direction} ${KINDS[type] ?? ""}`,
      element("time", "", time),
      element("b", "", what.filter(Boolean).join(" ")),
      element("span", "", JSON.stringify(fields)),
    );
    item.title = JSON.stringify(fields, null, 2);
    return item;
  }
}
