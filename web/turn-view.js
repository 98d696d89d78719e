/** One turn on the page: what was said, the reply, and how far it has been heard. Its times are elsewhere. */
import { element } from "./elements.js";
import { TurnMetrics } from "./turn-metrics.js";
import { ToolCalls } from "./tool-calls.js";
import { heardText, partsOf, placesIn, withDelta } from "parley-client";

/** @typedef {import("parley-client/messages.js").TurnEnd} TurnEnd */
/** @typedef {import("parley-client/messages.js").Word} Word */

/** Quieter than this is a pause, not a first sound. */
const AUDIBLE = 0.005;

export class TurnView {
  #said = element("p", "said");
  #heard = element("span", "heard");
  /** @type {HTMLElement} */
  #rest = element("span", "rest");
  #reply = element("p", "reply", this.#heard, this.#rest);
  // Sides and colours say to the eye whose words they are.
  #user = element("h2", "hidden", "You:");
  #assistant = element("h2", "hidden", "Reply:");
  #metricsView = new TurnMetrics();
  #calls = new ToolCalls();
  #text = "";
  /** Where something was said only to fill a silence.
   * @type {readonly import("parley-client/messages.js").Span[]} */
  #fillers = [];
  /** @type {Word[]} */
  #words = [];
  #heardWords = 0;
  /** Where it was cut off.
   * @type {string | undefined} */
  #heardText;
  #heardIsEstimated = false;
  hasAudio = false;
  /** Called when the user wants a failed turn again. */
  onRetry = () => {};
  #retryable = false;
  /** Whether it may be sent again without being asked. */
  goesOn = () => false;

  /**
   * @param {{list: HTMLElement, times: HTMLElement}} places where turns are shown, and their times
   * @param {{spoken: boolean, text: string, cause?: string}} what `cause`: why the agent began it
   */
  constructor({ list, times }, { spoken, text, cause }) {
    this.root = element(
      "li",
      "turn",
      this.#user,
      this.#said,
      this.#assistant,
      this.#calls.root,
      this.#reply,
    );
    times.append(this.#metricsView.root);
    if (cause) this.root.dataset["agent"] = cause;
    this.setState("waiting");
    this.setSaid(text, !spoken);
    list.append(this.root);
  }

  get text() {
    return this.#text;
  }

  /** Whether a reply is waited for, of which nothing is heard yet. */
  get isAwaited() {
    return this.isOpen && !this.hasAudio && this.root.dataset["state"] !== "listening";
  }

  /** Take it from the page. */
  remove() {
    this.root.remove();
    this.#metricsView.root.remove();
  }

  /** Whether more may come of it. */
  get isOpen() {
    return this.root.dataset["state"] !== "done";
  }

  /** The user has finished: times count from here, unless the turn has failed meanwhile. */
  listened() {
    if (this.root.dataset["state"] === "done") return;
    this.#metricsView.restart();
    this.setState("waiting");
  }

  /** @param {"listening" | "waiting" | "replying" | "done"} state */
  setState(state) {
    this.root.dataset["state"] = state;
    this.#showSpeakers();
  }

  /** In a new session a reply that had begun comes from its beginning. */
  startAgain() {
    if (this.root.dataset["state"] !== "replying") return;
    this.#text = "";
    this.#fillers = [];
    this.#calls.clear();
    this.#words = [];
    this.#heardWords = 0;
    this.#heardText = undefined;
    this.hasAudio = false;
    this.#voice(undefined);
    this.#show();
    this.setState("waiting");
  }

  /**
   * @param {string} text
   * @param {boolean} final
   */
  setSaid(text, final) {
    this.#said.textContent = text;
    this.#said.dataset["final"] = String(final);
    this.#metricsView.name(text);
    this.#showSpeakers();
  }

  /** @param {string} text as it was understood */
  understood(text) {
    this.setSaid(text, true);
    this.#metricsView.mark("transcript");
  }

  /** @param {import("parley-client/messages.js").ReplyText} more */
  addReply(more) {
    this.setState("replying");
    this.#metricsView.mark("first text");
    this.#fillers = withDelta(this.#fillers, this.#text, more);
    this.#text += more.delta;
    this.#show();
  }

  /** @param {import("./tool-calls.js").Call} call as it stands now */
  showCall(call) {
    this.#calls.show(call);
    this.#showSpeakers();
  }

  /** @param {Word[]} words that sound has come for */
  addWords(words) {
    this.hasAudio = true;
    this.#words.push(...words);
    this.#voice("on");
  }

  /**
   * @param {number} playedMs of the reply's audio
   * @param {number} level
   */
  progress(playedMs, level) {
    if (level > AUDIBLE) this.#metricsView.mark("first sound");
    const words = this.#words.filter(([, startMs]) => startMs <= playedMs).length;
    if (words === this.#heardWords) return;
    this.#heardWords = words;
    this.#show();
  }

  /** All of its audio has been played. */
  played() {
    this.#voice("over");
  }

  /** @param {number} playedMs the rest will not be heard */
  cut(playedMs) {
    if (this.#words.length) this.#heardText = heardText(this.#text, this.#words, playedMs);
    this.progress(playedMs, 0);
    if (this.hasAudio) this.#voice("cut");
    this.#show();
  }

  /** @param {import("parley-client/messages.js").Message} message with a reply of before */
  recall({ text, heard, heard_estimated: estimated = false, fillers, tools = [] }) {
    this.#text = text;
    this.#fillers = placesIn(text, fillers);
    for (const name of tools) this.#calls.show({ name });
    this.setState("done");
    if (typeof heard === "string") this.#cutAfter(heard, estimated);
    this.#show();
  }

  /** @param {string | null | undefined} language ISO 639 code; a screen reader's voice follows it */
  setLanguage(language) {
    if (language) this.#said.lang = this.#reply.lang = language;
  }

  /**
   * @param {import("parley-client").Problem} problem
   * @param {string} sentence for a person
   */
  fail(problem, sentence) {
    if (sentence) this.root.append(element("p", "problem", sentence));
    this.#retryable = problem.retryable;
    this.#calls.giveUp();
    this.setState("done");
  }

  /** What was said, as plain text. */
  export() {
    const voice = this.#reply.dataset["voice"];
    const reply = voice === "cut" ? `${this.#heard.textContent} [interrupted]` : this.#text;
    const said = this.#said.textContent;
    return `${said ? `You: ${said}\n` : ""}${reply ? `Reply: ${reply}\n` : ""}`;
  }

  /** @param {TurnEnd} end */
  finish(end) {
    this.setState("done");
    this.#metricsView.mark("total");
    this.#metricsView.show(end.metrics);
    this.setLanguage(end.language);
    if (typeof end.heard === "string") {
      this.#cutAfter(end.heard, end.heard_estimated ?? false);
      this.#show();
    }
    // What the agent began by itself is not the user's to try again.
    const isUsers = !this.root.dataset["agent"];
    if (!isUsers || end.reason !== "failed" || !(end.retryable ?? this.#retryable)) return;
    // What a dead function had called is recorded, and nothing of it runs twice: the turn goes on.
    if (end.code === "internal" && this.#calls.any && this.goesOn()) {
      queueMicrotask(() => this.onRetry());
    } else {
      this.#offerRetry();
    }
  }

  #offerRetry() {
    const again = element("button", "again", "Try again");
    again.type = "button";
    again.addEventListener("click", () => {
      again.remove();
      this.onRetry();
    });
    this.root.append(again);
  }

  /**
   * @param {string} heard
   * @param {boolean} estimated
   */
  #cutAfter(heard, estimated) {
    this.#heardIsEstimated = estimated;
    this.#voice("cut");
    this.#tellEstimate();
    // By its letters: sessions from before may have kept other white space.
    const letters = heard.replace(/\s/g, "").length;
    this.#heardText = new RegExp(`^(?:\\s*\\S){${letters}}`).exec(this.#text)?.[0] ?? this.#text;
  }

  /**
   * How the sound stands to the text: what was cut off is deleted, not only crossed out.
   * @param {"on" | "over" | "cut" | undefined} how
   */
  #voice(how) {
    const before = this.#reply.dataset["voice"];
    if (how) this.#reply.dataset["voice"] = how;
    else delete this.#reply.dataset["voice"];
    if ((how === "cut") === (before === "cut")) return;
    const rest = element(how === "cut" ? "del" : "span", "rest", this.#rest.textContent ?? "");
    this.#reply.replaceChildren(this.#heard, rest);
    if (how === "cut") rest.before(element("span", "hidden", " – not heard: "));
    this.#rest = rest;
  }

  /** Where it was cut off is known to the clause only, if the voice told no times. */
  #tellEstimate() {
    if (!this.#heardIsEstimated) return;
    this.#rest.title =
      "Roughly from here it was not heard: this voice does not say when its words sound.";
    const label = this.#rest.previousElementSibling;
    if (label && label !== this.#heard) label.textContent = " – roughly from here not heard: ";
  }

  /**
   * A part of the reply, in which fillers can be told from the answer.
   * @param {number} from
   * @param {number} to
   */
  #shown(from, to) {
    const within = (/** @type {number} */ place) => Math.min(Math.max(place, from), to) - from;
    const fillers = this.#fillers.map(
      ([start, end]) => /** @type {[number, number]} */ ([within(start), within(end)]),
    );
    return partsOf(this.#text.slice(from, to), fillers).map(({ text, filler }) => {
      if (!filler) return text;
      const shown = element("i", "filler", text);
      shown.title = "Said while something was being looked up or done.";
      return shown;
    });
  }

  #showSpeakers() {
    const isUsers = !this.root.dataset["agent"];
    this.#user.hidden = !isUsers || (!this.isOpen && !this.#said.textContent);
    this.#assistant.hidden = !this.#text && this.#calls.root.hidden;
  }

  #show() {
    const begun = this.#words.slice(0, this.#heardWords);
    const words = this.#heardText ?? heardText(this.#text, begun, Infinity);
    const heard = words + (/^\s*/.exec(this.#text.slice(words.length))?.[0] ?? "");
    this.#heard.replaceChildren(...this.#shown(0, heard.length));
    this.#rest.replaceChildren(...this.#shown(heard.length, this.#text.length));
    const label = this.#rest.previousElementSibling;
    if (label instanceof HTMLElement && label !== this.#heard) label.hidden = !this.#rest.textContent;
    this.#showSpeakers();
  }
}
