import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";

import { WebSocket, WebSocketServer } from "ws";

import { Conversation } from "../conversation.js";
import { FakeMicrophone, READY } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */
/** @typedef {{type: string, turn_id: string}} Frame */

/**
 * A server on a real socket. When it is muted it neither reads nor writes any more, and closes
 * nothing: a network that swallows everything looks like that from the other side.
 * @param {Context} t
 * @param {(frame: Frame, say: (event: object) => void) => void} answer
 */
async function listening(t, answer) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  let isMuted = false;
  let connections = 0;
  server.on("connection", (socket) => {
    const isMutable = (connections += 1) === 1;
    const say = (/** @type {object} */ event) => {
      if (!isMuted || !isMutable) socket.send(JSON.stringify(event));
    };
    socket.on("message", (data) => {
      /** @type {Frame} */
      const frame = JSON.parse(String(data));
      if (frame.type === "init") say({ ...READY, resumed: connections > 1 });
      else if (frame.type === "ping") say({ type: "pong", sent_at: 0 });
      else answer(frame, say);
    });
  });
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const mute = () => {
    isMuted = true;
    for (const socket of server.clients) socket.pause();
  };
  return { url: `ws://127.0.0.1:${address.port}`, mute };
}

/**
 * @param {Context} t
 * @param {string} url
 * @param {import("../conversation.js").ConversationOptions} [options]
 */
async function connected(t, url, options) {
  const conversation = new Conversation(url, {
    WebSocket: /** @type {typeof globalThis.WebSocket} */ (/** @type {unknown} */ (WebSocket)),
    baseDelayMs: 1,
    ...options,
  });
  t.after(() => conversation.close());
  await conversation.connect();
  return conversation;
}

/**
 * The next time it has this state.
 * @param {Conversation} conversation
 * @param {string} state
 * @returns {Promise<import("../reconnector.js").StateChange>}
 */
function becomes(conversation, state) {
  return new Promise((resolve) => {
    const stop = conversation.on("state", (change) => {
      if (change.state !== state) return;
      stop();
      resolve(change);
    });
  });
}

const patient = { timeout: 30_000 };

// At once: each waits for seconds, and has a server of its own.
describe("a network that says nothing", { concurrency: true }, () => {
  test("a reply that a network swallows is noticed within 10 s and had all the same", patient, async (t) => {
    const server = await listening(t, (frame, say) => {
      if (frame.type !== "user_message") return;
      const text = { type: "reply_text", turn_id: frame.turn_id };
      say({ ...text, seq: 1, delta: "Good " });
      say({ ...text, seq: 2, delta: "day." });
      const end = { type: "turn_end", turn_id: frame.turn_id, seq: 3, reason: "completed" };
      if (isBack) say({ ...end, text: "Good day.", metrics: {} });
    });
    let isBack = false;
    const conversation = await connected(t, server.url);
    const turn = conversation.say("Hello");
    for await (const event of turn) if (event.seq === 2) break;
    server.mute();
    const lastSignMs = performance.now();
    isBack = true;
    const { problem } = await becomes(conversation, "reconnecting");
    assert.ok(performance.now() - lastSignMs < 10_000);
    assert.equal(problem?.code, "connection_lost");
    assert.equal((await turn).text, "Good day.");
  });

  test("speech into a network that swallows it is noticed within 10 s, and arrives", patient, async (t) => {
    let isDone = () => {};
    const arrived = new Promise((resolve) => (isDone = () => resolve(undefined)));
    let chunks = 0;
    const server = await listening(t, ({ type }) => {
      if (type === "audio_chunk") chunks += 1;
      if (type === "audio_end") isDone();
    });
    const microphone = new FakeMicrophone();
    const conversation = await connected(t, server.url, { microphone });
    conversation.startSpeaking();
    microphone.open();
    const pcm = new Uint8Array(3_200);
    let said = 0;
    const talking = setInterval(() => {
      said += 1;
      microphone.onChunk(pcm);
    }, 100);
    t.after(() => clearInterval(talking));
    while (chunks < 5) await new Promise((resolve) => setTimeout(resolve, 20));
    server.mute();
    const before = chunks;
    const lastSignMs = performance.now();
    await becomes(conversation, "reconnecting");
    const silentMs = performance.now() - lastSignMs;
    assert.ok(silentMs < 10_000);
    await becomes(conversation, "ready");
    clearInterval(talking);
    await conversation.stopSpeaking();
    await arrived;
    assert.ok(silentMs > 5_000, "the silence lasted for seconds");
    assert.ok(said > before, "meanwhile the user spoke");
    assert.ok(chunks >= said, "everything was said again");
  });

  test("a server that thinks for long is not taken for a dead one", patient, async (t) => {
    const server = await listening(t, ({ type, turn_id }, say) => {
      const end = { type: "turn_end", turn_id, seq: 1, reason: "completed", text: "So.", metrics: {} };
      if (type === "user_message") setTimeout(() => say(end), 3_000);
    });
    const times = { busyHeartbeatMs: 300, busyPongTimeoutMs: 1_000 };
    const conversation = await connected(t, server.url, times);
    /** @type {string[]} */
    const states = [];
    conversation.on("state", ({ state }) => states.push(state));
    assert.equal((await conversation.say("Think")).text, "So.");
    assert.deepEqual(states, []);
  });
});
