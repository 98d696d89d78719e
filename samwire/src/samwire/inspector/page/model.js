/** What has happened, made of the journal's entries: one item for each thing that one can look at. */

/** @typedef {{id: number, at_ms: number, kind: string, [field: string]: any}} Entry */

/**
 * @typedef {object} Item
 * @property {string} key
 * @property {"connection" | "invocation" | "message" | "post" | "close" | "fault"} type
 * @property {number} at_ms
 * @property {string} connection id of the connection it belongs to, or ""
 * @property {Record<string, any>} fields
 */

const KEPT = 2000;

/** Items by key, oldest first. */
export class Model {
  constructor() {
    /** @type {Map<string, Item>} */
    this.items = new Map();
  }

  /**
   * Take an entry; returns the item that it made or changed.
   * @param {Entry} entry
   * @returns {Item}
   */
  add(entry) {
    const item = this.#itemOf(entry);
    this.items.set(item.key, item);
    for (const key of this.items.keys()) {
      if (this.items.size <= KEPT) break;
      this.items.delete(key);
    }
    return item;
  }

  clear() {
    this.items.clear();
  }

  /** @param {string} id */
  ofConnection(id) {
    return [...this.items.values()].filter((item) => item.connection === id && item.type !== "connection");
  }

  /** @param {Entry} entry @returns {Item} */
  #itemOf(entry) {
    switch (entry.kind) {
      case "connected":
      case "refused":
      case "disconnected":
        return this.#changed("connection", `connection/${entry["connection_id"]}`, entry, entry["connection_id"]);
      case "invocation_started":
        return this.#started(entry);
      case "invocation_ended":
        return this.#ended(entry);
      case "post_connection":
      case "get_connection":
      case "delete_connection":
        return this.#changed(entry.kind === "delete_connection" ? "close" : "post", `${entry.id}`, entry, entry["connection_id"]);
      case "fault":
        return this.#changed("fault", `${entry.id}`, entry, "");
      default:
        return this.#changed("message", `${entry.id}`, entry, entry["connection_id"] ?? "");
    }
  }

  /** Retries of an event share its request id: each is an item of its own. @param {Entry} entry @returns {Item} */
  #started(entry) {
    const item = this.#changed("invocation", `invocation/${entry.id}`, entry, connectionOf(entry["event"]));
    return { ...item, fields: { ...item.fields, running: true } };
  }

  /** @param {Entry} entry @returns {Item} */
  #ended(entry) {
    const running = [...this.items.values()].find(
      (item) => item.fields["running"] && item.fields["request_id"] === entry["request_id"],
    );
    const { id, at_ms, kind, ...fields } = entry;
    if (!running) return this.#changed("invocation", `invocation/${id}`, entry, "");
    return { ...running, fields: { ...running.fields, ...fields, running: false } };
  }

  /**
   * @param {Item["type"]} type
   * @param {string} key
   * @param {Entry} entry
   * @param {string} connection
   * @returns {Item}
   */
  #changed(type, key, entry, connection) {
    const before = this.items.get(key);
    const { id, at_ms, kind, ...fields } = entry;
    return {
      key,
      type,
      at_ms: before?.at_ms ?? at_ms,
      connection,
      fields: { ...before?.fields, ...fields, [`${kind}_at_ms`]: at_ms, kind },
    };
  }
}

/** The connection that a function's event comes from. @param {string} event */
function connectionOf(event) {
  try {
    return String(JSON.parse(event)?.requestContext?.connectionId ?? "");
  } catch {
    return "";
  }
}
