import assert from "node:assert/strict";
import { test } from "node:test";

import { ConversationView } from "../conversation-view.js";
import { connected, ready, said, speaking } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

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
