/** How items are said in words: one line each, and what their details are. */

/** @typedef {import("./model.js").Item} Item */

/** @param {number} at_ms */
export function clock(at_ms) {
  return new Date(at_ms).toLocaleTimeString([], { hour12: false }) + "." + String(at_ms % 1000).padStart(3, "0");
}

/** @param {number} ms */
export function duration(ms) {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

/** @param {number} count */
export function bytes(count) {
  return count >= 10_000 ? `${Math.round(count / 1024)} KB` : `${count} B`;
}

/**
 * The parts of a row.
 * @param {Item} item
 * @returns {{name: string, text: string, figures: string[], state: "good" | "bad" | "busy" | "quiet"}}
 */
export function row(item) {
  const fields = item.fields;
  switch (item.type) {
    case "connection":
      return connectionRow(item);
    case "invocation":
      return {
        name: fields["function"],
        text: fields["error"] ? errorLine(fields["result"]) : about(fields["event"]),
        figures: [
          ...(fields["cold"] ? ["cold"] : []),
          ...(fields["running"] ? ["running"] : [duration(fields["duration_ms"] ?? 0)]),
          ...(fields["memory_mb"] ? [`${fields["memory_mb"]} MB`] : []),
        ],
        state: fields["running"] ? "busy" : fields["error"] ? "bad" : "good",
      };
    case "message":
      return {
        name: fields["kind"] === "answer" ? "answer out" : "message in",
        text: firstLine(fields["body"]),
        figures: [bytes(fields["bytes"] ?? 0)],
        state: "quiet",
      };
    case "post":
    case "close":
      return {
        name: { post_connection: "post out", get_connection: "look up" }[String(fields["kind"])] ?? "close",
        text: firstLine(fields["body"] ?? fields["connection_id"]),
        figures: [...(fields["status"] < 300 ? [] : [String(fields["status"])]), bytes(fields["bytes"] ?? 0)],
        state: fields["status"] < 300 ? "quiet" : "bad",
      };
    case "fault":
      return { name: fields["fault"], text: fields["to"], figures: [], state: "bad" };
  }
}

/** @param {Item} item @returns {ReturnType<typeof row>} */
function connectionRow(item) {
  const { kind, code, reason, status, connection_id: id } = item.fields;
  if (kind === "refused") return { name: "refused", text: id, figures: [String(status)], state: "bad" };
  if (kind === "connected") return { name: "connected", text: id, figures: [], state: "busy" };
  const lived = (item.fields["disconnected_at_ms"] ?? 0) - item.at_ms;
  return {
    name: "disconnected",
    text: [id, reason].filter(Boolean).join("  "),
    figures: [String(code), duration(lived)],
    state: code === 1000 || code === 1001 || code === 1005 ? "quiet" : "bad",
  };
}

/** What an event is about: its route, or its beginning. @param {string} event */
function about(event) {
  try {
    const context = JSON.parse(event).requestContext;
    if (context?.routeKey) return `${context.routeKey}  ${context.connectionId ?? ""}`;
  } catch {
    // an event that was cut short is shown as it is
  }
  return firstLine(event);
}

/** An error object in a line. @param {string} result */
function errorLine(result) {
  try {
    const { errorType, errorMessage } = JSON.parse(result);
    return firstLine(`${errorType}: ${errorMessage}`);
  } catch {
    return firstLine(result);
  }
}

/** @param {unknown} text */
function firstLine(text) {
  return String(text ?? "").slice(0, 300).replaceAll("\n", " ");
}

/** Everything that a filter looks at. @param {Item} item */
export function searched(item) {
  return JSON.stringify(item.fields).toLowerCase();
}
