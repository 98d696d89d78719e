import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { ConversationView } from "../conversation-view.js";
import { partsOf, placesIn } from "../fillers.js";
import { after, connected, ready, said, speaking, turnEnd } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

/** @param {string} turn_id @param {Record<string, unknown>} [more] */
function agentTurn(turn_id, more) {
  return { type: "agent_turn", turn_id, seq: 1, cause: "greeting", ...more };
}

/** @param {string} turn_id @param {number} seq */
function sound(turn_id, seq) {
  return { type: "audio", turn_id, seq, audio: "AAA=", format: "pcm_24000" };
}

test("a turn that the agent begins is a turn like any other", async (t) => {
  const { conversation, socket, player } = await connected(t);
  /** @type {import("../turn.js").Turn[]} */
  const turns = [];
  conversation.on("turn", (turn) => turns.push(turn));
  socket.says({ type: "reply_text", turn_id: "a", seq: 2, delta: "Hello!" });
  assert.equal(turns.length, 0, "its first event is missing");
  socket.says(agentTurn("a"));
  socket.says(sound("a", 3));
  const [turn] = turns;
  assert.deepEqual([turn?.id, turn?.cause, turn?.text, turn?.ended], ["a", "greeting", "Hello!", false]);
  assert.deepEqual(player.played, ["a"]);
  assert.equal(conversation.canInterrupt, true);
  socket.says(turnEnd("a", 4, { text: "Hello!" }));
  assert.equal((await turn)?.reason, "completed");
  assert.deepEqual(socket.ofType("ack"), [{ type: "ack", turn_id: "a", seq: 4 }]);
});

test("the user interrupts the agent's turn", async (t) => {
  const { conversation, socket } = await connected(t);
  socket.says(agentTurn("a"));
  socket.says(sound("a", 2));
  await said(conversation, "Wait.");
  assert.deepEqual(socket.types(), ["interrupt", "user_message"]);
  assert.deepEqual(socket.ofType("interrupt")[0]?.["turn_id"], "a");
});

test("a newer turn of the agent's silences the reply, and takes back what is being said", async (t) => {
  const { conversation, socket, player, microphone } = await connected(t);
  const { turn } = await said(conversation);
  socket.says(sound(turn.id, 1));
  socket.says(agentTurn("a", { cause: "say" }));
  await settled();
  assert.equal(player.playing, "");
  assert.equal(turn.interrupted, true);
  const { turn: spoken } = await speaking(conversation, microphone);
  socket.says({ type: "transcript", turn_id: spoken.id, seq: 1, text: "I", final: false });
  socket.says(agentTurn("b", { cause: "say" }));
  await settled();
  assert.equal(conversation.isListening, false);
  assert.deepEqual(
    socket.ofType("interrupt").map(({ turn_id }) => turn_id),
    [turn.id, "a", spoken.id],
  );
});

describe("of two turns that begin at the same time", () => {
  test("the agent's is silent if the server runs the user's", async (t) => {
    const { conversation, socket, player } = await connected(t);
    const { turn } = await said(conversation);
    socket.says(agentTurn("a"));
    socket.says(sound("a", 2));
    assert.deepEqual(player.played, []);
    socket.says(turnEnd("a", 3, { reason: "interrupted" }));
    socket.says(sound(turn.id, 1));
    socket.says(turnEnd(turn.id, 2));
    assert.deepEqual(player.played, [turn.id]);
    assert.equal(turn.interrupted, false);
    assert.deepEqual(socket.ofType("interrupt"), []);
  });

  test("the agent's is heard, all of it, if the server has ended the user's", async (t) => {
    const { conversation, socket, player } = await connected(t);
    const { turn } = await said(conversation);
    socket.says(agentTurn("a"));
    socket.says(sound("a", 2));
    socket.says(turnEnd(turn.id, 1, { reason: "interrupted" }));
    socket.says(sound("a", 3));
    assert.deepEqual(player.played, ["a", "a"]);
    await conversation.interrupt();
    assert.equal(socket.ofType("interrupt")[0]?.["turn_id"], "a");
  });

  test("the agent's stays silent if the user has interrupted theirs", async (t) => {
    const { conversation, socket, player } = await connected(t);
    const { turn } = await said(conversation);
    socket.says(agentTurn("a"));
    socket.says(sound("a", 2));
    await conversation.interrupt();
    assert.equal(turn.interrupted, true);
    socket.says(turnEnd(turn.id, 1, { reason: "interrupted" }));
    assert.deepEqual(player.played, []);
  });
});

describe("over another connection", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
  afterEach(() => mock.timers.reset());

  test("the agent's turn goes on where it was", async (t) => {
    const { conversation, socket } = await connected(t);
    /** @type {string[]} */
    const told = [];
    conversation.on("reply_text", ({ delta }) => told.push(delta));
    socket.says(agentTurn("a"));
    socket.says({ type: "reply_text", turn_id: "a", seq: 2, delta: "Good " });
    socket.ends(1006);
    await after(500);
    FakeSocket.last.opens();
    assert.deepEqual(FakeSocket.last.sent[0]?.["received"], { turn_id: "a", seq: 2 });
    await ready({ resumed: true });
    FakeSocket.last.says({ type: "reply_text", turn_id: "a", seq: 2, delta: "Good " });
    FakeSocket.last.says({ type: "reply_text", turn_id: "a", seq: 3, delta: "day." });
    assert.deepEqual(told, ["Good ", "day."]);
  });

  test("the agent's turn is over when its session is lost", async (t) => {
    const { conversation, socket } = await connected(t);
    /** @type {import("../turn.js").Turn[]} */
    const turns = [];
    conversation.on("turn", (turn) => turns.push(turn));
    socket.says(agentTurn("a"));
    socket.ends(1006);
    await after(500);
    FakeSocket.last.opens();
    FakeSocket.last.says({ type: "error", code: "session_not_found", message: "", retryable: false });
    await assert.rejects(/** @type {any} */ (turns[0]), { code: "session_not_found" });
    await settled();
    FakeSocket.last.opens();
    assert.equal(FakeSocket.last.sent[0]?.["received"], undefined);
  });

  test("an agent's reply that stays away is asked for", async (t) => {
    const { socket } = await connected(t, { busyHeartbeatMs: 60_000 });
    socket.says(agentTurn("a"));
    await after(10_000);
    assert.equal(socket.ofType("ping")[0]?.["turn_id"], "a");
  });
});

test("another attempt at the agent's turn begins anew", async (t) => {
  const { conversation, socket } = await connected(t);
  const view = new ConversationView(conversation);
  /** @type {import("../turn.js").Turn[]} */
  const turns = [];
  conversation.on("turn", (turn) => turns.push(turn));
  socket.says(agentTurn("a"));
  socket.says({ type: "reply_text", turn_id: "a", seq: 2, delta: "Hel" });
  socket.says(agentTurn("a", { attempt: 2 }));
  socket.says({ type: "reply_text", turn_id: "a", seq: 2, delta: "Hello.", attempt: 2 });
  assert.deepEqual(
    view.snapshot().turns.map(({ id, text, cause }) => [id, text, cause]),
    [["a", "Hello.", "greeting"]],
  );
  assert.deepEqual(turns.map(({ text, attempt }) => [text, attempt]), [["Hello.", 2], ["Hello.", 2]]);
});

test("the picture tells fillers from the reply, and has the newest of every call", async (t) => {
  const { conversation, socket } = await connected(t);
  const view = new ConversationView(conversation);
  const { turn } = await said(conversation);
  const about = { turn_id: turn.id };
  const call = { type: "tool", ...about, call_id: "c", name: "book", title: "Book a table" };
  socket.says({ ...call, seq: 1, state: "running" });
  socket.says({ type: "reply_text", ...about, seq: 2, delta: "One ", filler: true });
  socket.says({ type: "reply_text", ...about, seq: 3, delta: "moment. ", filler: true });
  socket.says({ ...call, seq: 4, state: "done", ms: 1100 });
  socket.says({ type: "reply_text", ...about, seq: 5, delta: "It is booked." });
  const [picture] = view.snapshot().turns;
  assert.deepEqual(partsOf(picture?.text ?? "", picture?.fillers ?? []), [
    { text: "One moment. ", filler: true },
    { text: "It is booked.", filler: false },
  ]);
  assert.deepEqual(turn.fillers, picture?.fillers);
  assert.deepEqual(picture?.tools?.map(({ title, state, ms }) => [title, state, ms]), [
    ["Book a table", "done", 1100],
  ]);
});

test("fillers of the history are counted in characters", () => {
  const text = "😀 Hm. It is.";
  assert.deepEqual(partsOf(text, placesIn(text, [[2, 5]])), [
    { text: "😀 ", filler: false },
    { text: "Hm.", filler: true },
    { text: " It is.", filler: false },
  ]);
});

test("an event of the deployment's own is told", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  /** @type {unknown[]} */
  const seen = [];
  conversation.on("custom", ({ name, data }) => seen.push([name, data]));
  socket.says({ type: "custom", turn_id: turn.id, seq: 1, name: "cart", data: { items: 2 } });
  assert.deepEqual(seen, [["cart", { items: 2 }]]);
});
