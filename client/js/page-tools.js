/**
 * The functions that an application offers to the agent. Each call runs once, however often it is
 * asked for: by another attempt at the turn, over another connection, or by a replay. Its answer is
 * kept, and sent until the server has it.
 */
import { startTimer } from "./delay.js";
import { checkBytes, checkWellFormed } from "./message-checks.js";
import { Problem } from "./problem.js";

/** @typedef {import("./messages.js").ClientCall} ClientCall */
/** @typedef {import("./messages.js").ToolResult} ToolResult */

/**
 * @typedef {object} Call What a function is told besides its arguments.
 * @property {string} callId The call: the same for every attempt, so it can be an idempotency key.
 * @property {string} turnId The turn that it belongs to.
 * @property {AbortSignal} signal Aborted when the turn is interrupted, the call takes longer than
 *   the server waits, or the session is lost.
 */

/** A function of the application. Its result is text, or is sent as JSON; without one, the agent is
 * told `done`. What it throws is told the agent as the reason why it failed.
 * @typedef {(given: Record<string, any>, call: Call) => unknown} PageTool */

/**
 * @typedef {object} PageToolsParts
 * @property {(message: ToolResult) => boolean} send whether it left
 * @property {(turnId: string) => "open" | "interrupted" | "unknown"} turnState unknown: another
 *   page, or this one before a reload, may have run what it asked for
 * @property {() => number} maxMessageBytes
 * @property {(problem: Problem) => void} onFailed a function failed: the agent has been told
 */

/**
 * @typedef {object} Kept
 * @property {string} turnId
 * @property {AbortController} controller
 * @property {ReturnType<typeof setTimeout> | undefined} [timer]
 * @property {ToolResult} [answer]
 * @property {boolean} isWanted whether the server may still wait for the answer
 */

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const MAX_TOOLS = 64;
const MAX_RESULT_CHARS = 8_000;
const MAX_ERROR_CHARS = 1_000;
/** How many calls are remembered, the newest of a session. */
const CALLS_KEPT = 500;

export class PageTools {
  /** @type {Map<string, Kept>} */
  #calls = new Map();

  /**
   * @param {Record<string, PageTool>} functions by name
   * @param {PageToolsParts} parts
   * @throws {Problem} `bad_request`
   */
  constructor(functions, parts) {
    this.functions = new Map(Object.entries(functions));
    this.parts = parts;
    for (const [name, run] of this.functions) checkTool(name, run);
    if (this.functions.size <= MAX_TOOLS) return;
    const text = `There are ${this.functions.size} tools; at most ${MAX_TOOLS} can be offered.`;
    throw new Problem("bad_request", text);
  }

  /** What `init` offers. */
  get names() {
    return [...this.functions.keys()];
  }

  /** @param {ClientCall} call that the server asks for, perhaps again */
  called(call) {
    const known = this.#calls.get(call.call_id);
    if (known) {
      known.isWanted = true;
      this.#send(known);
      return;
    }
    const state = this.parts.turnState(call.turn_id);
    if (state === "interrupted") return; // nobody waits for it, and it must not act
    const kept = this.#keep(call);
    if (state === "open") void this.#run(call, kept);
    else this.#answer(call, kept, { error: "The page was loaded again: it may or may not have run." });
  }

  /** @param {string} callId of which the server says that it has ended */
  ended(callId) {
    const kept = this.#calls.get(callId);
    if (kept) kept.isWanted = false;
  }

  /**
   * @param {string} turnId
   * @param {boolean} isInterrupted
   */
  turnEnded(turnId, isInterrupted) {
    for (const kept of this.#calls.values()) {
      if (kept.turnId !== turnId) continue;
      kept.isWanted = false;
      if (isInterrupted) this.#abort(kept, "The turn was interrupted.");
    }
  }

  /** There is another connection: what may not have arrived is said again. */
  repeat() {
    for (const kept of this.#calls.values()) this.#send(kept);
  }

  /** The session is lost, and its calls with it. */
  forget() {
    for (const kept of this.#calls.values()) this.#abort(kept, "The session is over.");
    this.#calls.clear();
  }

  /** @param {ClientCall} call */
  #keep({ call_id, turn_id: turnId }) {
    /** @type {Kept} */
    const kept = { turnId, controller: new AbortController(), isWanted: true };
    this.#calls.set(call_id, kept);
    for (const [oldest, { answer }] of this.#calls) {
      if (this.#calls.size <= CALLS_KEPT) break;
      if (answer) this.#calls.delete(oldest);
    }
    return kept;
  }

  /**
   * @param {ClientCall} call
   * @param {Kept} kept
   */
  async #run(call, kept) {
    const { name, call_id: callId, turn_id: turnId, timeout_ms: timeoutMs } = call;
    const run = this.functions.get(name);
    if (!run) {
      this.#answer(call, kept, { error: `This application has no function "${name}".` });
      return;
    }
    const { signal } = kept.controller;
    const late = `The function took longer than ${timeoutMs} ms.`;
    let isLate = false;
    kept.timer = startTimer(() => {
      isLate = true;
      this.#abort(kept, late);
    }, timeoutMs);
    try {
      const result = await run(call.arguments, { callId, turnId, signal });
      this.#answer(call, kept, { result: this.#told(result, call) });
    } catch (cause) {
      const error = isLate ? late : reasonOf(cause);
      // It may have acted: the agent hears from the server's own clock that nobody knows.
      if (!isLate) this.#answer(call, kept, { error });
      const text = `The function "${name}" failed: ${error}`;
      this.parts.onFailed(new Problem("tool_failed", text, { turnId, cause }));
    } finally {
      clearTimeout(kept.timer);
    }
  }

  /**
   * @param {unknown} result
   * @param {ClientCall} call
   */
  #told(result, { call_id, turn_id }) {
    const text = textOf(result);
    const chars = Array.from(text).length;
    if (chars > MAX_RESULT_CHARS) {
      const has = `The result has ${chars.toLocaleString("en")} characters`;
      const most = MAX_RESULT_CHARS.toLocaleString("en");
      throw new Problem("too_large", `${has}; at most ${most} can be sent.`);
    }
    checkWellFormed(text, "result");
    const message = JSON.stringify({ type: "tool_result", turn_id, call_id, result: text });
    const bytes = new TextEncoder().encode(message).length;
    checkBytes(bytes, this.parts.maxMessageBytes(), "result");
    return text;
  }

  /**
   * @param {ClientCall} call
   * @param {Kept} kept
   * @param {{result: string} | {error: string}} what
   */
  #answer({ call_id, turn_id }, kept, what) {
    kept.answer = { type: "tool_result", turn_id, call_id, ...what };
    this.#send(kept);
  }

  /** @param {Kept} kept */
  #send({ answer, isWanted }) {
    if (answer && isWanted) this.parts.send(answer);
  }

  /**
   * @param {Kept} kept
   * @param {string} why
   */
  #abort({ answer, controller, timer }, why) {
    clearTimeout(timer);
    if (!answer) controller.abort(new DOMException(why, "AbortError"));
  }
}

/**
 * @param {string} name
 * @param {unknown} run
 */
function checkTool(name, run) {
  if (!NAME.test(name)) {
    const allowed = "Letters, digits, _ and - are allowed, 1 to 64 of them.";
    throw new Problem("bad_request", `tools: "${name}" is no name of a tool. ${allowed}`);
  }
  if (typeof run === "function") return;
  throw new Problem("bad_request", `tools.${name} must be a function, not ${typeof run}.`);
}

/**
 * @param {unknown} result
 * @returns {string}
 */
function textOf(result) {
  if (typeof result === "string") return result;
  if (result === undefined) return "done";
  /** @type {string | undefined} */
  const json = JSON.stringify(result);
  if (json === undefined) throw new TypeError(`The result is a ${typeof result}, which is no JSON.`);
  return json;
}

/** @param {unknown} cause */
function reasonOf(cause) {
  const { message = "" } = /** @type {Partial<Error>} */ (Object(cause));
  const text = String(message || cause).replace(/\p{Surrogate}/gu, "\ufffd");
  return Array.from(text).slice(0, MAX_ERROR_CHARS).join("");
}
