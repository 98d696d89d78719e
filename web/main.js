/** The page: shows what the conversation tells, and tells it what is pressed and typed. */
import { Conversation, Microphone, Player, Problem } from "parley-client";
import { httpUrlFor, initialUrl, ownUrl, remember, serverAt } from "./address.js";
import { byId, element } from "./elements.js";
import { EventLog } from "./event-log.js";
import { save } from "./save.js";
import { keepSession, keptSession } from "./session.js";
import { SettingsForm } from "./settings-form.js";
import { showTabs } from "./tabs.js";
import { holdToTalk } from "./talk-button.js";
import { Timing } from "./timing.js";
import { takeToken, tokenFor } from "./token.js";
import { TurnView } from "./turn-view.js";
import { Waveform } from "./waveform.js";

/** @typedef {"idle" | "opening" | "listening"} Mode */

const link = byId("link", HTMLDetailsElement);
const url = byId("url", HTMLInputElement);
const text = byId("text", HTMLInputElement);
const compose = byId("compose", HTMLFormElement);
const hold = byId("hold", HTMLButtonElement);
const holdLabel = byId("hold-label", HTMLElement);
const say = byId("say", HTMLButtonElement);
const handsFree = byId("hands-free", HTMLButtonElement);
const interruptButton = byId("interrupt", HTMLButtonElement);
const unblock = byId("unblock", HTMLButtonElement);
const transportView = byId("transport", HTMLElement);
const stateView = byId("state", HTMLElement);
const notice = byId("notice", HTMLElement);
const turnList = byId("turns", HTMLElement);
const talk = byId("talk", HTMLElement);
const empty = byId("empty", HTMLElement);
const announce = byId("announce", HTMLElement);
const panel = byId("panel", HTMLElement);
const panelToggle = byId("panel-toggle", HTMLButtonElement);

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

const player = new Player();
const microphone = new Microphone();
const log = new EventLog(byId("events", HTMLElement), byId("filter", HTMLInputElement));
const timing = new Timing(byId("timing", HTMLElement));
const settings = new SettingsForm(byId("settings", HTMLFormElement), {
  onChange: (wanted) => conversation?.configure(wanted),
  onHandsFree: () => {
    if (handsFreeIsOn()) void conversation?.startHandsFree(settings.handsFree);
  },
});
const wave = new Waveform(byId("wave", HTMLCanvasElement), () => {
  if (mode === "listening") return { level: microphone.level, source: "mine" };
  if (player.state === "playing") return { level: player.level, source: "reply" };
  return handsFreeIsOn() ? { level: microphone.level, source: "room" } : undefined;
});
/** @type {Map<string, TurnView>} */
const views = new Map();
/** @type {Conversation | undefined} */
let conversation;
/** @type {Mode} */
let mode = "idle";
/** The turn that is being spoken. */
let spokenTurn = "";
/** Whose session it is. */
let server = "";

/** @param {{isChosen?: boolean}} [how] whether the user has asked for the address */
async function connect({ isChosen = false } = {}) {
  // Nobody could stop afterwards what it has going.
  await conversation?.stopHandsFree();
  await conversation?.interrupt();
  conversation?.close();
  const address = url.value.trim();
  server = serverAt(address);
  const made = new Conversation(address, {
    microphone,
    player,
    session: keptSession(serverAt(address)),
    token: tokenFor(serverAt(address)) ?? "",
    httpUrl: httpUrlFor(address),
  });
  conversation = made;
  Object.assign(window, { parley: { conversation, player, microphone } });
  listenTo(made);
  try {
    await made.connect();
    if (isChosen) remember(address);
    tell("");
    link.open = false;
  } catch {
    // The state has told why.
    if (made === conversation) link.open = true;
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
  on("session", ({ id, token, resumed, history }) => {
    keepSession(server, { id, token });
    if (resumed && views.size === 0) showHistory(history);
    if (!resumed) for (const view of views.values()) view.startAgain();
    settings.show(made.settings);
  });
  on("config_updated", (event) => settings.show(event.settings));
  on("message", (message) => log.add("in", message));
  on("sent", (message) => log.add("out", message));
  on("turn", begin);
  on("listened", ({ turnId }) => {
    views.get(turnId)?.listened();
    if (turnId === spokenTurn) setMode("idle");
  });
  on("transcript", ({ turn_id, text: understood, final }) => {
    const view = views.get(turn_id);
    if (final) view?.understood(understood);
    else view?.setSaid(understood, false);
  });
  on("reply_text", ({ turn_id, delta }) => views.get(turn_id)?.addReply(delta));
  on("audio", ({ turn_id, words }) => views.get(turn_id)?.addWords(words ?? []));
  on("interrupted", ({ turnId, playedMs }) => {
    views.get(turnId)?.cut(playedMs);
    views.get(turnId)?.setState("done");
    if (turnId === spokenTurn) setMode("idle");
  });
  on("turn_end", (end) => {
    const view = views.get(end.turn_id);
    view?.finish(end);
    timing.add(end);
    // What is heard need not be read out as well.
    if (view && !view.hasAudio) announce.textContent = view.text;
  });
  on("hands_free", ({ enabled }) => {
    handsFree.setAttribute("aria-pressed", String(enabled));
    hold.disabled = enabled || !made.canSpeak;
    showHint();
    if (enabled) wave.wake();
  });
  on("error", (problem) => {
    const view = problem.turnId ? views.get(problem.turnId) : undefined;
    if (view && handsFreeIsOn() && problem.code === "no_speech") remove(problem.turnId);
    else if (view) view.fail(problem);
    else report(problem);
    if (problem.turnId === spokenTurn) setMode("idle");
  });
}

/** @param {import("parley-client").Turn} turn */
function begin({ id, spoken, said, attempt }) {
  empty.hidden = true;
  tell("");
  if (attempt > 1) views.get(id)?.root.remove();
  const view = new TurnView(turnList, { spoken: spoken && attempt === 1, text: said });
  view.onRetry = () => conversation?.retry(id);
  views.set(id, view);
  if (spoken && attempt === 1) {
    spokenTurn = id;
    view.setState("listening");
    setMode("listening");
  }
  talk.scrollTop = talk.scrollHeight;
}

/** @param {string | undefined} turnId a noise, that hands-free took for speech */
function remove(turnId = "") {
  views.get(turnId)?.root.remove();
  views.delete(turnId);
}

/** @param {import("parley-client/messages.js").Message[]} history of a session that goes on */
function showHistory(history) {
  for (const { role, text: said, turn_id, heard } of history) {
    empty.hidden = true;
    const known = views.get(turn_id);
    const view = known ?? new TurnView(turnList, { spoken: false, text: "" });
    views.set(turn_id, view);
    if (role === "user") view.setSaid(said, true);
    else view.recall(said, heard ?? undefined);
  }
}

/** @param {import("parley-client/connection.js").StateChange} change */
function showState({ state, problem, attempt, attempts, retryInMs }) {
  stateView.dataset["state"] = state;
  const count = retryInMs === undefined ? "" : ` (${attempt} of ${attempts})`;
  stateView.replaceChildren(STATES[state], element("span", "count", count));
  const canSpeak = conversation?.canSpeak ?? false;
  for (const control of [hold, text, say, handsFree]) control.disabled = !canSpeak;
  if (!canSpeak) setMode("idle");
  if (handsFreeIsOn()) hold.disabled = true;
  if (state === "ready") tell("");
  showTransport();
  if (state === "connecting" && problem) link.open = true;
  if (problem) report(problem);
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
  interruptButton.disabled = !conversation?.canInterrupt;
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

/** @param {string} message nothing to clear it */
function tell(message) {
  notice.textContent = message;
  notice.hidden = !message;
}

/** @param {Problem} problem */
function report(problem) {
  const goOn = problem.code.startsWith("microphone_") ? " You can go on typing." : "";
  const lost = conversation?.state === "failed" ? " Connect again." : "";
  tell(problem.message + goOn + lost);
}

/** @param {string} message */
function sayTyped(message) {
  player.unlock();
  const turn = conversation?.say(message);
  turn?.catch(() => {
    if (!turn.begun) text.value ||= message;
  });
}

function startTalking() {
  player.unlock();
  tell("");
  setMode("opening");
  conversation?.startSpeaking().catch(() => setMode("idle"));
}

function stopTalking() {
  setMode("idle");
  void conversation?.stopSpeaking();
}

async function toggleHandsFree() {
  player.unlock();
  tell("");
  try {
    if (handsFreeIsOn()) await conversation?.stopHandsFree();
    else await conversation?.startHandsFree(settings.handsFree);
  } catch (problem) {
    if (problem instanceof Problem) report(problem);
    else throw problem;
  }
}

byId("connection", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void connect({ isChosen: true });
});
byId("own", HTMLButtonElement).addEventListener("click", () => (url.value = ownUrl()));
compose.addEventListener("submit", (event) => {
  event.preventDefault();
  const message = text.value.trim();
  text.value = "";
  if (message) sayTyped(message);
});
byId("ideas", HTMLElement).addEventListener("click", ({ target }) => {
  if (target instanceof HTMLButtonElement && !say.disabled) sayTyped(target.textContent ?? "");
});
holdToTalk(hold, { onPress: startTalking, onRelease: stopTalking });
handsFree.addEventListener("click", () => void toggleHandsFree());
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
player.on("progress", ({ turnId, playedMs, level }) => views.get(turnId)?.progress(playedMs, level));

// Follows the conversation, unless the reader has scrolled up.
let following = true;
talk.addEventListener("scroll", () => {
  following = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 80;
});
new ResizeObserver(() => following && talk.scrollTo({ top: talk.scrollHeight })).observe(turnList);

byId("save-events", HTMLButtonElement).addEventListener("click", () =>
  save("parley-events.jsonl", log.export()),
);
byId("save-transcript", HTMLButtonElement).addEventListener("click", () =>
  save("parley-transcript.txt", [...views.values()].map((view) => view.export()).join("\n")),
);
byId("forget", HTMLButtonElement).addEventListener("click", () => void startAnew());
showTabs(panel);

/** End the session, and begin another. */
async function startAnew() {
  await conversation?.end();
  keepSession(server, undefined);
  views.clear();
  turnList.replaceChildren();
  empty.hidden = false;
  await connect();
}

url.value = initialUrl();
takeToken(serverAt(url.value.trim()));
void connect();
