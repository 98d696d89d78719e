/**
 * What was heard of a reply: the protocol's own rule, so that both sides say the same
 * (docs/protocol.md, "What was heard").
 */

/** How far behind its place a word is looked for: it may have been spoken in other words. */
const SEARCHED_CHARS = 40;

/**
 * The reply's text up to the last word whose sound had ended. Half a word counts as nothing.
 * @param {string} text the reply's text
 * @param {readonly import("./messages.js").Word[]} words those of its `audio` events, in order
 * @param {number} playedMs how much of its audio has been heard
 */
export function heardText(text, words, playedMs) {
  let end = 0;
  for (const [word, , endMs] of words) {
    if (endMs > playedMs) break;
    const place = end + (/^\s*/.exec(text.slice(end))?.[0].length ?? 0);
    const found = text.indexOf(word, end);
    if (found >= 0 && found <= place + SEARCHED_CHARS) end = found + word.length;
  }
  return text.slice(0, end);
}
