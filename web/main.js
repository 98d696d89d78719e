/** The page: shows what the conversation tells, and tells it what is pressed and typed. */
import { Conversation, Microphone, Player, Problem } from "parley-client";
import { isOwn, ownAddress, readWebSocketUrl, serverAt, tokenIn } from "./address.js";
import { byId, element, setText } from "./elements.js";
import { EventLog } from "./event-log.js";
import { hasToken } from "./link.js";
import { Notice } from "./notice.js";
import { addressToOpen } from "./opening.js";
import { Panel } from "./panel.js";
import { save } from "./save.js";
import { NOT_UNDERSTOOD, explained, isAboutSettings, sentenceOf, settingOf } from "./sentences.js";
import { keepSession, keptSession, knownOf } from "./session.js";
import { SettingsForm } from "./settings-form.js";
import { standInsNote } from "./stand-ins.js";
import { TAP_MS, holdToTalk } from "./talk-button.js";
import { Timing } from "./timing.js";
import { keepToken, tokenFor } from "./token.js";
import { remember, trust, usualAddress } from "./trust.js";
import { TurnList } from "./turn-list.js";
import { Waveform } from "./waveform.js";

/** @typedef {"idle" | "opening" | "listening"} Mode */
/** @typedef {import("./address.js").Address} Address */

const link = byId("link", HTMLDetailsElement);
const linkButton = byId("link-button", HTMLElement);
const url = byId("url", HTMLInputElement);
const text = byId("text", HTMLInputElement);
const compose = byId("compose", HTMLFormElement);
const hold = byId("hold", HTMLButtonElement);
const holdLabel = byId("hold-label", HTMLElement);
const sayButton = byId("say", HTMLButtonElement);
const handsFree = byId("hands-free", HTMLButtonElement);
const handsFreeLabel = byId("hands-free-label", HTMLElement);
const interruptButton = byId("interrupt", HTMLButtonElement);
const unblock = byId("unblock", HTMLButtonElement);
const transportView = byId("transport", HTMLElement);
const stateView = byId("state", HTMLElement);
const turnList = byId("turns", HTMLElement);
const talk = byId("talk", HTMLElement);
const announce = byId("announce", HTMLElement);
const standIns = byId("stand-ins", HTMLElement);

const STATES = {
  idle: "Not connected",
  connecting: "Connecting …",
  ready: "Connected",
  reconnecting: "Reconnecting …",
  offline: "No network",
  closed: "Not connected",
  failed: "Not connected",
};
const HOLD = { idle: "Hold to talk", opening: "One moment …", listening: "Listening …" };
/** So much from before the button was pressed belongs to what is said. */
const PREROLL_MS = 300;
/** After the last attempt, for as long as somebody looks. */
const SLOW_RETRY_MS = 30_000;
/** Who waits longer than this may want to hurry it. */
const LONG_WAIT_MS = 5_000;
const SESSION_LOST = ["session_not_found", "resume_denied"];

const player = new Player();
const microphone = new Microphone();
const log = new EventLog(byId("events", HTMLElement), byId("filter", HTMLInputElement));
const timing = new Timing(byId("timing", HTMLElement));
const notice = new Notice(
  byId("notice", HTMLElement),
  byId("notice-text", HTMLElement),
  byId("notice-button", HTMLButtonElement),
  linkButton,
);
const turns = new TurnList(turnList, byId("empty", HTMLElement), (id) => conversation?.retry(id));
const panel = new Panel(byId("panel", HTMLElement), byId("panel-toggle", HTMLButtonElement), [
  talk,
  byId("footer", HTMLElement),
]);
const settings = new SettingsForm(byId("settings", HTMLFormElement), {
  onChange: configure,
  onHandsFree: () => {
    if (handsFreeIsOn()) void conversation?.startHandsFree(settings.handsFree);
  },
});
const wave = new Waveform(byId("wave", HTMLCanvasElement), () => {
  if (mode === "listening") return { level: microphone.level, source: "mine" };
  if (player.state === "playing") return { level: player.level, source: "reply" };
  return handsFreeIsOn() ? { level: microphone.level, source: "room" } : undefined;
});
/** @type {Conversation | undefined} */
let conversation;
/** @type {Mode} */
let mode = "idle";
/** The turn that is being spoken. */
let spokenTurn = "";
/** @type {Address} */
let address = ownAddress();
/** Where what the user had with it before could not be gone on with. */
let isSessionLost = false;
/** What was said of a microphone that hears nothing. */
let deafNotice = "";
/** What is known of the server's choices and stand-ins.
 * @type {import("./session.js").Known} */
let known = {};
/** The client's attempts are used up: one follows now and then. */
let isTriedSlowly = false;

/**
 * @param {Address} to
 * @param {{isTyped?: boolean, isSomebodyElse?: boolean}} [how] whether the user has typed the
 *   address; whether another than before uses the page from now on
 */
async function connect(to, { isTyped = false, isSomebodyElse = false } = {}) {
  // Nobody could stop afterwards what it has going.
  await stopHandsFree();
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
  isSessionLost = isTriedSlowly = false;
  address = to;
  known = knownOf(serverAt(to));
  const made = new Conversation(to.url, {
    microphone,
    player,
    session: keptSession(serverAt(to)),
    token: tokenFor(to) ?? "",
    httpUrl: to.httpUrl,
    slowRetryMs: SLOW_RETRY_MS,
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

/** Go on with the same conversation, and with what it has not been able to say. */
async function tryAgain() {
  isTriedSlowly = false;
  try {
    await conversation?.connect();
  } catch {
    // The state has told why.
  }
}

/** @param {Conversation} made */
function listenTo(made) {
  /** @type {Conversation["on"]} */
  const on = (name, listener) =>
    made.on(name, (detail) => {
      if (made === conversation) listener(detail);
      showInterrupt();
    });
  on("state", showState);
  on("transport", showTransport);
  on("session", (session) => opened(made, session));
  on("config_updated", (event) => settings.changed(event.settings));
  on("message", (message) => log.add("in", message));
  on("sent", (message) => log.add("out", message));
  on("turn", begin);
  on("listened", ({ turnId }) => {
    turns.get(turnId)?.listened();
    if (turnId === spokenTurn) setMode("idle");
  });
  on("transcript", ({ turn_id, text: understood, final }) => {
    const view = turns.get(turn_id);
    if (final) view?.understood(understood);
    else view?.setSaid(understood, false);
  });
  on("reply_text", ({ turn_id, delta }) => turns.get(turn_id)?.addReply(delta));
  on("audio", ({ turn_id, words }) => turns.get(turn_id)?.addWords(words ?? []));
  on("interrupted", ({ turnId, playedMs }) => {
    turns.get(turnId)?.cut(playedMs);
    turns.get(turnId)?.setState("done");
    if (turnId === spokenTurn) setMode("idle");
  });
  on("turn_end", (end) => {
    const view = turns.get(end.turn_id);
    view?.finish(end);
    timing.add(end);
    // What is heard need not be read out as well.
    if (view?.text && !view.hasAudio) readOut(view.text);
  });
  on("hands_free", ({ enabled }) => showHandsFree(enabled ? "listening" : "idle"));
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
  standIns.textContent = standInsNote(known.standIns ?? []);
  standIns.hidden = !standIns.textContent;
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
  if (view && handsFreeIsOn() && problem.code === "no_speech") turns.remove(problem.turnId);
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
  if (problem.turnId === spokenTurn) setMode("idle");
}

/**
 * For whoever runs the page: its user misses nothing.
 * @param {Problem} problem
 */
function warn(problem) {
  log.add("here", { type: "warning", code: problem.code, message: problem.message });
  console.warn(problem.message);
}

/** @param {import("parley-client").Turn} turn */
function begin(turn) {
  notice.show("");
  const isSpoken = turn.spoken && turn.attempt === 1;
  const view = turns.begin(turn, isSpoken);
  if (isSpoken) {
    spokenTurn = turn.id;
    view.setState("listening");
    setMode("listening");
  }
  talk.scrollTop = talk.scrollHeight;
}

/** @param {import("parley-client/connection.js").StateChange} change */
function showState(change) {
  const { state, problem, attempt, attempts, retryInMs } = change;
  stateView.dataset["state"] = state;
  const isCounted = retryInMs !== undefined && state !== "failed";
  const count = isCounted ? ` (${attempt} of ${attempts})` : "";
  stateView.replaceChildren(STATES[state], element("span", "count", count));
  const canSpeak = conversation?.canSpeak ?? false;
  // Whoever reads it, or is in it, is not disturbed by an attempt that nobody has asked for.
  const isQuiet = isTriedSlowly && (state === "connecting" || state === "reconnecting");
  if (!isQuiet) enable(canSpeak);
  if (!canSpeak) {
    setMode("idle");
    showHandsFree("idle");
    player.resume();
    microphone.release();
  }
  showTransport();
  if (isQuiet) return;
  if (state === "connecting" && problem) link.open = true;
  if (state === "failed") gaveUp(problem);
  else if (state === "closed") closed(problem);
  else if (problem) report(problem, (retryInMs ?? 0) > LONG_WAIT_MS);
  else if (state === "ready") {
    isTriedSlowly = false;
    notice.show("");
  }
}

/** @param {boolean} canSpeak whether anything can be said now */
function enable(canSpeak) {
  // It keeps the focus, and what is half written can still be read.
  text.readOnly = !canSpeak;
  text.setAttribute("aria-disabled", String(!canSpeak));
  const focused = document.activeElement;
  hold.disabled = !canSpeak || handsFreeIsOn();
  for (const control of [sayButton, handsFree]) control.disabled = !canSpeak;
  // A button that cannot be pressed has no focus to go on from.
  if (focused instanceof HTMLButtonElement && focused.disabled && compose.contains(focused)) text.focus();
}

/**
 * The client's attempts are used up, or there is no use in any.
 * @param {Problem | undefined} problem
 */
function gaveUp(problem) {
  const isRefused = problem !== undefined && isAboutSettings(problem);
  if (isRefused && Object.keys(conversation?.settings ?? {}).length > 0) {
    forgetSettings(problem);
    return;
  }
  isTriedSlowly = problem?.retryable ?? false;
  const goesOn = problem?.retryable ? " This page tries again now and then while you look at it." : "";
  const action = { label: "Try again", run: () => void tryAgain() };
  // Nothing of what was chosen is the reason.
  const why = isRefused ? NOT_UNDERSTOOD : problem && explained(problem, address);
  notice.show((why ?? "") + goesOn, { action });
}

/**
 * What was chosen earlier is not allowed any more: the conversation goes on without it.
 * @param {Problem} problem
 */
function forgetSettings(problem) {
  if (!conversation) return;
  const { [/** @type {"voice"} */ (settingOf(problem))]: _, ...others } = conversation.settings;
  const isKnown = Object.keys(others).length < Object.keys(conversation.settings).length;
  conversation.settings = isKnown ? others : {};
  void tryAgain().then(() => {
    const sentence = "A setting that you chose earlier is not available here any more.";
    if (conversation?.state === "ready") notice.show(sentence, { kind: "hint" });
  });
}

/** @param {Problem | undefined} problem */
function closed(problem) {
  const sentence = problem ? explained(problem, address) : "This conversation has ended.";
  notice.show(sentence, { action: { label: "Connect", run: () => void tryAgain() } });
}

function showTransport() {
  const isOverHttp = conversation?.transport === "http" && conversation.state === "ready";
  transportView.hidden = !isOverHttp;
  transportView.textContent = isOverHttp ? "over HTTP" : "";
}

/** Whether it listens, or will as soon as the browser lets it. */
function handsFreeIsOn() {
  return handsFree.getAttribute("aria-pressed") === "true";
}

/** @param {Mode} next */
function showHandsFree(next) {
  handsFree.setAttribute("aria-pressed", String(next !== "idle"));
  setText(handsFreeLabel, next === "opening" ? HOLD.opening : "Hands-free");
  hold.disabled = next !== "idle" || !conversation?.canSpeak;
  showHint();
  if (next === "listening") wave.wake();
}

function showInterrupt() {
  const hadFocus = document.activeElement === interruptButton;
  interruptButton.disabled = !conversation?.canInterrupt;
  // A button that is gone has no focus to go on from.
  if (hadFocus && interruptButton.disabled) hold.focus();
}

/** @param {Mode} next */
function setMode(next) {
  mode = next;
  compose.dataset["mode"] = next;
  hold.setAttribute("aria-pressed", String(next !== "idle"));
  setText(holdLabel, HOLD[next]);
  showHint();
  if (next === "listening") wave.wake();
}

function showHint() {
  const listening = mode === "listening" ? "Let go to send, or Stop" : "Type a message";
  text.placeholder = handsFreeIsOn() ? "Just speak, or type a message" : listening;
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
 * @param {boolean} [canBeHurried] whether the user may want to try at once
 */
function report(problem, canBeHurried = false) {
  const sentence = explained(problem, address);
  const action = canBeHurried ? { label: "Try again", run: () => void tryAgain() } : undefined;
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

/** Who speaks next is not known yet: the reply waits. */
function press() {
  player.unlock();
  player.pause();
  notice.show("");
  setMode("opening");
  // What fails is told when a turn begins.
  microphone.open().catch(() => undefined);
}

/** @param {number} heldMs */
function startTalking(heldMs) {
  conversation?.startSpeaking({ prerollMs: PREROLL_MS + heldMs }).catch(() => setMode("idle"));
}

function stopTalking() {
  player.resume();
  setMode("idle");
  void conversation?.stopSpeaking();
}

/** Too short for a word. */
function showHowToTalk() {
  player.resume();
  setMode("idle");
  notice.show("Hold the button while you talk.", { kind: "hint" });
}

async function toggleHandsFree() {
  player.unlock();
  notice.show("");
  try {
    if (handsFreeIsOn()) await stopHandsFree();
    else {
      showHandsFree("opening");
      await conversation?.startHandsFree(settings.handsFree);
    }
  } catch (problem) {
    showHandsFree("idle");
    if (problem instanceof Problem) report(problem);
    else throw problem;
  }
}

/** Also while the browser asks whether it may listen. */
async function stopHandsFree() {
  showHandsFree("idle");
  await conversation?.stopHandsFree();
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
holdToTalk(hold, {
  onPress: press,
  onTalk: startTalking,
  onRelease: stopTalking,
  onTap: showHowToTalk,
});
handsFree.addEventListener("click", () => void toggleHandsFree());
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
  else if (handsFreeLabel.textContent === HOLD.opening) void stopHandsFree();
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
  if (state === "playing") wave.wake();
  if (state === "idle") turns.get(player.turn)?.played();
  showInterrupt();
});
player.on("progress", ({ turnId, playedMs, level }) => turns.get(turnId)?.progress(playedMs, level));

// Follows the conversation, unless the reader has scrolled up.
let following = true;
talk.addEventListener("scroll", () => {
  following = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 80;
});
new ResizeObserver(() => {
  // What scrolls can be scrolled by keyboard.
  if (talk.scrollHeight > talk.clientHeight) talk.tabIndex = 0;
  else talk.removeAttribute("tabindex");
  if (following && !turns.isEmpty) talk.scrollTo({ top: talk.scrollHeight });
}).observe(turnList);

byId("save-events", HTMLButtonElement).addEventListener("click", () =>
  save("parley-events.jsonl", log.export()),
);
byId("save-transcript", HTMLButtonElement).addEventListener("click", () =>
  save("parley-transcript.txt", turns.export()),
);
byId("forget", HTMLButtonElement).addEventListener("click", () => void startAnew());

/** End the session, and begin another. */
async function startAnew() {
  const ending = conversation;
  await stopHandsFree();
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
  timing.clear();
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
