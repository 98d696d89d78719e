/** The page: shows what the conversation tells, and tells it what is pressed and typed. */
import { Conversation, Microphone, Player, Problem } from "parley-client";
import { initialUrl, ownUrl, remember } from "./address.js";
import { byId } from "./elements.js";
import { EventLog } from "./event-log.js";
import { holdToTalk } from "./talk-button.js";
import { TurnView } from "./turn-view.js";
import { Waveform } from "./waveform.js";

/** @typedef {import("parley-client/conversation.js").State} State */
/** @typedef {"idle" | "opening" | "listening"} Mode */

const link = byId("link", HTMLDetailsElement);
const url = byId("url", HTMLInputElement);
const text = byId("text", HTMLInputElement);
const compose = byId("compose", HTMLFormElement);
const hold = byId("hold", HTMLButtonElement);
const holdLabel = byId("hold-label", HTMLElement);
const say = byId("say", HTMLButtonElement);
const interruptButton = byId("interrupt", HTMLButtonElement);
const unblock = byId("unblock", HTMLButtonElement);
const stateView = byId("state", HTMLElement);
const notice = byId("notice", HTMLElement);
const turnList = byId("turns", HTMLElement);
const talk = byId("talk", HTMLElement);
const empty = byId("empty", HTMLElement);
const announce = byId("announce", HTMLElement);
const panel = byId("panel", HTMLElement);
const panelToggle = byId("panel-toggle", HTMLButtonElement);

const STATES = { closed: "Not connected", connecting: "Connecting …", ready: "Connected" };
const HOLD = { idle: "Hold to talk", opening: "One moment …", listening: "Listening …" };
const MICROPHONE_MISSING = ["microphone_denied", "microphone_missing", "microphone_failed"];

const player = new Player();
const microphone = new Microphone();
const log = new EventLog(byId("events", HTMLElement));
const wave = new Waveform(byId("wave", HTMLCanvasElement), () => {
  if (mode === "listening") return { level: microphone.level, source: "mine" };
  if (player.state === "playing") return { level: player.level, source: "reply" };
  return undefined;
});
/** @type {Map<string, TurnView>} */
const views = new Map();
/** @type {Conversation | undefined} */
let conversation;
/** @type {Mode} */
let mode = "idle";
/** The newest spoken turn. */
let spokenTurn = "";

async function connect() {
  conversation?.close();
  const made = new Conversation(url.value.trim(), { microphone, player });
  conversation = made;
  Object.assign(window, { parley: { conversation, player, microphone } });
  listenTo(made);
  try {
    await made.connect();
    remember(made.url);
    tell("");
    link.open = false;
  } catch (problem) {
    if (made !== conversation) return;
    report(problem);
    link.open = true;
  }
}

/** @param {Conversation} made */
function listenTo(made) {
  made.on("state", ({ state, problem }) => {
    if (made !== conversation) return;
    showState(state);
    if (problem) report(problem);
  });
  made.on("message", (message) => log.add("in", message));
  made.on("sent", (message) => log.add("out", message));
  made.on("turn", ({ turnId, spoken, text: typed }) => {
    empty.hidden = true;
    tell("");
    const view = new TurnView(turnList, { spoken, text: typed });
    if (spoken) {
      spokenTurn = turnId;
      view.setState("listening");
    }
    views.set(turnId, view);
    talk.scrollTop = talk.scrollHeight;
  });
  made.on("listened", ({ turnId }) => {
    views.get(turnId)?.restart();
    views.get(turnId)?.setState("waiting");
  });
  made.on("transcript", ({ turn_id, text: understood, final }) => {
    const view = views.get(turn_id);
    if (final) view?.understood(understood);
    else view?.setSaid(understood, false);
  });
  made.on("reply_text", ({ turn_id, delta }) => views.get(turn_id)?.addReply(delta));
  made.on("audio", ({ turn_id, words }) => views.get(turn_id)?.addWords(words ?? []));
  made.on("interrupted", ({ turnId, playedMs }) => {
    views.get(turnId)?.cut(playedMs);
    views.get(turnId)?.setState("done");
    if (turnId === spokenTurn && mode === "listening") setMode("idle");
  });
  made.on("turn_end", (end) => {
    const view = views.get(end.turn_id);
    view?.finish(end);
    // What is heard need not be read out as well.
    if (view && !view.hasAudio) announce.textContent = view.text;
  });
  made.on("error", (problem) => {
    const view = problem.turnId ? views.get(problem.turnId) : undefined;
    if (view) view.fail(problem.message);
    else tell(problem.message);
  });
  for (const kind of ["message", "sent", "turn", "interrupted", "state"]) {
    made.addEventListener(kind, showInterrupt);
  }
}

/** @param {State} state */
function showState(state) {
  stateView.dataset["state"] = state;
  stateView.textContent = STATES[state];
  for (const control of [hold, text, say]) control.disabled = state !== "ready";
  if (state !== "ready") setMode("idle");
}

function showInterrupt() {
  interruptButton.disabled = !conversation?.canInterrupt;
}

/** @param {Mode} next */
function setMode(next) {
  mode = next;
  compose.dataset["mode"] = next;
  hold.setAttribute("aria-pressed", String(next !== "idle"));
  holdLabel.textContent = HOLD[next];
  text.placeholder = next === "listening" ? "Let go to send, Stop to take it back" : "Type a message";
  if (next === "listening") wave.wake();
}

/** @param {string} message nothing to clear it */
function tell(message) {
  notice.textContent = message;
  notice.hidden = !message;
}

/** @param {unknown} problem */
function report(problem) {
  if (!(problem instanceof Problem)) throw problem;
  const goOn = MICROPHONE_MISSING.includes(problem.code) ? " You can go on typing." : "";
  tell(problem.message + goOn);
}

/** @param {string} message */
async function sayTyped(message) {
  player.unlock();
  try {
    await conversation?.say(message);
  } catch (problem) {
    text.value ||= message;
    report(problem);
  }
}

async function startTalking() {
  player.unlock();
  tell("");
  setMode("opening");
  try {
    const turnId = await conversation?.startSpeaking();
    if (turnId && mode === "opening") setMode("listening");
  } catch (problem) {
    setMode("idle");
    report(problem);
  }
}

function stopTalking() {
  setMode("idle");
  void conversation?.stopSpeaking();
}

byId("connection", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void connect();
});
byId("own", HTMLButtonElement).addEventListener("click", () => (url.value = ownUrl()));
compose.addEventListener("submit", (event) => {
  event.preventDefault();
  const message = text.value.trim();
  text.value = "";
  if (message) void sayTyped(message);
});
byId("ideas", HTMLElement).addEventListener("click", ({ target }) => {
  if (target instanceof HTMLButtonElement && !say.disabled) void sayTyped(target.textContent ?? "");
});
holdToTalk(hold, { onPress: () => void startTalking(), onRelease: stopTalking });
interruptButton.addEventListener("click", () => void conversation?.interrupt());
unblock.addEventListener("click", () => player.unlock());
panelToggle.addEventListener("click", () => {
  panel.hidden = !panel.hidden;
  panelToggle.setAttribute("aria-expanded", String(!panel.hidden));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (link.open && conversation?.state === "ready") link.open = false;
  void conversation?.interrupt();
});
document.addEventListener("pointerdown", ({ target }) => {
  const inside = target instanceof Node && link.contains(target);
  if (!inside && conversation?.state === "ready") link.open = false;
});

player.on("state", (state) => {
  unblock.hidden = state !== "blocked";
  if (state === "playing") wave.wake();
  if (state === "idle") views.get(player.turn)?.played();
  showInterrupt();
});
player.on("error", report);
player.on("progress", ({ turnId, playedMs, level }) => views.get(turnId)?.progress(playedMs, level));

// Follows the conversation, unless the reader has scrolled up.
let following = true;
talk.addEventListener("scroll", () => {
  following = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 80;
});
new ResizeObserver(() => following && talk.scrollTo({ top: talk.scrollHeight })).observe(turnList);

url.value = initialUrl();
showState("closed");
void connect();
