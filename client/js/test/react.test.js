/** Runs with React 19, and with React 18 by `--import ./test/react-18/register.js`. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Window } from "happy-dom";

import { FakeAudioContext, withSound } from "./audio.js";
import {
  FakeMicrophone,
  FakePlayer,
  FakePresence,
  FakeSocket,
  SocketClass,
  settled,
} from "./fakes.js";

const window = new Window();
// Node 21 and later have a navigator of their own, which cannot be assigned to.
Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });
Object.assign(globalThis, {
  window,
  document: window.document,
  HTMLElement: window.HTMLElement,
  IS_REACT_ACT_ENVIRONMENT: true,
});
const { StrictMode, act, createElement, version } = await import("react");
const { createRoot } = await import("react-dom/client");
const { useParley } = await import("../react.js");
const { Microphone } = await import("../microphone.js");

after(() => window.close());

/** Everything the page's parts have beside the fakes. */
class SilentPlayer extends FakePlayer {
  state = "idle";
  unlocked = 0;
  unlock() {
    this.unlocked += 1;
  }
  on() {
    return () => undefined;
  }
}

class HeldMicrophone extends FakeMicrophone {
  released = 0;
  release() {
    this.released += 1;
  }
}

/**
 * @param {{strict?: boolean, autoConnect?: boolean, httpUrl?: string, hasPlayer?: boolean,
 *   input?: InstanceType<typeof Microphone>,
 *   tools?: (render: number) => Record<string, () => unknown>}} [options]
 */
async function rendered({
  strict = false,
  autoConnect = true,
  httpUrl,
  hasPlayer = true,
  input,
  tools,
} = {}) {
  FakeSocket.all = [];
  const presence = new FakePresence();
  const player = new SilentPlayer();
  const microphone = new HeldMicrophone();
  /** @type {{parley: ReturnType<typeof useParley>, renders: number}} */
  const seen = { parley: /** @type {any} */ (undefined), renders: 0 };
  const App = () => {
    seen.renders += 1;
    seen.parley = useParley({
      url: "ws://test",
      httpUrl,
      baseDelayMs: 0,
      WebSocket: SocketClass,
      presence,
      player: /** @type {any} */ (hasPlayer ? player : undefined),
      microphone: /** @type {any} */ (input ?? microphone),
      autoConnect,
      tools: tools?.(seen.renders),
    });
    return createElement("p", null, seen.parley.turns.map(({ text }) => text).join("|"));
  };
  const place = document.createElement("div");
  const root = createRoot(place);
  const app = createElement(App);
  await act(async () => root.render(strict ? createElement(StrictMode, null, app) : app));
  const leave = () => act(async () => root.unmount());
  return { seen, place, player, microphone, leave };
}

/** @param {() => void} happens */
function then(happens) {
  return act(async () => {
    happens();
    await settled();
  });
}

test(`React ${version}: the hook connects, shows a turn as it comes, and closes`, async () => {
  const { seen, place, player, microphone, leave } = await rendered();
  assert.equal(seen.parley.state, "connecting");
  await then(() => FakeSocket.last.becomesReady());
  assert.equal(seen.parley.state, "ready");
  assert.equal(seen.parley.canSpeak, true);
  await then(() => void seen.parley.say("hello"));
  const [turn] = seen.parley.turns;
  assert.ok(turn);
  assert.deepEqual([turn.said, turn.status, player.unlocked], ["hello", "waiting", 1]);
  const text = { type: "reply_text", turn_id: turn.id };
  await then(() => FakeSocket.last.says({ ...text, seq: 1, delta: "Good " }));
  await then(() => FakeSocket.last.says({ ...text, seq: 2, delta: "day." }));
  assert.equal(place.textContent, "Good day.");
  const end = { type: "turn_end", turn_id: turn.id, reason: "completed", text: "Good day." };
  await then(() => FakeSocket.last.says({ ...end, seq: 3, metrics: { total_ms: 5 } }));
  assert.equal(seen.parley.turns[0]?.status, "done");
  assert.deepEqual(seen.parley.turns[0]?.metrics, { total_ms: 5 });
  await leave();
  assert.equal(FakeSocket.last.readyState, 3);
  assert.equal(microphone.released, 1);
});

test(`React ${version}: the agent calls the functions of the latest render`, async () => {
  const { seen, leave } = await rendered({ tools: (render) => ({ count: () => `render ${render}` }) });
  await then(() => FakeSocket.last.becomesReady());
  assert.deepEqual(FakeSocket.last.sent[0]?.["tools"], ["count"]);
  await then(() => void seen.parley.say("hello"));
  const turn_id = seen.parley.turns[0]?.id;
  const call = { type: "client_call", turn_id, seq: 1, call_id: "c", name: "count" };
  const { renders } = seen;
  await then(() => FakeSocket.last.says({ ...call, arguments: {}, timeout_ms: 1_000 }));
  assert.ok(renders > 1);
  assert.deepEqual(FakeSocket.last.ofType("tool_result").map(({ result }) => result), [
    `render ${renders}`,
  ]);
  await leave();
});

test(`React ${version}: a reply falls silent when the component goes`, async () => {
  const { seen, player, leave } = await rendered();
  await then(() => FakeSocket.last.becomesReady());
  await then(() => void seen.parley.say("hello"));
  const turn_id = seen.parley.turns[0]?.id;
  const audio = { type: "audio", turn_id, seq: 1, audio: "AAA=", format: "pcm_24000" };
  await then(() => FakeSocket.last.says(audio));
  assert.equal(player.playing, turn_id);
  await leave();
  assert.equal(player.playing, "");
});

test(`React ${version}: the sound that the hook has made ends with it`, async (t) => {
  withSound(t);
  const { seen, leave } = await rendered({ hasPlayer: false });
  await then(() => seen.parley.unlock());
  assert.equal(FakeAudioContext.last.state, "running");
  await leave();
  assert.deepEqual(
    FakeAudioContext.all.map(({ state }) => state),
    ["closed"],
  );
});

for (const time of ["while the browser asks", "when it is open"]) {
  test(`React ${version}: a component that goes ${time} lets go of its microphone alone`, async (t) => {
    const { asked, live } = withSound(t);
    const input = new Microphone();
    const { seen, leave } = await rendered({ input });
    await then(() => FakeSocket.last.becomesReady());
    await then(() => void seen.parley.startSpeaking().catch(() => undefined));
    if (time === "when it is open") await then(() => void asked[0]?.allow());
    await leave();
    if (time !== "when it is open") await then(() => void asked[0]?.allow());
    assert.deepEqual(live(), []);
    const other = input.share();
    const opening = other.start(() => undefined);
    asked[1]?.allow();
    await opening;
    const another = await rendered({ input });
    await another.leave();
    assert.equal(live().length, 1, "another's stays open");
    other.release();
    assert.deepEqual(live(), []);
  });
}

for (const time of ["while the browser asks", "when it is open"]) {
  test(`React ${version}: gone ${time}, what was opened for the first word is let go`, async (t) => {
    const { asked, live } = withSound(t);
    const { seen, leave } = await rendered({ input: new Microphone() });
    await then(() => FakeSocket.last.becomesReady());
    await then(() => void seen.parley.microphone.open().catch(() => undefined));
    if (time === "when it is open") await then(() => void asked[0]?.allow());
    await leave();
    if (time !== "when it is open") await then(() => void asked[0]?.allow());
    assert.deepEqual([asked.length, live()], [1, []]);
  });
}

test(`React ${version}: it says that it goes on over HTTP`, async (t) => {
  const opened = { session_id: "s", resume_token: "t", settings: {} };
  t.mock.method(globalThis, "fetch", async () => Response.json(opened, { status: 201 }));
  const { seen, leave } = await rendered({ httpUrl: "https://test" });
  assert.equal(seen.parley.transport, "websocket");
  for (let handshakes = 1; handshakes <= 2; handshakes += 1) {
    while (FakeSocket.all.length < handshakes) await act(settled);
    await then(() => FakeSocket.last.ends(1006));
  }
  while (seen.parley.state !== "ready") await act(settled);
  assert.equal(seen.parley.transport, "http");
  await leave();
});

test(`React ${version}: a strict double mount leaves one connection`, async () => {
  const { seen, leave } = await rendered({ strict: true });
  await then(() => FakeSocket.last.becomesReady());
  assert.equal(seen.parley.state, "ready");
  assert.equal(FakeSocket.all.filter(({ readyState }) => readyState === 1).length, 1);
  await leave();
});

test(`React ${version}: problems are shown with their turn`, async () => {
  const { seen, leave } = await rendered();
  await then(() => FakeSocket.last.becomesReady());
  await then(() => void seen.parley.say("hello"));
  const turn_id = seen.parley.turns[0]?.id;
  const failed = { type: "error", code: "reply_failed", message: "Busy.", retryable: true };
  await then(() => FakeSocket.last.says({ ...failed, turn_id, seq: 1 }));
  assert.equal(seen.parley.turns[0]?.problem?.code, "reply_failed");
  await leave();
});

test(`React ${version}: listening is shown until the user has finished`, async () => {
  const { seen, microphone, leave } = await rendered();
  await then(() => FakeSocket.last.becomesReady());
  await then(() => {
    void seen.parley.startSpeaking();
    microphone.open();
  });
  assert.equal(seen.parley.isListening, true);
  await then(() => void seen.parley.stopSpeaking());
  assert.equal(seen.parley.isListening, false);
  assert.equal(seen.parley.turns[0]?.status, "waiting");
  await leave();
});

test(`React ${version}: what does not change is the same object, and renders nothing`, async () => {
  const { seen, leave } = await rendered({ autoConnect: false });
  assert.equal(seen.parley.state, "idle");
  const { say, interrupt } = seen.parley;
  await then(() => void seen.parley.connect());
  await then(() => FakeSocket.last.becomesReady());
  assert.equal(seen.parley.say, say);
  assert.equal(seen.parley.interrupt, interrupt);
  const { renders } = seen;
  await then(() => FakeSocket.last.says({ type: "pong", sent_at: 0 }));
  assert.equal(seen.renders, renders);
  await leave();
});
