import assert from "node:assert/strict";
import { test } from "node:test";

import { toBase64 } from "../base64.js";
import { Conversation } from "../conversation.js";

/** @typedef {Record<string, unknown>} Frame */

/** A WebSocket without a network: keeps what is sent, says what it is told to say. */
class FakeSocket {
  /** @type {FakeSocket | undefined} */
  static last;
  readyState = 1;
  /** @type {Frame[]} */
  sent = [];
  onopen = () => {};
  /** @param {{data: string}} _frame */
  onmessage = (_frame) => {};
  onclose = () => {};
  constructor() {
    FakeSocket.last = this;
  }
  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  /** @param {Frame} frame */
  says(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
  /** @param {string} type */
  ofType(type) {
    return this.sent.filter((frame) => frame["type"] === type);
  }
  types() {
    return this.sent.slice(1).map((frame) => frame["type"]);
  }
  close() {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose();
  }
}

/** A microphone that opens when it is told to. */
class FakeMicrophone {
  /** @type {(pcm: Uint8Array) => void} */
  onChunk = () => {};
  /** @type {() => void} */
  open = () => {};
  stops = 0;
  /** @param {(pcm: Uint8Array) => void} onChunk */
  start(onChunk) {
    this.onChunk = onChunk;
    return /** @type {Promise<void>} */ (new Promise((resolve) => (this.open = resolve)));
  }
  async stop() {
    this.stops += 1;
    this.onChunk(new Uint8Array([9, 9]));
  }
}

class FakePlayer {
  /** @type {string[]} */
  played = [];
  playing = "";
  /** @param {string} turn */
  play(turn) {
    this.played.push(turn);
    this.playing = turn;
  }
  async stop() {
    this.playing = "";
    return 1234.5;
  }
  /** @param {string} turn */
  isPlaying(turn) {
    return turn === this.playing;
  }
}

const WebSocketClass = /** @type {typeof WebSocket} */ (/** @type {unknown} */ (FakeSocket));
const READY = { type: "ready", session_id: "s", settings: {}, limits: { max_text_chars: 100 } };

async function connected() {
  const microphone = new FakeMicrophone();
  const player = new FakePlayer();
  const conversation = new Conversation("ws://test", {
    WebSocket: WebSocketClass,
    microphone,
    player,
  });
  const connecting = conversation.connect();
  const socket = /** @type {FakeSocket} */ (FakeSocket.last);
  assert.equal(conversation.state, "connecting");
  socket.onopen();
  assert.deepEqual(socket.sent, [{ type: "init", protocol: 1, settings: {} }]);
  socket.says(READY);
  await connecting;
  return { conversation, socket, microphone, player };
}

function settle() {
  return new Promise((resolve) => setImmediate(resolve));
}

test("a conversation is ready after init and ready, and closed when the socket is", async (t) => {
  const { conversation, socket } = await connected();
  t.after(() => socket.close());
  assert.equal(conversation.state, "ready");
  assert.equal(conversation.sessionId, "s");
  /** @type {(string | undefined)[]} */
  const problems = [];
  conversation.on("state", ({ problem }) => problems.push(problem?.code));
  socket.close();
  assert.equal(conversation.state, "closed");
  assert.deepEqual(problems, ["connection_lost"]);
});

test("closing it ourselves is no problem", async () => {
  const { conversation } = await connected();
  /** @type {unknown[]} */
  const states = [];
  conversation.on("state", (change) => states.push(change));
  conversation.close();
  assert.deepEqual(states, [{ state: "closed" }]);
});

test("an error before ready is the reason why connecting failed", async () => {
  const conversation = new Conversation("ws://test", { WebSocket: WebSocketClass });
  const connecting = conversation.connect();
  FakeSocket.last?.says({ type: "error", code: "internal", message: "No.", retryable: true });
  await assert.rejects(connecting, { code: "internal", message: "No.", retryable: true });
  assert.equal(conversation.state, "closed");
});

test("a socket that never opens is a sentence", async () => {
  const conversation = new Conversation("ws://test", { WebSocket: WebSocketClass });
  const connecting = conversation.connect();
  FakeSocket.last?.close();
  await assert.rejects(connecting, { code: "unreachable", message: /ws:\/\/test/ });
});

test("an address that is none is a sentence", async () => {
  const conversation = new Conversation("http//nowhere", {});
  await assert.rejects(conversation.connect(), { code: "bad_url" });
});

for (const text of ["", "   ", "x".repeat(101)]) {
  test(`a text of ${text.length} characters is refused before it is sent`, async (t) => {
    const { conversation, socket } = await connected();
    t.after(() => socket.close());
    await assert.rejects(conversation.say(text), { name: "Problem" });
    assert.deepEqual(socket.types(), []);
  });
}

test("saying something without a connection is an error that says so", async () => {
  const conversation = new Conversation("ws://test");
  await assert.rejects(conversation.say("hello"), { code: "not_connected", retryable: true });
});

test("events are delivered in order and once, and the end of a turn is acknowledged", async (t) => {
  const { conversation, socket } = await connected();
  t.after(() => socket.close());
  const turn_id = await conversation.say("hello");
  /** @type {string[]} */
  const seen = [];
  conversation.on("reply_text", ({ delta }) => seen.push(delta));
  conversation.on("turn_end", ({ reason }) => seen.push(reason));
  const end = { type: "turn_end", turn_id, seq: 3, reason: "completed", text: "", metrics: {} };
  socket.says({ type: "reply_text", turn_id, seq: 2, delta: "b" });
  socket.says(end);
  socket.says({ type: "reply_text", turn_id, seq: 1, delta: "a" });
  socket.says({ type: "reply_text", turn_id, seq: 2, delta: "b" });
  socket.says(end);
  assert.deepEqual(seen, ["a", "b", "completed"]);
  assert.deepEqual(socket.ofType("ack"), [{ type: "ack", turn_id, seq: 3 }]);
});

test("API Gateway's own error frame becomes an error event", async (t) => {
  const { conversation, socket } = await connected();
  t.after(() => socket.close());
  /** @type {string[]} */
  const seen = [];
  conversation.on("error", ({ message }) => seen.push(message));
  socket.onmessage({ data: '{"message": "Internal server error", "connectionId":"x"}' });
  socket.onmessage({ data: "<html>" });
  assert.equal(seen[0], "Internal server error");
  assert.equal(seen.length, 2);
});

test("a spoken turn sends what was heard while it was announced, and its number of chunks", async (t) => {
  const { conversation, socket, microphone } = await connected();
  t.after(() => socket.close());
  const starting = conversation.startSpeaking();
  microphone.onChunk(new Uint8Array([1, 0]));
  assert.deepEqual(socket.types(), [], "not before the microphone is open");
  microphone.open();
  const turn_id = await starting;
  microphone.onChunk(new Uint8Array([2, 0]));
  await conversation.stopSpeaking();
  assert.deepEqual(socket.sent.slice(1), [
    { type: "audio_start", turn_id, format: "pcm_16000", endpointing: "manual" },
    { type: "audio_chunk", turn_id, seq: 1, audio: toBase64(new Uint8Array([1, 0])) },
    { type: "audio_chunk", turn_id, seq: 2, audio: toBase64(new Uint8Array([2, 0])) },
    { type: "audio_chunk", turn_id, seq: 3, audio: toBase64(new Uint8Array([9, 9])) },
    { type: "audio_end", turn_id, chunks: 3 },
  ]);
});

test("letting go before the microphone is open says nothing", async (t) => {
  const { conversation, socket, microphone } = await connected();
  t.after(() => socket.close());
  const starting = conversation.startSpeaking();
  await conversation.stopSpeaking();
  microphone.open();
  assert.equal(await starting, undefined);
  assert.deepEqual(socket.types(), []);
  assert.equal(microphone.stops, 1);
});

test("chunks that the server misses are sent again", async (t) => {
  const { conversation, socket, microphone } = await connected();
  t.after(() => socket.close());
  const starting = conversation.startSpeaking();
  microphone.open();
  const turn_id = await starting;
  for (const byte of [1, 2, 3]) microphone.onChunk(new Uint8Array([byte, 0]));
  await conversation.stopSpeaking();
  socket.sent.length = 1;
  const gap = { type: "error", code: "audio_gap", message: "", retryable: true, missing: [2, 9] };
  socket.says({ ...gap, turn_id, seq: 1 });
  const audio = toBase64(new Uint8Array([2, 0]));
  assert.deepEqual(socket.sent.slice(1), [{ type: "audio_chunk", turn_id, seq: 2, audio }]);
});

test("interrupting tells how much was heard, once, and plays no more of that turn", async (t) => {
  const { conversation, socket, player } = await connected();
  t.after(() => socket.close());
  const turn_id = await conversation.say("hello");
  const audio = { type: "audio", turn_id, audio: "AAA=", format: "pcm_24000" };
  socket.says({ ...audio, seq: 1 });
  await Promise.all([conversation.interrupt(), conversation.interrupt()]);
  socket.says({ ...audio, seq: 2 });
  assert.deepEqual(player.played, [turn_id]);
  assert.deepEqual(socket.ofType("interrupt"), [
    { type: "interrupt", turn_id, played_ms: 1234.5 },
  ]);
});

test("a reply that is over but still sounds can be interrupted; one that has sounded cannot", async (t) => {
  const { conversation, socket, player } = await connected();
  t.after(() => socket.close());
  const turn_id = await conversation.say("hello");
  socket.says({ type: "audio", turn_id, seq: 1, audio: "AAA=", format: "pcm_24000" });
  socket.says({ type: "turn_end", turn_id, seq: 2, reason: "completed", text: "", metrics: {} });
  assert.equal(conversation.canInterrupt, true);
  player.playing = "";
  assert.equal(conversation.canInterrupt, false);
  await conversation.interrupt();
  assert.deepEqual(socket.ofType("interrupt"), []);
});

test("messages sent at once are all sent, in order, each interrupting the one before", async (t) => {
  const { conversation, socket } = await connected();
  t.after(() => socket.close());
  await conversation.say("one");
  await Promise.all([conversation.say("two"), conversation.say("three")]);
  assert.deepEqual(
    socket.sent.slice(1).map((frame) => frame["text"] ?? frame["type"]),
    ["one", "interrupt", "two", "interrupt", "three"],
  );
});

test("interrupting while speaking takes back what is being said", async (t) => {
  const { conversation, socket, microphone } = await connected();
  t.after(() => socket.close());
  const starting = conversation.startSpeaking();
  microphone.open();
  await starting;
  await conversation.interrupt();
  await conversation.stopSpeaking();
  assert.deepEqual(socket.types(), ["audio_start", "interrupt"]);
  assert.equal(microphone.stops, 1);
});

test("a turn that loses its connection is told so", async () => {
  const { conversation, socket } = await connected();
  const turnId = await conversation.say("hello");
  /** @type {unknown[]} */
  const seen = [];
  conversation.on("error", (problem) => seen.push([problem.code, problem.turnId]));
  socket.close();
  assert.deepEqual(seen, [["connection_lost", turnId]]);
});

test("ending waits for the server's word before it closes", async () => {
  const { conversation, socket } = await connected();
  const ending = conversation.end();
  await settle();
  assert.equal(socket.readyState, 1);
  socket.says({ type: "session_ended", session_id: "s" });
  await ending;
  assert.equal(socket.readyState, 3);
});
