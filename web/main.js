/** The page: shows what the conversation tells, and tells it what is pressed and typed. */
import { Conversation, Microphone, Player, Problem } from "parley-client";
import { isOwn, ownAddress, readWebSocketUrl, serverAt } from "./address.js";
import { byId, element } from "./elements.js";
import { EventLog } from "./event-log.js";
import { Notice } from "./notice.js";
import { addressToOpen } from "./opening.js";
import { Panel } from "./panel.js";
import { save } from "./save.js";
import { isAboutSettings, sentenceOf } from "./sentences.js";
import { keepSession, keptSession } from "./session.js";
import { SettingsForm } from "./settings-form.js";
import { standInsNote } from "./stand-ins.js";
import { TAP_MS, holdToTalk } from "./talk-button.js";
import { Timing } from "./timing.js";
import { tokenFor } from "./token.js";
import { remember, trust, usualAddress } from "./trust.js";
import { TurnList } from "./turn-list.js";
import { Waveform } from "./waveform.js";

/** @typedef {"idle" | "opening" | "listening"} Mode */
/** @typedef {import("./address.js").Address} Address */
/** @typedef {import("parley-client/messages.js").Ready} Ready */

const link = byId("link", HTMLDetailsElement);
const linkButton = byId("link-button", HTMLElement);
const url = byId("url", HTMLInputElement);
const text = byId("text", HTMLInputElement);
const compose = byId("compose", HTMLFormElement);
const hold = byId("hold", HTMLButtonElement);
const holdLabel = byId("hold-label", HTMLElement);
const sayButton = byId("say", HTMLButtonElement);
const handsFree = byId("hands-free", HTMLButtonElement);
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
/** What the server says of its choices and stand-ins, before it is known whose session it is.
 * @type {Partial<Ready>} */
let said = {};

/**
 * @param {Address} to
 * @param {{isTyped?: boolean}} [how] whether the user has typed the address
 */
async function connect(to, { isTyped = false } = {}) {
  // Nobody could stop afterwards what it has going.
  await conversation?.stopHandsFree();
  await conversation?.interrupt();
  const before = conversation;
  conversation = undefined;
  before?.close();
  notice.show("");
  isSessionLost = false;
  address = to;
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
  on("message", (message) => {
    log.add("in", message);
    // Over HTTP no server says it: what is known is kept.
    if (message.type === "ready" && made.transport === "websocket") said = message;
  });
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
  on("hands_free", ({ enabled }) => {
    handsFree.setAttribute("aria-pressed", String(enabled));
    hold.disabled = enabled || !made.canSpeak;
    showHint();
    if (enabled) wave.wake();
  });
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
  keepSession(serverAt(address), { id, token });
  if (resumed && turns.isEmpty) turns.showHistory(history);
  if (!resumed) {
    const lost = "The conversation before this could not be continued. This is a new one.";
    if (isSessionLost) divide(lost);
    else if (!turns.isEmpty) divide("A new conversation begins here.");
    turns.startAgain();
  }
  isSessionLost = false;
  settings.open(made.settings, said.choices);
  standIns.textContent = standInsNote(said.stand_ins ?? []);
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
  for (const control of [hold, text, sayButton, handsFree]) control.disabled = !canSpeak;
  if (!canSpeak) {
    setMode("idle");
    player.resume();
    microphone.release();
  }
  if (handsFreeIsOn()) hold.disabled = true;
  showTransport();
  if (state === "connecting" && problem) link.open = true;
  if (state === "failed") gaveUp(problem);
  else if (state === "closed") closed(problem);
  else if (problem) report(problem, (retryInMs ?? 0) > LONG_WAIT_MS);
  else if (state === "ready") notice.show("");
}

/**
 * The client's attempts are used up, or there is no use in any.
 * @param {Problem | undefined} problem
 */
function gaveUp(problem) {
  if (problem?.field?.startsWith("init.settings")) {
    forgetSettings(problem.field);
    return;
  }
  const goesOn = problem?.retryable ? " This page tries again now and then while you look at it." : "";
  const action = { label: "Try again", run: () => void tryAgain() };
  notice.show((problem ? explained(problem) : "") + goesOn, { action });
}

/**
 * What was chosen earlier is not allowed any more: the conversation goes on without it.
 * @param {string} field as the server names it
 */
function forgetSettings(field) {
  if (!conversation) return;
  const { [/** @type {"voice"} */ (field.split(".")[2] ?? "")]: _, ...others } = conversation.settings;
  const isKnown = Object.keys(others).length < Object.keys(conversation.settings).length;
  conversation.settings = isKnown ? others : {};
  void tryAgain().then(() => {
    const sentence = "A setting that you chose earlier is not available here any more.";
    if (conversation?.state === "ready") notice.show(sentence, { kind: "hint" });
  });
}

/** @param {Problem | undefined} problem */
function closed(problem) {
  const sentence = problem ? explained(problem) : "This conversation has ended.";
  notice.show(sentence, { action: { label: "Connect", run: () => void tryAgain() } });
}

function showTransport() {
  const isOverHttp = conversation?.transport === "http" && conversation.state === "ready";
  transportView.hidden = !isOverHttp;
  transportView.textContent = isOverHttp ? "over HTTP" : "";
}

function handsFreeIsOn() {
  return handsFree.getAttribute("aria-pressed") === "true";
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
  holdLabel.textContent = HOLD[next];
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
  const sentence = explained(problem);
  const action = canBeHurried ? { label: "Try again", run: () => void tryAgain() } : undefined;
  if (sentence) notice.show(sentence, { action });
  if (problem.code === "microphone_interrupted") deafNotice = sentence;
}

/**
 * With the address that the user knows, and not with what has been made of it.
 * @param {Problem} problem
 */
function explained(problem) {
  // Where something answers, the client's sentence says more.
  if (problem.code === "unreachable" && problem.message.startsWith("No connection")) {
    const where = isOwn(address) ? `this page's server, ${location.host},` : address.url;
    return `No connection to ${where} could be opened. Is the address right, and the server up?`;
  }
  const sentence = sentenceOf(problem);
  return problem.code.startsWith("microphone_") ? `${sentence} You can go on typing.` : sentence;
}

/** @param {import("parley-client/messages.js").Settings} wanted */
function configure(wanted) {
  try {
    conversation?.configure(wanted);
  } catch (problem) {
    settings.refused();
    if (problem instanceof Problem) report(problem);
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
    if (handsFreeIsOn()) await conversation?.stopHandsFree();
    else await conversation?.startHandsFree(settings.handsFree);
  } catch (problem) {
    if (problem instanceof Problem) report(problem);
    else throw problem;
  }
}

/** To the address that the user has typed. */
function connectTyped() {
  const typed = readWebSocketUrl(url.value);
  if (!typed) {
    notice.show("That is no address of a server. It begins with wss:// and goes on with a name.");
    url.focus();
    return;
  }
  url.value = typed;
  const own = ownAddress();
  const known = [address, own].find((each) => each.url === typed);
  const to = known ?? { url: typed, httpUrl: false };
  trust(to);
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
  else void conversation?.interrupt();
});
document.addEventListener("pointerdown", ({ target }) => {
  const inside = target instanceof Node && link.contains(target);
  if (!inside && conversation?.state === "ready") link.open = false;
});

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
  await ending?.stopHandsFree();
  await ending?.interrupt();
  conversation = undefined;
  await ending?.end();
  keepSession(serverAt(address), undefined);
  turns.clear();
  await connect(address);
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
  if (isSomebodyElse) {
    keepSession(serverAt(to), undefined);
    turns.clear();
  }
  await connect(to);
}

// One after the other: each may have something to ask.
let opening = open();
window.addEventListener("hashchange", () => {
  opening = opening.then(open);
});
