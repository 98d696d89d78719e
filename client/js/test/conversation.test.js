import assert from "node:assert/strict";
import { test } from "node:test";

import { toBase64 } from "../base64.js";
import { Conversation } from "../conversation.js";
import { connected, said, speaking, turnEnd } from "./connected.js";
import { settled } from "./fakes.js";

test("a conversation is ready after init and ready, and closed when we close it", async (t) => {
  const { conversation, socket } = await connected(t);
  assert.deepEqual(socket.sent, [{ type: "init", protocol: 1, settings: {} }]);
  assert.deepEqual(conversation.session, { id: "s", token: "t1" });
  /** @type {unknown[]} */
  const states = [];
  conversation.on("state", ({ state, problem }) => states.push([state, problem]));
  conversation.close();
  assert.deepEqual(states, [["closed", undefined]]);
});

for (const text of ["", "   ", "x".repeat(101)]) {
  test(`a text of ${text.length} characters is refused before it is sent`, async (t) => {
    const { conversation, socket } = await connected(t);
      await assert.rejects(conversation.say(text), { name: "Problem" });
    assert.deepEqual(socket.types(), []);
  });
}

test("saying something without a connection is an error that says so", async () => {
  const conversation = new Conversation("ws://test");
  await assert.rejects(conversation.say("hello"), { code: "not_connected", retryable: true });
});

test("a turn's id sorts after those before it", async (t) => {
  const { conversation } = await connected(t);
  /** @type {string[]} */
  const ids = [];
  for (let count = 0; count < 20; count += 1) ids.push((await said(conversation)).turn.id);
  assert.deepEqual([...new Set(ids)].sort(), ids);
});

test("events are delivered in order and once, and the end of a turn is acknowledged", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  const turn_id = turn.id;
  /** @type {string[]} */
  const seen = [];
  conversation.on("reply_text", ({ delta }) => seen.push(delta));
  conversation.on("turn_end", ({ reason }) => seen.push(reason));
  socket.says({ type: "reply_text", turn_id, seq: 2, delta: "b" });
  socket.says(turnEnd(turn_id, 3));
  socket.says({ type: "reply_text", turn_id, seq: 1, delta: "a" });
  socket.says({ type: "reply_text", turn_id, seq: 2, delta: "b" });
  assert.deepEqual(seen, ["a", "b", "completed"]);
  assert.deepEqual(socket.ofType("ack"), [{ type: "ack", turn_id, seq: 3 }]);
});

test("API Gateway's own error frame becomes an error event", async (t) => {
  const { conversation, socket } = await connected(t);
  /** @type {string[]} */
  const seen = [];
  conversation.on("error", ({ message }) => seen.push(message));
  socket.onmessage({ data: '{"message": "Internal server error", "connectionId":"x"}' });
  socket.onmessage({ data: "<html>" });
  assert.equal(seen[0], "The server could not take a message (Internal server error). Try again.");
  assert.equal(seen.length, 2);
});

test("a spoken turn sends what was heard while it was announced, and its number of chunks", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const turn = conversation.startSpeaking();
  microphone.onChunk(new Uint8Array([1, 0]));
  assert.deepEqual(socket.types(), [], "not before the microphone is open");
  microphone.open();
  await settled();
  const turn_id = turn.id;
  microphone.onChunk(new Uint8Array([2, 0]));
  await conversation.stopSpeaking();
  assert.deepEqual(socket.sent.slice(1), [
    { type: "audio_start", turn_id, format: "pcm_16000", endpointing: "manual", attempt: 1 },
    { type: "audio_chunk", turn_id, seq: 1, audio: toBase64(new Uint8Array([1, 0])) },
    { type: "audio_chunk", turn_id, seq: 2, audio: toBase64(new Uint8Array([2, 0])) },
    { type: "audio_chunk", turn_id, seq: 3, audio: toBase64(new Uint8Array([9, 9])) },
    { type: "audio_end", turn_id, chunks: 3 },
  ]);
});

test("letting go before the microphone is open says nothing", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const turn = conversation.startSpeaking();
  await conversation.stopSpeaking();
  microphone.open();
  assert.equal((await turn).reason, "cancelled");
  assert.deepEqual(socket.types(), []);
  assert.equal(microphone.stops, 1);
});

test("chunks that the server misses are sent again", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const { turn } = await speaking(conversation, microphone);
  const turn_id = turn.id;
  for (const byte of [1, 2, 3]) microphone.onChunk(new Uint8Array([byte, 0]));
  await conversation.stopSpeaking();
  socket.sent.length = 1;
  const gap = { type: "error", code: "audio_gap", message: "", retryable: true, missing: [2, 9] };
  socket.says({ ...gap, turn_id, seq: 1 });
  const audio = toBase64(new Uint8Array([2, 0]));
  assert.deepEqual(socket.sent.slice(1), [{ type: "audio_chunk", turn_id, seq: 2, audio }]);
});

test("interrupting tells how much was heard, once, and plays no more of that turn", async (t) => {
  const { conversation, socket, player } = await connected(t);
  const { turn } = await said(conversation);
  const turn_id = turn.id;
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
  const { conversation, socket, player } = await connected(t);
  const { turn } = await said(conversation);
  const turn_id = turn.id;
  socket.says({ type: "audio", turn_id, seq: 1, audio: "AAA=", format: "pcm_24000" });
  socket.says(turnEnd(turn_id, 2));
  assert.equal(conversation.canInterrupt, true);
  player.playing = "";
  assert.equal(conversation.canInterrupt, false);
  await conversation.interrupt();
  assert.deepEqual(socket.ofType("interrupt"), []);
});

test("messages sent at once are all sent, in order, each interrupting the one before", async (t) => {
  const { conversation, socket } = await connected(t);
  await said(conversation, "one");
  conversation.say("two");
  await said(conversation, "three");
  assert.deepEqual(
    socket.sent.slice(1).map((frame) => frame["text"] ?? frame["type"]),
    ["one", "interrupt", "two", "interrupt", "three"],
  );
});

test("interrupting while speaking takes back what is being said", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const { turn } = await speaking(conversation, microphone);
  await conversation.interrupt();
  await conversation.stopSpeaking();
  assert.deepEqual(socket.types(), ["audio_start", "interrupt"]);
  assert.equal(microphone.stops, 1);
});

test("what goes wrong for good fails the turns that are waited for", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  /** @type {unknown[]} */
  const seen = [];
  conversation.on("error", (problem) => seen.push([problem.code, problem.turnId]));
  socket.ends(1008);
  assert.deepEqual(seen, [["connection_lost", turn.id]]);
  await assert.rejects(turn, { code: "connection_lost", retryable: true });
  assert.equal(conversation.state, "failed");
});

test("ending waits for the server's word before it closes", async (t) => {
  const { conversation, socket } = await connected(t);
  const ending = conversation.end();
  await settled();
  assert.equal(socket.readyState, 1);
  socket.says({ type: "session_ended", session_id: "s" });
  await ending;
  assert.equal(socket.readyState, 3);
});

test("ending silences the reply, and tells first how much of it was heard", async (t) => {
  const { conversation, socket, player } = await connected(t);
  const { turn } = await said(conversation);
  socket.says({ type: "audio", turn_id: turn.id, seq: 1, audio: "AAA=", format: "pcm_24000" });
  socket.says(turnEnd(turn.id, 2));
  void conversation.end();
  await settled();
  assert.equal(player.playing, "");
  assert.deepEqual(socket.types().slice(-2), ["interrupt", "end"]);
});

test("what has come is heard to its end after closing, unless it is interrupted", async (t) => {
  const { conversation, socket, player } = await connected(t);
  const { turn } = await said(conversation);
  socket.says({ type: "audio", turn_id: turn.id, seq: 1, audio: "AAA=", format: "pcm_24000" });
  conversation.close();
  assert.deepEqual([player.playing, conversation.canInterrupt], [turn.id, true]);
  await conversation.interrupt();
  assert.equal(player.playing, "");
});

/** @param {string} turn_id */
function replyTo(turn_id) {
  const text = { type: "reply_text", turn_id };
  return [
    { ...text, seq: 1, delta: "Good " },
    { ...text, seq: 2, delta: "day." },
    turnEnd(turn_id, 3, { text: "Good day." }),
  ];
}

test("a turn is awaited for the whole reply", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  for (const event of replyTo(turn.id)) socket.says(event);
  const { reason, said: asked, text } = await turn;
  assert.deepEqual([reason, asked, text], ["completed", "hello", "Good day."]);
});

test("a turn is iterated from its first event to its last, even late", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  const [first, ...rest] = replyTo(turn.id);
  if (first) socket.says(first);
  const seen = [];
  for await (const event of turn) {
    seen.push(event.type);
    for (const next of rest.splice(0)) socket.says(next);
  }
  assert.deepEqual(seen, ["reply_text", "reply_text", "turn_end"]);
});

test("a turn that failed says why, and its next attempt starts anew", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  const turn_id = turn.id;
  socket.says({ type: "reply_text", turn_id, seq: 1, delta: "Half a" });
  socket.says(turnEnd(turn_id, 0, { reason: "failed", code: "internal", retryable: true }));
  await assert.rejects(turn, { code: "internal", retryable: true });
  assert.deepEqual(socket.ofType("ack"), [{ type: "ack", turn_id, seq: 1 }]);
  const again = conversation.retry(turn_id);
  assert.ok(again);
  await settled();
  assert.deepEqual(
    socket.ofType("user_message").map((frame) => frame["attempt"]),
    [1, 2],
  );
  socket.says({ type: "reply_text", turn_id, seq: 2, delta: " is void" });
  for (const event of replyTo(turn_id)) socket.says({ ...event, attempt: 2 });
  assert.equal((await again).text, "Good day.");
  assert.equal(conversation.retry(turn_id), undefined);
});

test("a reply that is tried again while it is still heard falls silent, and is not interrupted", async (t) => {
  const { conversation, socket, player } = await connected(t);
  const { turn } = await said(conversation);
  const turn_id = turn.id;
  const audio = { type: "audio", turn_id, audio: "AAA=", format: "pcm_24000" };
  socket.says({ ...audio, seq: 1 });
  socket.says(turnEnd(turn_id, 2, { reason: "failed", code: "internal", retryable: true }));
  await assert.rejects(turn, { code: "internal" });
  assert.ok(conversation.retry(turn_id));
  await settled();
  assert.deepEqual(socket.types(), ["user_message", "ack", "user_message"]);
  assert.deepEqual(player.begun, [[turn_id, false], [turn_id, false]]);
  socket.says({ ...audio, seq: 1, attempt: 2 });
  assert.deepEqual(player.played, [turn_id, turn_id]);
});

test("a turn that met a limit says which, and when to try again", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  const limit = { name: "turns_per_minute", value: 30, scope: "subject" };
  const error = { code: "rate_limited", message: "Slower.", retryable: true };
  const more = { turn_id: turn.id, seq: 1, retry_after_ms: 2_000, limit };
  socket.says({ type: "error", ...error, ...more });
  socket.says(turnEnd(turn.id, 2, { reason: "failed", code: "rate_limited", retryable: true }));
  await assert.rejects(turn, { ...error, retryAfterMs: 2_000, limit });
});

test("the last event of a turn that comes again is acknowledged again, and not shown", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  const events = replyTo(turn.id);
  let ends = 0;
  conversation.on("turn_end", () => (ends += 1));
  for (const event of [...events, ...events]) socket.says(event);
  assert.equal(ends, 1);
  assert.equal(socket.ofType("ack").length, 2);
});

test("what was heard just before the key was pressed is asked of the microphone", async (t) => {
  const { conversation, microphone } = await connected(t);
  conversation.startSpeaking();
  assert.equal(microphone.prerollMs, 300);
});

test("who leaves the end to the server is listened to until the final transcript", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const { turn } = await speaking(conversation, microphone, { endpointing: "server_vad" });
  /** @type {string[]} */
  const seen = [];
  conversation.on("listened", ({ turnId }) => seen.push(turnId));
  microphone.onChunk(new Uint8Array([1, 0]));
  const transcript = { type: "transcript", turn_id: turn.id };
  socket.says({ ...transcript, seq: 1, text: "What", final: false });
  assert.deepEqual([seen, microphone.stops], [[], 0]);
  socket.says({ ...transcript, seq: 2, text: "What time is it?", final: true });
  assert.deepEqual([seen, microphone.stops], [[turn.id], 1]);
  await conversation.stopSpeaking();
  assert.deepEqual(socket.types(), ["audio_start", "audio_chunk", "audio_end"]);
  assert.equal(socket.ofType("audio_start")[0]?.["endpointing"], "server_vad");
});

test("who stops before the server has noticed the end, ends the turn", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const { turn } = await speaking(conversation, microphone, { endpointing: "server_vad" });
  await conversation.stopSpeaking();
  assert.deepEqual(socket.types(), ["audio_start", "audio_chunk", "audio_end"]);
  socket.says({ type: "transcript", turn_id: turn.id, seq: 1, text: "Hm", final: true });
  assert.equal(microphone.stops, 1);
});
