/**
 * `<parley-talk>`: a conversation in any page, by one tag. Attributes say with whom, `parley-…` events
 * what happens; the inside is a shadow root, so neither page nor element disturbs the other's styles.
 */
import { assemble } from "./assembly.js";
import { tokenFrom } from "./page-token.js";
import { Press, watchPress } from "./press.js";
import { Problem } from "./problem.js";
import { SETTINGS, TalkAttributes, WITH_WHOM } from "./talk-attributes.js";
import { TalkPanel } from "./talk-panel.js";
import { announcement, shownTurns, stateOf, TurnSteps } from "./talk-state.js";
import { textsOf } from "./talk-texts.js";

/** @typedef {import("./talk-state.js").TalkState} TalkState */
/** @typedef {import("./conversation-view.js").Picture} Picture */
/** @typedef {ReturnType<typeof assemble>} Parts */

/** Typing helps where the microphone does not. */
const NO_MICROPHONE = ["microphone_denied", "microphone_missing"];
/** @type {Picture} */
const NOTHING = {
  state: "idle",
  canSpeak: false,
  transport: "websocket",
  isDeaf: false,
  turns: [],
  isListening: false,
  handsFree: false,
  sound: "idle",
};

/** Those that listen: a page has one user.
 * @type {Set<ParleyTalk>} */
const listening = new Set();

export class ParleyTalk extends TalkAttributes {
  /** @type {TalkPanel} */
  #panel;
  /** @type {Parts | undefined} */
  #parts;
  /** @type {(() => void)[]} */
  #stops = [];
  #picture = NOTHING;
  /** @type {TalkState} */
  #state = "idle";
  /** The last one that was reported, until something else is tried.
   * @type {Problem | undefined} */
  #problem;
  /** The one that the page shows itself.
   * @type {Problem | undefined} */
  #prevented;
  /** The one that was read out last.
   * @type {Problem | undefined} */
  #told;
  #steps = new TurnSteps();
  /** Hands-free has been begun, and not ended. */
  #isStarted = false;
  #isMuted = false;
  /** How many wait for the microphone. */
  #openings = 0;
  #isDrawDue = false;
  #isRenewalDue = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const panel = (this.#panel = new TalkPanel(root));
    const press = new Press({
      isOn: () => this.#openings > 0 || this.#picture.isListening,
      begin: () => void this.start(),
      end: () => void this.#parts?.actions.stopSpeaking(),
    });
    watchPress(panel.button, press, () => this.#isHeld);
    panel.button.addEventListener("click", () => {
      if (!this.#isHeld) void (this.#isStarted ? this.stop() : this.start());
    });
    panel.mute.addEventListener("click", () => void this.mute(!this.#isMuted));
    panel.interrupt.addEventListener("click", () => void this.interrupt());
    panel.form.addEventListener("submit", (event) => this.#submit(event));
    root.addEventListener("keydown", (event) => {
      if (/** @type {KeyboardEvent} */ (event).key === "Escape") void this.interrupt();
    });
    // After a start without a gesture the sound waits for one.
    root.addEventListener("pointerdown", () => this.#parts?.actions.unlock());
  }

  /** What the round button shows. */
  get state() {
    return this.#state;
  }

  /** Whether hands-free is on and does not listen. */
  get muted() {
    return this.#isMuted;
  }

  /** The conversation beneath, for everything else; undefined before the first start and after `stop`. */
  get conversation() {
    return this.#parts?.actions.conversation;
  }

  /**
   * Connect and listen, as `mode` says. Call it from a user's gesture. What goes wrong is a
   * `parley-error`.
   */
  async start() {
    const parts = this.#connected();
    if (!parts) return;
    if (this.#isHeld) {
      await this.#listen(async () => void (await begun(parts)));
      return;
    }
    this.#isStarted = true;
    if (!this.#isMuted) await this.#listen(() => parts.actions.startHandsFree());
  }

  /** End the conversation: the next start begins another. */
  async stop() {
    const parts = this.#parts;
    this.#problem = undefined;
    this.#forget({ keepsTurns: true });
    if (!parts) return;
    await parts.actions.end();
    await parts.actions.player.close();
  }

  /**
   * Say something as if it had been typed. It interrupts what is running.
   * @param {string} text
   */
  say(text) {
    this.#connected()?.actions.say(text).catch(() => undefined); // an event tells
  }

  /**
   * Let go of the microphone, or listen again. What is being said ends there and is answered.
   * @param {boolean} [isMuted]
   */
  async mute(isMuted = true) {
    const parts = this.#parts;
    if (!this.#isHeld) this.#isMuted = isMuted;
    this.#drawSoon();
    if (isMuted) {
      if (parts) await this.#stopListening(parts);
      if (this.#isMuted) parts?.actions.microphone.release();
    } else if (this.#isStarted) await this.start();
  }

  /** Stop the reply. Without one, nothing happens. */
  async interrupt() {
    await this.#parts?.actions.interrupt();
  }

  /** Focus the round button. @param {FocusOptions} [options] */
  focus(options) {
    this.#panel.button.focus(options);
  }

  /** @internal */
  connectedCallback() {
    this.takeEarly();
    this.#draw();
  }

  /** @internal */
  disconnectedCallback() {
    // An element that is moved is connected again at once.
    queueMicrotask(() => {
      if (!this.isConnected) this.#leave();
    });
  }

  /**
   * @internal
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} value
   */
  attributeChangedCallback(name, before, value) {
    if (before === value) return;
    if (WITH_WHOM.includes(name)) this.#renewSoon();
    const setting = SETTINGS.find((each) => each === name);
    if (setting && value) this.#configure({ [setting]: value });
    if (name === "mode" && this.#parts) {
      this.#isStarted = this.#isMuted = false;
      void this.#stopListening(this.#parts);
    }
    this.#drawSoon();
  }

  get #isHeld() {
    return this.mode === "push-to-talk";
  }

  /** @returns {Parts | undefined} connected, or about to be; nothing if the element is in no page */
  #connected() {
    if (!this.isConnected) {
      this.#report(new Problem("not_connected", "This parley-talk is in no page. Append it first."));
      return undefined;
    }
    this.#problem = undefined;
    const parts = (this.#parts ??= this.#assembled());
    parts.actions.unlock();
    if (!parts.actions.conversation.canSpeak) parts.begin();
    this.#drawSoon();
    return parts;
  }

  /** @returns {Parts} */
  #assembled() {
    const parts = assemble({
      url: this.url,
      httpUrl: this.httpUrl || undefined,
      agent: this.agent || undefined,
      settings: this.#settings(),
      token: () => this.#askToken(),
      tools: this.#pageTools(),
    });
    const { conversation, microphone, player } = parts.actions;
    this.#stops = [
      parts.view.subscribe(() => this.#drawSoon()),
      conversation.on("error", (problem) => this.#report(problem)),
      conversation.on("state", ({ state, problem }) => {
        if (problem && state === "failed") this.#report(problem);
        if (!conversation.canSpeak) this.#isStarted = this.#isMuted = false;
      }),
      conversation.on("hands_free", ({ enabled }) => {
        if (!enabled && !this.#isMuted) this.#isStarted = false;
      }),
      conversation.on("custom", ({ name, data, turn_id: turnId }) => {
        this.#dispatch("parley-custom", { name, data, turnId });
      }),
      microphone.on("level", ({ level }) => {
        if (this.#state === "listening") this.#panel.level(level);
      }),
      player.on("progress", ({ level }) => {
        if (this.#state === "speaking") this.#panel.level(level);
      }),
    ];
    return parts;
  }

  /** @returns {import("./messages.js").Settings} */
  #settings() {
    const given = SETTINGS.map((name) => [name, this[name]]);
    return Object.fromEntries(given.filter(([, value]) => value));
  }

  /** @param {import("./messages.js").Settings} change */
  #configure(change) {
    const conversation = this.conversation;
    if (!conversation) return;
    try {
      if (conversation.canSpeak) conversation.configure(change);
      else conversation.settings = { ...conversation.settings, ...change };
    } catch (problem) {
      this.#report(problem);
    }
  }

  /** Asked for at each attempt, so a token that was changed is used from the next one on. */
  async #askToken() {
    if (this.getToken) return this.getToken();
    return this.tokenUrl ? tokenFrom(new URL(this.tokenUrl, this.baseURI).href) : this.token;
  }

  /** What calls the functions of now. */
  #pageTools() {
    /** @type {(name: string) => import("./page-tools.js").PageTool} */
    const call =
      (name) =>
      (...given) =>
        this.tools?.[name]?.(...given);
    return Object.fromEntries(Object.keys(this.tools ?? {}).map((name) => [name, call(name)]));
  }

  /** @param {() => Promise<void>} begin to listen; fails with a `Problem` */
  async #listen(begin) {
    for (const other of [...listening]) if (other !== this) other.#giveWay();
    listening.add(this);
    this.#openings += 1;
    const parts = this.#parts;
    try {
      await begin();
    } catch (problem) {
      // Who has left or ended it meanwhile knows why it does not listen.
      if (parts === this.#parts && listening.has(this)) {
        this.#isStarted = false;
        this.#report(problem);
      }
    }
    this.#openings -= 1;
    this.#drawSoon();
  }

  /** Another one listens: it would hear this one's reply, and both would answer. */
  #giveWay() {
    void this.interrupt();
    void this.mute();
    listening.delete(this);
  }

  /** @param {Parts} parts */
  async #stopListening({ actions }) {
    listening.delete(this);
    await Promise.all([actions.stopHandsFree(), actions.stopSpeaking()]);
  }

  /** Attributes change one by one: what follows from all of them together is done once. */
  #renewSoon() {
    if (this.#isRenewalDue || !this.#parts) return;
    this.#isRenewalDue = true;
    queueMicrotask(() => {
      this.#isRenewalDue = false;
      const wasStarted = this.#isStarted;
      this.#leave();
      this.#forget({ keepsTurns: false });
      if (wasStarted && this.isConnected) void this.start();
    });
  }

  /** Nothing of it goes on without a page around it; the session can be resumed. */
  #leave() {
    listening.delete(this);
    this.#isStarted = this.#isMuted = false;
    this.#parts?.leave();
  }

  /**
   * The next start has another conversation.
   * @param {{keepsTurns: boolean}} options whether the lines of this one stay until then
   */
  #forget({ keepsTurns }) {
    listening.delete(this);
    this.#isStarted = this.#isMuted = false;
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.#picture = keepsTurns ? { ...NOTHING, turns: this.#picture.turns } : NOTHING;
    this.#parts = undefined;
    this.#drawSoon();
  }

  /** @param {SubmitEvent} event */
  #submit(event) {
    event.preventDefault();
    const { input } = this.#panel;
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    this.say(text);
  }

  #drawSoon() {
    if (this.#isDrawDue) return;
    this.#isDrawDue = true;
    queueMicrotask(() => {
      this.#isDrawDue = false;
      this.#draw();
    });
  }

  #draw() {
    const panel = this.#panel;
    const picture = (this.#picture = this.#parts?.view.snapshot() ?? this.#picture);
    const problem = [this.#problem ?? picture.problem].find((each) => each !== this.#prevented);
    const state = stateOf(picture, { isOpening: this.#openings > 0, isMuted: this.#isMuted, problem });
    const before = this.#state;
    this.#state = state;
    const texts = textsOf((name) => this.getAttribute(name));
    panel.show({
      state,
      texts,
      turns: shownTurns(picture),
      problem: problem?.message,
      isHeld: this.#isHeld,
      isOn: this.#isStarted,
      isMuted: this.#isMuted,
      canMute: this.#isStarted,
      canInterrupt: state === "speaking" || state === "thinking",
      hasText: this.text || NO_MICROPHONE.includes(problem?.code ?? ""),
    });
    const news = problem && problem !== this.#told ? problem.message : announcement(before, state, texts);
    if (news) panel.tell(news);
    this.#told = problem;
    if (state !== "listening" && state !== "speaking") panel.level(0);
    if (before !== state) this.#dispatch("parley-state", { state, before });
    for (const turn of this.#steps.of(picture.turns)) this.#dispatch("parley-turn", turn);
  }

  /** @param {unknown} cause of what went wrong; the same is told once */
  #report(cause) {
    const problem =
      cause instanceof Problem ? cause : new Problem("internal", String(cause), { cause });
    if (problem === this.#problem || problem === this.#prevented) return;
    this.#problem = problem;
    const { code, message, retryable, turnId } = problem;
    const isLeftToUs = this.#dispatch("parley-error", { code, message, retryable, turnId, problem });
    if (!isLeftToUs) {
      this.#prevented = problem;
      this.#problem = undefined;
    }
    this.#drawSoon();
  }

  /**
   * @param {string} name
   * @param {object} detail
   * @returns {boolean} false if a listener has prevented what the element does by itself
   */
  #dispatch(name, detail) {
    const options = { detail, bubbles: true, composed: true, cancelable: true };
    return this.dispatchEvent(new CustomEvent(name, options));
  }
}

/**
 * Begin to speak. A turn that fails tells it by an event.
 * @param {Parts} parts
 * @returns {Promise<void>} when the user is listened to, or will not be
 */
async function begun({ actions, view }) {
  const turn = actions.startSpeaking();
  let stopFollowing = () => {};
  /** @type {Promise<void>} */
  const isListenedTo = new Promise((resolve) => {
    stopFollowing = view.subscribe(() => turn.begun && resolve());
  });
  const isOver = turn.then(
    () => undefined,
    () => undefined,
  );
  await Promise.race([isListenedTo, isOver]);
  stopFollowing();
}
