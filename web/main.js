/** The page: shows what the conversation tells, and tells it what is pressed and typed. */
import { Conversation, Microphone, Player, Problem } from "parley-client";
import { AgentPicker } from "./agent-picker.js";
import { ownAddress, readWebSocketUrl, serverAt, tokenIn } from "./address.js";
import { ConnectionView } from "./connection-view.js";
import { codeFor, copyOnClick } from "./copy-code.js";
import { byId, setText } from "./elements.js";
import { EventLog } from "./event-log.js";
import { KillButton } from "./kill-button.js";
import { hasToken } from "./link.js";
import { Note } from "./note.js";
import { Notice } from "./notice.js";
import { addressToOpen } from "./startup.js";
import { Panel } from "./panel.js";
import { save } from "./save.js";
import { explained, isAboutSettings, sentenceOf } from "./sentences.js";
import { keepSession, keptSession, knownOf } from "./session.js";
import { SettingsForm } from "./settings-form.js";
import { SoundControls } from "./sound-controls.js";
import { stageHint, stageState } from "./stage-state.js";
import { Stage } from "./stage.js";
import { standInsNote } from "./stand-ins.js";
import { SpeechControls } from "./speech-controls.js";
import { LatencyChart } from "./latency-chart.js";
import { keepToken, tokenFor } from "./token.js";
import { sentenceOfCall } from "./tool-calls.js";
import { remember, trust, usualAddress } from "./trust.js";
import { TurnList } from "./turn-list.js";
import { Usage } from "./usage.js";

/** @typedef {import("./address.js").Address} Address */

const link = byId("link", HTMLDetailsElement);
const linkButton = byId("link-button", HTMLElement);
const url = byId("url", HTMLInputElement);
const text = byId("text", HTMLInputElement);
const compose = byId("compose", HTMLFormElement);
const hold = byId("hold", HTMLButtonElement);
const sayButton = byId("say", HTMLButtonElement);
const handsFree = byId("hands-free", HTMLButtonElement);
const interruptButton = byId("interrupt", HTMLButtonElement);
const unblock = byId("unblock", HTMLButtonElement);
const turnList = byId("turns", HTMLElement);
const talk = byId("talk", HTMLElement);
const announce = byId("announce", HTMLElement);
const standIns = byId("stand-ins", HTMLElement);
const demoIdea = byId("demo-idea", HTMLButtonElement);

/** After the last attempt, for as long as somebody looks. */
const SLOW_RETRY_MS = 30_000;
/** Who has hung up. */
const ENDINGS = {
  agent: "The agent has ended the conversation.",
  silence: "The conversation has ended, because nobody said anything.",
  too_long: "The conversation has ended, because it has lasted as long as it may.",
};
const SESSION_LOST = ["session_not_found", "resume_denied"];

const player = new Player();
const microphone = new Microphone();
const log = new EventLog(byId("events", HTMLElement), byId("filter", HTMLInputElement));
const latencyChart = new LatencyChart(byId("timing", HTMLElement));
const notice = new Notice(
  byId("notice", HTMLElement),
  byId("notice-text", HTMLElement),
  byId("notice-button", HTMLButtonElement),
  linkButton,
);
const usage = new Usage(byId("usage", HTMLElement));
const turns = new TurnList(
  { list: turnList, times: byId("times", HTMLElement), empty: byId("empty", HTMLElement) },
  (id) => conversation?.retry(id),
);
const panel = new Panel(
  byId("panel", HTMLElement),
  byId("panel-toggle", HTMLButtonElement),
  byId("settings-toggle", HTMLButtonElement),
  [byId("stage", HTMLElement), talk, byId("footer", HTMLElement)],
);
const settings = new SettingsForm(byId("settings", HTMLFormElement), {
  onChange: configure,
  onHandsFree: () => {
    speech.changed();
    showCode();
  },
});
const agents = new AgentPicker(byId("agents", HTMLElement), byId("agent", HTMLSelectElement), () =>
  startAnew(),
);
const stage = new Stage(
  {
    root: byId("stage", HTMLElement),
    word: byId("stage-word", HTMLElement),
    hint: byId("stage-hint", HTMLElement),
    sign: byId("stage-sign", SVGElement),
  },
  () => {
    if (speech.isListening) return microphone.level;
    if (player.state === "playing") return player.level;
    return speech.isHandsFree && !microphone.isMuted ? microphone.level : undefined;
  },
);
const speech = new SpeechControls(
  {
    compose,
    text,
    hold,
    holdLabel: byId("hold-label", HTMLElement),
    handsFree,
    handsFreeLabel: byId("hands-free-label", HTMLElement),
  },
  { player, microphone, notice },
  {
    conversation: () => conversation,
    handsFreeSettings: () => settings.handsFree,
    onChange: () => {
      showStage();
      showCode();
    },
    report,
  },
);
const sound = new SoundControls(
  {
    microphones: byId("microphone", HTMLSelectElement),
    outputs: byId("output", HTMLSelectElement),
    microphoneLevel: byId("microphone-level", HTMLMeterElement),
    voiceLevel: byId("voice-level", HTMLMeterElement),
    mute: byId("mute", HTMLButtonElement),
    muteVoice: byId("mute-voice", HTMLButtonElement),
    test: byId("test-microphone", HTMLButtonElement),
  },
  { player, microphone },
  { onChange: showStage, report },
);
const connectionView = new ConnectionView(
  {
    link,
    state: byId("state", HTMLElement),
    transport: byId("transport", HTMLElement),
    compose,
    text,
    hold,
    say: sayButton,
    handsFree,
  },
  { speech, notice },
  { conversation: () => conversation, explained: (problem) => explained(problem, address), report },
);
const note = new Note(text);
const killButton = new KillButton(
  byId("faults", HTMLElement),
  byId("kill", HTMLButtonElement),
  byId("kill-told", HTMLElement),
);
/** @type {Conversation | undefined} */
let conversation;
/** @type {Address} */
let address = ownAddress();
/** Where what the user had with it before could not be gone on with. */
let isSessionLost = false;
/** The conversation was hung up. */
let hasEnded = false;
/** What was said of a microphone that hears nothing. */
let deafNotice = "";
/** What is known of the server's choices and stand-ins.
 * @type {import("./session.js").Known} */
let known = {};
/**
 * @param {Address} to
 * @param {{isTyped?: boolean, isSomebodyElse?: boolean}} [how] whether the user has typed the
 *   address; whether another than before uses the page from now on
 */
async function connect(to, { isTyped = false, isSomebodyElse = false } = {}) {
  // Nobody could stop afterwards what it has going.
  await speech.stopHandsFree();
  await conversation?.interrupt();
  const before = conversation;
  conversation = undefined;
  before?.close();
  microphone.release();
  notice.show("");
  if (isSomebodyElse) {
    keepSession(serverAt(to), undefined);
    forgetWords();
    text.value = "";
  }
  isSessionLost = hasEnded = false;
  connectionView.startAgain();
  address = to;
  known = knownOf(serverAt(to));
  const made = new Conversation(to.url, {
    microphone,
    player,
    session: keptSession(serverAt(to)),
    token: tokenFor(to) ?? "",
    httpUrl: to.httpUrl,
    slowRetryMs: SLOW_RETRY_MS,
    tools: note.tools,
    agent: agents.wanted,
  });
  conversation = made;
  Object.assign(window, { parley: { conversation, player, microphone } });
  listenTo(made);
  try {
    await made.connect();
    if (isTyped) remember(to.url);
    link.open = false;
  } catch {
    // The state has told why.
    if (made === conversation && made.state === "failed") link.open = true;
  }
}

/** @param {Conversation} made */
function listenTo(made) {
  /** @type {Conversation["on"]} */
  const on = (name, listener) =>
    made.on(name, (detail) => {
      if (made === conversation) listener(detail);
      showInterrupt();
      showStage();
    });
  on("state", (change) => connectionView.show(change));
  on("transport", () => connectionView.showTransport());
  on("session", (session) => opened(made, session));
  on("config_updated", (event) => {
    settings.changed(event.settings);
    showCode();
  });
  on("message", (message) => log.add("in", message));
  on("sent", (message) => log.add("out", message));
  on("turn", begin);
  on("listened", ({ turnId }) => {
    turns.get(turnId)?.listened();
    speech.ended(turnId);
  });
  on("transcript", ({ turn_id, text: understood, final }) => {
    const view = turns.get(turn_id);
    if (final) view?.understood(understood);
    else view?.setSaid(understood, false);
  });
  on("reply_text", (event) => turns.get(event.turn_id)?.addReply(event));
  on("tool", (event) => {
    turns.get(event.turn_id)?.showCall(event);
    readOut(sentenceOfCall(event));
  });
  on("warning", (problem) => {
    // Microphone and player tell theirs themselves.
    if (problem.code === "tool_failed") warn(problem);
  });
  on("ended", ({ reason }) => hungUp(reason));
  on("audio", ({ turn_id, words }) => turns.get(turn_id)?.addWords(words ?? []));
  on("interrupted", ({ turnId, playedMs }) => {
    turns.get(turnId)?.cut(playedMs);
    turns.get(turnId)?.setState("done");
    speech.ended(turnId);
  });
  on("turn_end", (end) => {
    const view = turns.get(end.turn_id);
    view?.finish(end);
    latencyChart.add(end);
    usage.add(end.metrics);
    // What is heard need not be read out as well.
    if (view?.text && !view.hasAudio) readOut(view.text);
  });
  on("hands_free", ({ enabled }) => speech.showHandsFree(enabled ? "listening" : "idle"));
  on("microphone", ({ state }) => {
    // What has gone by is not to be read any more.
    if (state === "hearing" && notice.message === deafNotice) notice.show("");
  });
  on("error", fail);
}

/**
 * @param {Conversation} made
 * @param {import("parley-client/conversation-types.js").Events["session"]} session
 */
function opened(made, { id, token, resumed, history }) {
  // A session that is resumed over HTTP says neither: what is known is kept.
  if (!resumed || made.transport === "websocket" || made.choices) {
    known = { choices: made.choices, standIns: made.standIns };
  }
  keepSession(serverAt(address), { id, token }, known);
  if (resumed && turns.isEmpty) turns.showHistory(history);
  if (!resumed) {
    const lost = "The conversation before this could not be continued. This is a new one.";
    if (isSessionLost) divide(lost);
    else if (!turns.isEmpty) divide("A new conversation begins here.");
    turns.startAgain();
  }
  isSessionLost = false;
  settings.open(made.settings, known.choices);
  agents.open(known.choices, made.agent);
  showCode();
  standIns.textContent = standInsNote(known.standIns ?? []);
  standIns.hidden = !standIns.textContent;
  // The stand-in calls the demo's tools; what else replies may have others.
  demoIdea.hidden = !known.standIns?.includes("responder");
}

/** @param {string} sentence */
function divide(sentence) {
  turns.divide(sentence);
  readOut(sentence);
}

/** @param {Problem} problem */
function fail(problem) {
  const view = turns.get(problem.turnId);
  const sentence = sentenceOf(problem);
  if (view && speech.isHandsFree && problem.code === "no_speech") turns.remove(problem.turnId);
  else if (view) {
    view.fail(problem, sentence);
    readOut(sentence);
  } else if (!problem.turnId && SESSION_LOST.includes(problem.code)) {
    // A line between the turns says so, and stays.
    isSessionLost = true;
  } else {
    report(problem);
  }
  if (isAboutSettings(problem)) settings.refused();
  speech.ended(problem.turnId);
}

/**
 * For the operator of the page: its user misses nothing.
 * @param {Problem} problem
 */
function warn(problem) {
  log.add("here", { type: "warning", code: problem.code, message: problem.message });
  console.warn(problem.message);
}

/** @param {import("parley-client/conversation-types.js").Ending} reason */
function hungUp(reason) {
  hasEnded = true;
  // What has ended cannot be gone on with.
  keepSession(serverAt(address), undefined);
  const run = () => void connect(address);
  notice.show(ENDINGS[reason], { kind: "hint", action: { label: "New conversation", run } });
}

/** @param {import("parley-client").Turn} turn */
function begin(turn) {
  // What the user has to know stays when the agent begins by itself.
  if (!turn.cause) notice.show("");
  const isSpoken = turn.spoken && turn.attempt === 1;
  const view = turns.begin(turn, isSpoken);
  if (isSpoken) {
    view.setState("listening");
    speech.begun(turn.id);
  }
  talk.scrollTop = talk.scrollHeight;
}

function showInterrupt() {
  const hadFocus = document.activeElement === interruptButton;
  interruptButton.disabled = !conversation?.canInterrupt;
  // A button that is gone has no focus to go on from.
  if (hadFocus && interruptButton.disabled) hold.focus();
}

function showStage() {
  const isHandsFree = speech.isHandsFree;
  const state = stageState({
    connection: hasEnded ? "ended" : (conversation?.state ?? "idle"),
    player: player.state,
    speech: speech.mode,
    isHandsFree,
    isMuted: microphone.isMuted,
    isAwaited: turns.isAwaited,
  });
  stage.show(state, stageHint(state, isHandsFree));
  if (state === "listening" || state === "speaking") stage.wake();
  sound.rest();
}

function showCode() {
  setText(
    byId("code", HTMLElement),
    codeFor({
      url: address.url,
      agent: conversation?.agent,
      settings: settings.chosen,
      hasToken: tokenFor(address) !== undefined,
      handsFree: speech.isHandsFree ? settings.handsFree : undefined,
    }),
  );
}

/**
 * To those who do not see the page, when they have nothing else to listen to.
 * @param {string} sentence
 */
function readOut(sentence) {
  announce.textContent = sentence;
}

/**
 * @param {Problem} problem
 * @param {import("./notice.js").Action} [action] what the user may want to do at once
 */
function report(problem, action) {
  const sentence = explained(problem, address);
  if (sentence) notice.show(sentence, { action });
  if (problem.code === "microphone_interrupted") deafNotice = sentence;
}

/** @param {import("parley-client/messages.js").Settings} wanted */
function configure(wanted) {
  try {
    conversation?.configure(wanted);
  } catch (problem) {
    settings.refused();
    // The client's own sentence.
    if (problem instanceof Problem) notice.show(problem.message);
    else throw problem;
  }
}

/** @param {string} message */
function sayTyped(message) {
  player.unlock();
  const turn = conversation?.say(message);
  turn?.catch(() => {
    if (!turn.begun) text.value ||= message;
  });
}

/** To the address that the user has typed. */
function connectTyped() {
  const typed = readWebSocketUrl(url.value);
  if (!typed) {
    notice.show("That is no address of a server. It begins with wss:// and goes on with a name.");
    url.focus();
    return;
  }
  const token = tokenIn(url.value);
  url.value = typed;
  const to = [address, ownAddress()].find((each) => each.url === typed) ?? { url: typed, httpUrl: false };
  trust(to);
  if (token) keepToken(to, token);
  void connect(to, { isTyped: true });
}

byId("connection", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  connectTyped();
});
byId("own", HTMLButtonElement).addEventListener("click", () => (url.value = ownAddress().url));
compose.addEventListener("submit", (event) => {
  event.preventDefault();
  const message = text.value.trim();
  text.value = "";
  if (message) sayTyped(message);
});
byId("ideas", HTMLElement).addEventListener("click", ({ target }) => {
  if (target instanceof HTMLButtonElement && !sayButton.disabled) sayTyped(target.textContent ?? "");
});
interruptButton.addEventListener("click", () => void conversation?.interrupt());
unblock.addEventListener("click", () => player.unlock());
document.addEventListener("keydown", (event) => {
  // What has been opened last is closed first.
  if (event.key !== "Escape" || event.defaultPrevented) return;
  const isInLink = link.open && link.contains(document.activeElement);
  if (isInLink || (link.open && !conversation?.canInterrupt)) {
    link.open = false;
    if (isInLink) linkButton.focus();
  } else if (panel.hasFocus || (panel.isOpen && !conversation?.canInterrupt)) panel.close();
  else if (speech.isHandsFreeOpening) void speech.stopHandsFree();
  else void conversation?.interrupt();
});
document.addEventListener("pointerdown", ({ target }) => {
  const inside = target instanceof Node && link.contains(target);
  if (!inside && conversation?.state === "ready") link.open = false;
});

// The microphone is opened before a conversation uses it.
player.on("warning", warn);
microphone.on("warning", warn);
player.on("state", (state) => {
  unblock.hidden = state !== "blocked";
  if (state === "idle") turns.get(player.turn)?.played();
  showInterrupt();
  showStage();
});
player.on("progress", ({ turnId, playedMs, level }) => turns.get(turnId)?.progress(playedMs, level));

// Follows the conversation, unless the reader has scrolled up.
let following = true;
talk.addEventListener("scroll", () => {
  following = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 80;
});
const follow = new ResizeObserver(() => {
  // What scrolls can be scrolled by keyboard.
  if (talk.scrollHeight > talk.clientHeight) talk.tabIndex = 0;
  else talk.removeAttribute("tabindex");
  if (following && !turns.isEmpty) talk.scrollTo({ top: talk.scrollHeight });
});
follow.observe(turnList);
follow.observe(talk); // a notice below takes room from it

byId("panel-toggle", HTMLButtonElement).addEventListener("click", () => void killButton.look());
byId("save-events", HTMLButtonElement).addEventListener("click", () =>
  save("parley-events.jsonl", log.export()),
);
byId("save-transcript", HTMLButtonElement).addEventListener("click", () =>
  save("parley-transcript.txt", turns.export()),
);
byId("new", HTMLButtonElement).addEventListener("click", () => void startAnew());
copyOnClick(
  byId("copy-code", HTMLButtonElement),
  byId("code", HTMLElement),
  byId("code-told", HTMLElement),
);

/** End the session, and begin another. */
async function startAnew() {
  const ending = conversation;
  await speech.stopHandsFree();
  await ending?.interrupt();
  conversation = undefined;
  await ending?.end();
  keepSession(serverAt(address), undefined);
  forgetWords();
  await connect(address);
}

/** Nothing that was said or chosen so far is to be found in the page any more. */
function forgetWords() {
  turns.clear();
  log.clear();
  latencyChart.clear();
  usage.clear();
  note.clear();
  settings.open({}, known.choices);
  readOut("");
}

/** Do what the page's own address asks for, and connect. */
async function open() {
  const { address: to, isSomebodyElse } = await addressToOpen();
  if (!to) {
    url.value = conversation ? address.url : usualAddress().url;
    if (!conversation) link.open = true;
    return;
  }
  url.value = to.url;
  await connect(to, { isSomebodyElse });
}

// One after the other: each may have something to ask.
let opening = open();
window.addEventListener("hashchange", () => {
  // The one before may have taken the token; no other fragment is anything to the page.
  opening = opening.then(() => (hasToken() ? open() : undefined));
});
