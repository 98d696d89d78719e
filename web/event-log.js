/** The event log: newest first, audio by its size, a run of chunks as one line. */
import { element } from "./elements.js";

const KEPT = 300;
const STREAMED = ["audio_chunk", "audio", "reply_text"];

export class EventLog {
  #run = { key: "", count: 0, bytes: 0, text: "" };

  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
  }

  /**
   * @param {"in" | "out"} direction
   * @param {object} message
   */
  add(direction, message) {
    const { type, audio, ...rest } = /** @type {Record<string, any>} */ (message);
    // Whoever has the token has the session: it must not end up in a screenshot.
    if (rest["resume_token"]) rest["resume_token"] = "…";
    const key = `${direction} ${type} ${rest["turn_id"]}`;
    const bytes = typeof audio === "string" ? Math.floor(audio.length * 0.75) : 0;
    const continues = STREAMED.includes(type) && key === this.#run.key;
    this.#run = {
      key,
      count: continues ? this.#run.count + 1 : 1,
      bytes: continues ? this.#run.bytes + bytes : bytes,
      text: (continues ? this.#run.text : "") + (rest["delta"] ?? ""),
    };
    if (continues) this.list.firstElementChild?.remove();
    this.list.prepend(this.#item(direction, type, rest));
    while (this.list.childElementCount > KEPT) this.list.lastElementChild?.remove();
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
      type === "error" ? "error" : direction,
      element("time", "", time),
      element("b", "", what.filter(Boolean).join(" ")),
      element("span", "", JSON.stringify(fields)),
    );
    item.title = JSON.stringify(fields, null, 2);
    return item;
  }
}
