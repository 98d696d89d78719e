import assert from "node:assert/strict";
import { test } from "node:test";

import { ConversationView } from "../conversation-view.js";
import { Problem } from "../problem.js";
import { begun, connected, ready, said, speaking, turnEnd } from "./connected.js";
import { FakeSocket, NoticingMicrophone, settled } from "./fakes.js";

test("a spoken turn that cannot go on is done, and nobody is listened to any more", async (t) => {
  const { conversation, socket, microphone } = await connected(t, { queue: { maxMessages: 2 } });
  const view = new ConversationView(conversation);
  socket.ends(1006);
  const { turn } = await speaking(conversation, microphone);
  assert.equal(view.snapshot().isListening, true);
  for (let i = 0; i < 5; i += 1) microphone.onChunk(new Uint8Array([i, 0]));
  await settled();
  const { turns, isListening, problem } = view.snapshot();
  assert.deepEqual(turns.map(({ id, status }) => [id, status]), [[turn.id, "done"]]);
  assert.equal(turns[0]?.problem?.code, "queue_full");
  assert.equal(problem?.turnId, turn.id);
  assert.equal(isListening, false);
});

test("a turn that is not waited for any longer is done, until its events come after all", async (t) => {
  const { conversation, socket } = await connected(t);
  const view = new ConversationView(conversation);
  const { turn } = await said(conversation);
  socket.ends(1008);
  await settled();
  assert.equal(view.snapshot().turns[0]?.status, "done");
  assert.equal(view.snapshot().turns[0]?.problem?.code, "connection_lost");
  const reply = { type: "reply_text", turn_id: turn.id, seq: 1, delta: "Good day." };
  void conversation.connect();
  await settled();
  await ready({ resumed: true });
  FakeSocket.last.says(reply);
  assert.deepEqual(
    view.snapshot().turns.map(({ status, text }) => [status, text]),
    [["replying", "Good day."]],
  );
});

test("what cannot be said is told with its turn", async (t) => {
  const { conversation } = await connected(t);
  /** @type {unknown[]} */
  const problems = [];
  conversation.on("error", ({ code, turnId }) => problems.push([code, turnId]));
  const turn = conversation.say("  ");
  await assert.rejects(turn, { code: "bad_request" });
  assert.deepEqual(problems, [["bad_request", turn.id]]);
});

test("what was heard of a reply that has ended is known by its words, and never half a word", async (t) => {
  const { conversation, socket, player } = await connected(t);
  const view = new ConversationView(conversation);
  const { turn } = await said(conversation);
  const about = { turn_id: turn.id };
  const audio = { audio: "AAAA", format: "pcm_24000", start_ms: 0, duration_ms: 900 };
  socket.says({ type: "reply_text", ...about, seq: 1, delta: "Lulu 唱了。" });
  const words = [["Lulu", 0, 400], ["唱", 450, 600], ["了。", 600, 900]];
  socket.says({ type: "audio", ...about, seq: 2, ...audio, words });
  const text = "Lulu 唱了。";
  socket.says({ type: "turn_end", ...about, seq: 3, reason: "completed", text, metrics: {} });
  await turn;
  for (const [playedMs, heard] of /** @type {[number, string][]} */ ([[399, ""], [599, "Lulu"], [600, "Lulu 唱"]])) {
    conversation.emit("interrupted", { turnId: turn.id, playedMs });
    assert.equal(view.snapshot().turns[0]?.heard, heard);
  }
});

test("what was heard of a voice that gives no times is told to be an estimate", async (t) => {
  const { conversation, socket } = await connected(t);
  const view = new ConversationView(conversation);
  const { turn } = await said(conversation);
  const about = { turn_id: turn.id };
  socket.says({ type: "reply_text", ...about, seq: 1, delta: "One two." });
  const audio = { audio: "AAAA", format: "pcm_24000", start_ms: 0, duration_ms: 900 };
  const words = [["One", 0, 400], ["two.", 400, 900]];
  socket.says({ type: "audio", ...about, seq: 2, ...audio, words, estimated: true });
  const end = { reason: "interrupted", text: "One two.", heard: "One", heard_estimated: true };
  socket.says({ type: "turn_end", ...about, seq: 3, ...end, metrics: {} });
  const { heard, isHeardEstimated } = await turn;
  assert.deepEqual([heard, isHeardEstimated, turn.isHeardEstimated], ["One", true, true]);
  assert.equal(view.snapshot().turns[0]?.isHeardEstimated, true);
});

test("what a lost session held is marked for good, and what is said again is not", async (t) => {
  const { conversation, socket } = await connected(t, { baseDelayMs: 0 });
  const view = new ConversationView(conversation);
  const { turn: done } = await said(conversation, "one");
  socket.says(turnEnd(done.id, 1));
  const { turn: open } = await said(conversation, "two");
  socket.ends(1006);
  while (FakeSocket.last === socket) await settled();
  const gone = { type: "error", code: "session_not_found", message: "Gone.", retryable: false };
  FakeSocket.last.opens();
  FakeSocket.last.says(gone);
  await settled();
  await ready({ session_id: "another" });
  const marks = () => view.snapshot().turns.map(({ id, isForgotten }) => [id, isForgotten]);
  assert.deepEqual(marks(), [
    [done.id, true],
    [open.id, undefined],
  ]);
  assert.equal(view.snapshot().problem, undefined, "the sentence is told for a moment alone");
  FakeSocket.last.says(turnEnd(open.id, 1));
  assert.deepEqual(marks()[0], [done.id, true]);
});

test("a microphone that the browser has stopped is shown until it hears again", async (t) => {
  /** @type {(change: import("../microphone-share.js").Interruption) => void} */
  let interrupt = () => undefined;
  const microphone = new NoticingMicrophone();
  const { on } = microphone;
  microphone.on = (name, listener) => {
    if (name === "interruption") interrupt = listener;
    return on(name, listener);
  };
  const { conversation } = await connected(t, { microphone });
  const view = new ConversationView(conversation);
  const problem = new Problem("microphone_interrupted", "A call.", { retryable: true });
  interrupt({ isActive: true, problem });
  assert.deepEqual([view.snapshot().isDeaf, view.snapshot().problem], [true, problem]);
  interrupt({ isActive: false });
  assert.deepEqual([view.snapshot().isDeaf, view.snapshot().problem], [false, undefined]);
  interrupt({ isActive: true, problem });
  conversation.close();
  assert.equal(view.snapshot().isDeaf, false);
});

test("a turn has the language that was heard, and that it had in the history", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const view = new ConversationView(conversation);
  const { turn } = await speaking(conversation, microphone);
  const about = { turn_id: turn.id };
  socket.says({ type: "transcript", ...about, seq: 1, text: "Guten", final: false });
  assert.equal(view.snapshot().turns[0]?.language, undefined);
  socket.says({ type: "transcript", ...about, seq: 2, text: "Guten Tag.", final: true, language: "de" });
  assert.equal(view.snapshot().turns[0]?.language, "de");
  socket.says({ ...turnEnd(turn.id, 3), language: "de" });
  assert.equal((await turn).language, "de");
});

test("a turn of the history has the language that it had", async (t) => {
  const { conversation } = begun(t, { session: { id: "s", token: "t" } });
  const view = new ConversationView(conversation);
  await settled();
  const history = [
    { role: "user", text: "Hallo.", turn_id: "a", language: "de" },
    { role: "assistant", text: "Guten Tag.", turn_id: "a", language: "de" },
    { role: "user", text: "Hello.", turn_id: "b" },
  ];
  await ready({ resumed: true, history });
  assert.deepEqual(view.snapshot().turns.map(({ id, language }) => [id, language]), [
    ["a", "de"],
    ["b", undefined],
  ]);
});
