/** What is said just before a conversation is closed or ended, or while something goes wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { connected, ready, said, speaking, turnEnd } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

/** @typedef {import("../conversation.js").Conversation} Conversation */

/**
 * Connect again, and see what is sent.
 * @param {Conversation} conversation
 */
async function sentAfterwards(conversation) {
  const connecting = conversation.connect();
  await settled();
  await ready();
  await connecting;
  return FakeSocket.last.types();
}

test("what is said just before closing fails, and is not sent later", async (t) => {
  const { conversation, socket } = await connected(t);
  const turn = conversation.say("hello");
  conversation.close();
  await assert.rejects(turn, { code: "not_connected", retryable: true });
  assert.deepEqual(socket.types(), []);
  assert.deepEqual(await sentAfterwards(conversation), []);
});

test("what is tried again just before closing fails, and is not sent later", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  socket.says(turnEnd(turn.id, 1, { reason: "failed", code: "internal", retryable: true }));
  const again = conversation.retry(turn.id);
  conversation.close();
  assert.ok(again);
  await assert.rejects(again, { code: "not_connected" });
  assert.equal(socket.ofType("user_message").length, 1);
  assert.deepEqual(await sentAfterwards(conversation), []);
});

test("what is spoken when the conversation is closed is let go", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const turn = conversation.startSpeaking();
  conversation.close();
  microphone.open();
  await assert.rejects(turn, { code: "not_connected" });
  assert.deepEqual(socket.types(), []);
  assert.ok(microphone.stops > 0);
});

test("what is said just before ending leaves before the end", async (t) => {
  const { conversation, socket } = await connected(t);
  const turn = conversation.say("hello");
  const ending = conversation.end();
  await settled();
  assert.deepEqual(socket.types(), ["user_message", "interrupt", "end"]);
  socket.says({ type: "session_ended", session_id: "s", reason: "ended" });
  await ending;
  await assert.rejects(turn, { code: "closed" });
});

test("ending without a connection silences the reply, and leaves nothing for the next session", async (t) => {
  const { conversation, socket, player } = await connected(t);
  const { turn } = await said(conversation);
  socket.says({ type: "audio", turn_id: turn.id, seq: 1, audio: "AAA=", format: "pcm_24000" });
  socket.says(turnEnd(turn.id, 2));
  socket.ends(1006);
  await conversation.end();
  assert.equal(player.playing, "");
  assert.deepEqual(await sentAfterwards(conversation), []);
});

test("a player that cannot be stopped costs one turn, and not the next", async (t) => {
  const { conversation, socket, player } = await connected(t);
  await said(conversation, "one");
  player.stop = () => Promise.reject(new Error("no sound"));
  await assert.rejects(conversation.say("two"), { code: "internal", message: /no sound/ });
  await said(conversation, "three");
  assert.deepEqual(socket.ofType("user_message").map(({ text }) => text), ["one", "three"]);
});

test("speaking ends with a player that cannot be stopped, and the next is heard", async (t) => {
  const { conversation, socket, microphone, player } = await connected(t);
  await said(conversation, "one");
  player.stop = () => Promise.reject(new Error("no sound"));
  const { turn } = await speaking(conversation, microphone);
  await assert.rejects(turn, { code: "internal" });
  await speaking(conversation, microphone);
  assert.deepEqual(socket.types(), ["user_message", "audio_start"]);
});
