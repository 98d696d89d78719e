/** Which parts of a reply were said only to fill a silence, while a tool ran. */

/** @typedef {import("./messages.js").Span} Span */

/**
 * @param {readonly Span[]} fillers of a text, as places in the string
 * @param {string} text so far
 * @param {import("./messages.js").ReplyText} more what follows it
 * @returns {readonly Span[]} with what follows
 */
export function withDelta(fillers, text, { delta, filler }) {
  if (!filler) return fillers;
  const end = text.length + delta.length;
  const last = fillers.at(-1);
  if (last?.[1] === text.length) return [...fillers.slice(0, -1), [last[0], end]];
  return [...fillers, [text.length, end]];
}

/**
 * @param {string} text
 * @param {readonly Span[]} [spans] counted in code points, as the protocol does
 * @returns {readonly Span[]} as places in the string
 */
export function placesIn(text, spans = []) {
  const characters = Array.from(text);
  const place = (/** @type {number} */ count) => characters.slice(0, count).join("").length;
  return spans.map(([start, end]) => [place(start), place(end)]);
}

/**
 * Cut a text where a filler begins or ends.
 * @param {string} text
 * @param {readonly Span[]} fillers places in the string
 * @returns {{text: string, filler: boolean}[]} none of them empty
 */
export function partsOf(text, fillers) {
  const parts = [];
  let at = 0;
  for (const [start, end] of fillers) {
    parts.push({ text: text.slice(at, start), filler: false });
    parts.push({ text: text.slice(Math.max(at, start), end), filler: true });
    at = Math.max(at, end);
  }
  parts.push({ text: text.slice(at), filler: false });
  return parts.filter((part) => part.text);
}
