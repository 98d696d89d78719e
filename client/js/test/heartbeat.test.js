import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { after, connected, ready, said, speaking, turnEnd } from "./connected.js";
import { FakeSocket } from "./fakes.js";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
afterEach(() => mock.timers.reset());

test("a silent connection is asked, and left when it does not answer", async (t) => {
  const { conversation, socket } = await connected(t);
  await after(479_999);
  assert.deepEqual(socket.types(), [], "an idle one costs nothing until then");
  await after(1);
  assert.equal(socket.ofType("ping").length, 1);
  socket.says({ type: "pong", sent_at: 0 });
  await after(480_000);
  assert.equal(socket.ofType("ping").length, 2);
  await after(9_999);
  assert.equal(conversation.state, "ready");
  await after(1);
  assert.equal(conversation.state, "reconnecting");
});

for (const isSpoken of [false, true]) {
  const what = isSpoken ? "being spoken" : "waited for";
  test(`while a turn is ${what}, silence is noticed within 10 s`, async (t) => {
    const { conversation, socket, microphone, changes } = await connected(t);
    await after(60_000);
    await (isSpoken ? speaking(conversation, microphone) : said(conversation));
    await after(2_000);
    assert.equal(socket.ofType("ping").length, 1);
    await after(3_999);
    assert.equal(conversation.state, "ready");
    await after(1);
    assert.equal(conversation.state, "reconnecting");
    assert.equal(changes.at(-1)?.problem?.code, "connection_lost");
  });
}

test("after its end nobody asks any more", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  socket.says(turnEnd(turn.id, 1));
  await after(60_000);
  assert.deepEqual(socket.ofType("ping"), []);
});

test("a turn that begins while an idle connection is asked has less patience", async (t) => {
  const { conversation } = await connected(t);
  await after(480_000);
  await said(conversation);
  await after(6_000);
  assert.equal(conversation.state, "reconnecting");
});

test("a link that is slow to take the question is not given up while it takes anything", async (t) => {
  const { conversation, socket } = await connected(t);
  await said(conversation);
  for (const bytes of [50_000, 40_000, 30_000]) {
    socket.bufferedAmount = bytes;
    await after(4_000);
  }
  assert.equal(conversation.state, "ready");
  await after(6_000);
  assert.equal(conversation.state, "reconnecting");
});

test("silence during the move to a fresh connection is told", async (t) => {
  const { conversation, socket, changes } = await connected(t);
  const { turn } = await said(conversation);
  socket.says({ type: "reply_text", turn_id: turn.id, seq: 2, delta: "b" });
  await after(9_000);
  assert.equal(FakeSocket.all.length, 2, "to fetch what is missing");
  assert.equal(changes.at(-1)?.state, "reconnecting");
  await ready();
  assert.equal(conversation.state, "ready");
});

test("a reply that is long in coming is asked for", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  for (const _ of [3, 6, 9]) {
    await after(3_000);
    socket.says({ type: "pong", sent_at: 0 });
  }
  await after(1_000);
  assert.deepEqual(
    socket.ofType("ping").map((frame) => frame["turn_id"]),
    [undefined, undefined, undefined, turn.id],
  );
});

test("an event that stays away is fetched with a fresh connection", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  const delta = { type: "reply_text", turn_id: turn.id };
  socket.says({ ...delta, seq: 1, delta: "a" });
  socket.says({ ...delta, seq: 3, delta: "c" });
  await after(3_000);
  FakeSocket.last.opens();
  assert.deepEqual(FakeSocket.last.sent[0]?.["received"], { turn_id: turn.id, seq: 1 });
});
