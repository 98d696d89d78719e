/** The page: wires conversation, microphone and player to what is seen and pressed. */
import { fromBase64 } from "/client/base64.js";
import { Conversation, Microphone, Player } from "/client/index.js";
import { sampleRateOf } from "/client/pcm.js";
import { initialUrl, remember } from "./address.js";
import { EventLog } from "./event-log.js";
import { Figures } from "./figures.js";
import { TurnView } from "./turn-view.js";

/** @typedef {import("/client/messages.js").ServerEvent} ServerEvent */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`#${id} is missing`);
  return found;
}

const url = byId("url", HTMLInputElement);
const text = byId("text", HTMLInputElement);
const hold = byId("hold", HTMLButtonElement);
const holdLabel = byId("hold-label", HTMLElement);
const level = byId("level", HTMLElement);
const say = byId("say", HTMLButtonElement);
const interruptButton = byId("interrupt", HTMLButtonElement);
const stateView = byId("state", HTMLElement);
const notice = byId("notice", HTMLElement);
const turnList = byId("turns", HTMLElement);

const player = new Player();
const microphone = new Microphone();
const log = new EventLog(byId("events", HTMLElement));
const figures = new Figures(byId("bars", HTMLElement), byId("legend", HTMLElement));
/** @type {Map<string, TurnView>} */
const views = new Map();
/** @type {Conversation | undefined} */
let conversation;
/** @type {import("/client/conversation.js").SpokenTurn | undefined} */
let speaking;
let current = "";
let running = false;
let holding = false;

const STATES = { idle: "not connected", connecting: "connecting …", ready: "connected", closed: "disconnected" };

async function connect() {
  conversation?.close();
  const made = (conversation = new Conversation(url.value));
  made.addEventListener("state", () => made === conversation && showState(made.state));
  made.addEventListener("message", (event) => {
    const detail = /** @type {CustomEvent<ServerEvent>} */ (event).detail;
    log.add("in", detail);
    handle(detail);
  });
  try {
    await made.connect();
    remember(url.value);
    tell("");
  } catch (error) {
    if (made === conversation) tell(/** @type {Error} */ (error).message);
  }
}

/** @param {keyof typeof STATES} state */
function showState(state) {
  stateView.dataset["state"] = state;
  stateView.textContent = STATES[state];
  const ready = state === "ready";
  for (const control of [hold, text, say]) control.disabled = !ready;
  if (!ready) running = false;
  showInterrupt();
}

/** @param {ServerEvent} event */
function handle(event) {
  if (event.type === "error" && !event.turn_id) {
    tell(event.message);
    return;
  }
  const view = "turn_id" in event && event.turn_id ? views.get(event.turn_id) : undefined;
  if (!view) return;
  switch (event.type) {
    case "transcript":
      view.setSaid(event.text, event.final);
      break;
    case "reply_text":
      view.addReply(event.delta);
      break;
    case "audio":
      view.sounded();
      void player.play(event.turn_id, fromBase64(event.audio), sampleRateOf(event.format));
      break;
    case "turn_end":
      view.finish(event);
      figures.add(event.metrics);
      if (event.turn_id === current) running = false;
      break;
    case "error":
      view.fail(event.message);
      break;
  }
  showInterrupt();
  turnList.parentElement?.scrollTo({ top: turnList.scrollHeight });
}

function showInterrupt() {
  interruptButton.disabled = !(running || player.busy);
}

/** @param {string} message */
function tell(message) {
  notice.textContent = message;
  notice.hidden = !message;
}

/** @param {string} turnId */
function begin(turnId) {
  current = turnId;
  running = true;
  byId("empty", HTMLElement).hidden = true;
  const view = new TurnView(turnList);
  views.set(turnId, view);
  showInterrupt();
  return view;
}

async function interrupt() {
  const turn = current;
  if (!turn || !(running || player.busy)) return;
  const playedMs = await player.stop(turn);
  conversation?.interrupt(turn, playedMs);
  log.add("out", { type: "interrupt", turn_id: turn, played_ms: playedMs });
  running = false;
  showInterrupt();
}

async function sayTyped() {
  const message = text.value.trim();
  if (!message || !conversation) return;
  text.value = "";
  await player.unlock();
  await interrupt();
  const view = begin(conversation.say(message));
  view.setSaid(message, true);
  view.times.clear();
  view.start();
  log.add("out", { type: "user_message", text: message });
}

async function startHolding() {
  if (holding || hold.disabled || !conversation) return;
  holding = true;
  hold.setAttribute("aria-pressed", "true");
  holdLabel.textContent = "Listening …";
  await player.unlock();
  await interrupt();
  /** @type {import("/client/conversation.js").SpokenTurn | undefined} */
  let turn;
  try {
    await microphone.start((pcm) => {
      if (!turn) return;
      turn.chunk(pcm);
      level.style.transform = `scaleX(${Math.min(1, microphone.level * 1.6)})`;
    });
  } catch (error) {
    release();
    const denied = error instanceof DOMException && error.name === "NotAllowedError";
    tell(
      denied
        ? "The microphone is not allowed. You can go on typing; to talk, allow it in the address bar."
        : "No microphone was found. You can go on typing.",
    );
    return;
  }
  turn = speaking = conversation.startSpeech();
  begin(turn.id).setSaid("", false);
  log.add("out", { type: "audio_start", turn_id: turn.id });
  if (!holding) await stopHolding();
}

async function stopHolding() {
  release();
  const turn = speaking;
  if (!turn) return;
  speaking = undefined;
  await microphone.stop();
  turn.end();
  views.get(turn.id)?.start();
  log.add("out", { type: "audio_end", turn_id: turn.id, chunks: turn.chunks });
}

function release() {
  holding = false;
  hold.setAttribute("aria-pressed", "false");
  holdLabel.textContent = "Hold to talk";
  level.style.transform = "";
}

byId("connection", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void connect();
});
byId("compose", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void sayTyped();
});
interruptButton.addEventListener("click", () => void interrupt());
hold.addEventListener("pointerdown", (event) => {
  hold.setPointerCapture(event.pointerId);
  void startHolding();
});
for (const kind of ["pointerup", "pointercancel"]) {
  hold.addEventListener(kind, () => void stopHolding());
}
hold.addEventListener("contextmenu", (event) => event.preventDefault());

/** @param {KeyboardEvent} event */
function isTyping(event) {
  return event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") void interrupt();
  if (event.code !== "Space" || isTyping(event)) return;
  event.preventDefault();
  if (!event.repeat) void startHolding();
});
document.addEventListener("keyup", (event) => {
  if (event.code === "Space" && !isTyping(event)) void stopHolding();
});
player.addEventListener("blocked", () => tell("The browser holds the sound back. Press any button."));
player.addEventListener("playing", showInterrupt);
player.addEventListener("idle", showInterrupt);

url.value = initialUrl();
showState("idle");
void connect();

// For tests and for the curious: what is heard can be tapped from here.
Object.assign(window, { parley: { player, microphone, views } });
