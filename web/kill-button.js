/**
 * A button that kills the function that runs, once: only on a developer's machine, where the local
 * stack that serves the page can do so. It shows what becomes of a call whose turn is tried again.
 */
import { isThisMachine } from "./address.js";
import { setText } from "./elements.js";

const STACK = "/_local/stack.json";
const KILL = "/_local/environments/TurnFunction/kill";

export class KillButton {
  #told;
  #group;

  /**
   * @param {HTMLElement} group shown where it works
   * @param {HTMLButtonElement} button
   * @param {HTMLElement} told what has become of it
   */
  constructor(group, button, told) {
    this.#group = group;
    this.#told = told;
    button.addEventListener("click", () => void this.#kill());
  }

  /** See whether the local stack has served the page. */
  async look() {
    if (!this.#group.hidden || !isThisMachine(location.href)) return;
    this.#group.hidden = !(await isServed());
  }

  async #kill() {
    setText(this.#told, sentenceOf(await killed()));
  }
}

/** @param {number | undefined} count of what was killed */
function sentenceOf(count) {
  if (count === undefined) return "The local stack does not answer.";
  return count ? "Killed. Its turn can be tried again." : "No turn runs now.";
}

/** @returns {Promise<number | undefined>} */
async function killed() {
  try {
    const answer = await fetch(KILL, { method: "POST" });
    return answer.ok ? (await answer.json()).killed : undefined;
  } catch {
    return undefined; // nobody is there any more
  }
}

/** @returns {Promise<boolean>} */
async function isServed() {
  try {
    const { ok, headers } = await fetch(STACK);
    return ok && (headers.get("Content-Type") ?? "").startsWith("application/json");
  } catch {
    return false; // nobody is there any more
  }
}
