/** The event log: the newest first, audio by its length. */

const KEPT = 300;

export class EventLog {
  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
  }

  /**
   * @param {"in" | "out"} direction
   * @param {Record<string, any>} message
   */
  add(direction, message) {
    const { type, audio, ...rest } = message;
    const item = document.createElement("li");
    item.dataset["kind"] = type === "error" ? "error" : direction;
    const time = new Date().toISOString().slice(14, 23);
    const sound = typeof audio === "string" ? ` ${Math.round(audio.length * 0.75)} bytes` : "";
    item.textContent = `${time} ${direction === "out" ? "→" : "←"} ${type}${sound} ${JSON.stringify(rest)}`;
    item.title = item.textContent;
    this.list.prepend(item);
    while (this.list.childElementCount > KEPT) this.list.lastElementChild?.remove();
  }
}
