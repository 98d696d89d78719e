/** How long to wait, whatever was said or set: a timer that cannot wait so long fires at once. */

/** What a timer holds: a signed 32-bit integer, nearly 25 days ("Timers", HTML standard; Node.js alike). */
export const LONGEST_MS = 2 ** 31 - 1;

/**
 * What a server says to wait.
 * @param {unknown} ms
 * @returns {number | undefined} nothing if that is no time; never more than a timer can wait
 */
export function toldMs(ms) {
  if (typeof ms !== "number" || !(ms >= 0)) return undefined;
  return Math.min(ms, LONGEST_MS);
}

/**
 * `setTimeout` that fires late, never early: `Infinity` is long.
 * @param {() => void} act
 * @param {number} ms
 */
export function startTimer(act, ms) {
  return setTimeout(act, Math.min(ms, LONGEST_MS));
}
