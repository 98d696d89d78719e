/**
 * One turn as an object: wait for its end with `await`, or follow its events with `for await`.
 * It only keeps what it is told; the conversation tells it.
 */
import { withDelta } from "./fillers.js";
import { heardText } from "./heard.js";
import { Problem } from "./problem.js";

/** @typedef {import("./event-order.js").TurnEvent} TurnEvent */

/**
 * @typedef {object} TurnResult
 * @property {string} turnId The turn.
 * @property {"completed" | "interrupted" | "cancelled"} reason `cancelled`: it was
 *   taken back before the server had heard of it
 * @property {string} said What the user said, as it was typed or understood.
 * @property {string} text What the reply says.
 * @property {string} [heard] What of it was heard, if less.
 * @property {true} [isHeardEstimated] `heard` is an estimate: the voice gave no times.
 * @property {import("./messages.js").Metrics} metrics Where the time went.
 * @property {string} [language] ISO 639 code of the reply's language, where it is detected.
 */

/** @implements {Promise<TurnResult>} */
export class Turn {
  /** What the user said: typed, or as understood so far. */
  said;
  /** The reply's text so far. */
  text = "";
  /** Where in `text` something was said only to fill a silence: `text.slice(start, end)`.
   * @type {readonly import("./messages.js").Span[]} */
  fillers = [];
  /** Whether it was taken: something was, or will be, sent.
   * @internal */
  begun = false;
  /** Whether it has ended, in whatever way. */
  ended = false;
  /** Whether its reply was interrupted. */
  interrupted = false;
  /** Whether what `heardAt` says is an estimate: the voice gave no times. */
  isHeardEstimated = false;
  /** Whether the final transcript has come.
   * @internal */
  isUnderstood = false;
  /** @type {TurnEvent[]} */
  #events = [];
  /** @type {import("./messages.js").Word[]} */
  #words = [];
  /** @type {(() => void)[]} */
  #readers = [];
  /** @type {Problem | undefined} */
  #problem;
  /** @type {(result: TurnResult) => void} */
  #resolve = () => undefined;
  /** @type {(problem: Problem) => void} */
  #reject = () => undefined;
  /** @type {Promise<TurnResult>} */
  #result = new Promise((resolve, reject) => {
    this.#resolve = resolve;
    this.#reject = reject;
  });

  /**
   * @internal
   * @param {string} id
   * @param {object} what
   * @param {boolean} what.spoken
   * @param {string} [what.said]
   * @param {number} [what.attempt] from 1
   * @param {import("./messages.js").AgentTurnCause} [what.cause]
   */
  constructor(id, { spoken, said = "", attempt = 1, cause }) {
    /** The name that the client gave it, or the server one of the agent's. */
    this.id = id;
    /** Why the agent began it; `undefined` if the user did. */
    this.cause = cause;
    /** Whether it is spoken, not typed. */
    this.spoken = spoken;
    this.said = said;
    /** Which attempt at it this is, from 1. */
    this.attempt = attempt;
    // Nobody has to wait for it: the conversation's `error` event tells as well.
    this.#result.catch(() => undefined);
  }

  /**
   * Settle with the turn's result when it has ended; fail with a `Problem` when it has failed.
   * `await turn` calls it.
   * @template A, B
   * @param {((result: TurnResult) => A | PromiseLike<A>) | null} [onEnd]
   * @param {((problem: any) => B | PromiseLike<B>) | null} [onProblem]
   */
  then(onEnd, onProblem) {
    return this.#result.then(onEnd, onProblem);
  }

  /**
   * Handle the failure alone.
   * @template B
   * @param {((problem: any) => B | PromiseLike<B>) | null} [onProblem]
   */
  catch(onProblem) {
    return this.#result.catch(onProblem);
  }

  /** Do something at the end, whatever it is. @param {(() => void) | null} [onSettled] */
  finally(onSettled) {
    return this.#result.finally(onSettled);
  }

  /** @internal */
  get [Symbol.toStringTag]() {
    return "Turn";
  }

  /** Give its events from the first to the last. Throws a `Problem` when the turn has failed. */
  async *[Symbol.asyncIterator]() {
    for (let index = 0; ; index += 1) {
      while (index >= this.#events.length && !this.ended) {
        await new Promise((/** @type {(value?: undefined) => void} */ resolve) =>
          this.#readers.push(resolve),
        );
      }
      const event = this.#events[index];
      if (event) yield event;
      else if (this.#problem) throw this.#problem;
      else return;
    }
  }

  /** @internal @param {TurnEvent} event the next */
  take(event) {
    this.#events.push(event);
    if (event.type === "transcript") {
      this.said = event.text;
      this.isUnderstood ||= event.final;
    } else if (event.type === "reply_text") {
      this.fillers = withDelta(this.fillers, this.text, event);
      this.text += event.delta;
    } else if (event.type === "audio") {
      this.#words.push(...(event.words ?? []));
      this.isHeardEstimated ||= event.estimated ?? false;
    } else if (event.type === "error") this.#problem = Problem.from(event);
    else if (event.type === "turn_end") this.#end(event);
    this.#wake();
  }

  /**
   * The reply's text up to the last word that had been heard when `playedMs` had been played;
   * `undefined` if no word has a time.
   * @param {number} playedMs
   */
  heardAt(playedMs) {
    return this.#words.length ? heardText(this.text, this.#words, playedMs) : undefined;
  }

  /** What has come of the reply is void: it begins anew.
   * @internal
   * @param {number} [attempt] at it */
  startAgain(attempt = this.attempt) {
    this.attempt = attempt;
    this.text = "";
    this.fillers = [];
    this.#words = [];
    this.isHeardEstimated = false;
    this.isUnderstood = false;
    if (!this.ended) this.#problem = undefined;
  }

  /** It never reached the server.
   * @internal */
  cancel() {
    if (this.ended) return;
    this.ended = true;
    const { id: turnId, said } = this;
    this.#resolve({ turnId, reason: "cancelled", said, text: "", metrics: {} });
    this.#wake();
  }

  /** @internal @param {Problem} problem */
  fail(problem) {
    if (this.ended) return;
    this.ended = true;
    this.#problem = problem;
    this.#reject(problem);
    this.#wake();
  }

  /** @param {import("./messages.js").TurnEnd} end */
  #end(end) {
    const { reason, metrics } = end;
    if (reason === "failed") {
      this.fail(this.#failure(end));
      return;
    }
    this.ended = true;
    this.text = end.text || this.text;
    this.#problem = undefined; // what did not end the turn: speech that goes on as text
    const { id: turnId, said, text } = this;
    const heard = end.heard ?? undefined;
    const language = end.language ?? undefined;
    /** @type {{isHeardEstimated?: true, language?: string}} */
    const more = language ? { language } : {};
    if (end.heard_estimated) more.isHeardEstimated = true;
    this.#resolve({ turnId, reason, said, text, heard, metrics, ...more });
  }

  /** @param {import("./messages.js").TurnEnd} end */
  #failure(end) {
    const told = this.#problem;
    const retryable = end.retryable ?? told?.retryable ?? false;
    const { retryAfterMs, limit } = told ?? {};
    const more = { retryable, turnId: this.id, retryAfterMs, limit, cause: told };
    const text = told?.message ?? "The service could not finish the reply.";
    return new Problem(end.code ?? told?.code ?? "internal", text, more);
  }

  #wake() {
    for (const reader of this.#readers.splice(0)) reader();
  }
}

/**
 * Why a turn is not waited for any longer.
 * @param {Turn} turn that will not end, for now
 * @param {Problem | undefined} cause none if the connection was closed on purpose
 */
export function unfinished(turn, cause) {
  const more = { retryable: true, turnId: turn.id, cause };
  return cause
    ? new Problem("connection_lost", "The connection was lost before the reply was complete.", more)
    : new Problem("closed", "The conversation was closed before the reply was complete.", more);
}
