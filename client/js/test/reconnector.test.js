import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { problemOfClose } from "../close-codes.js";
import { ConversationView } from "../conversation-view.js";
import { after, begun, connected, ready, refused, said, speaking, turnEnd } from "./connected.js";
import { FakeSocket, READY, settled } from "./fakes.js";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
afterEach(() => mock.timers.reset());

test("a lost connection comes back, and resumes where it was", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  socket.says({ type: "reply_text", turn_id: turn.id, seq: 1, delta: "Good " });
  socket.ends(1006);
  assert.equal(conversation.state, "reconnecting");
  await after(500);
  assert.equal(FakeSocket.all.length, 2);
  FakeSocket.last.opens();
  assert.deepEqual(FakeSocket.last.sent[0], {
    type: "init",
    protocol: 1,
    session_id: "s",
    resume_token: "t1",
    received: { turn_id: turn.id, seq: 1 },
  });
  await ready({ resumed: true, resume_token: "t2" });
  assert.deepEqual(conversation.session, { id: "s", token: "t2" });
  assert.deepEqual(FakeSocket.last.ofType("user_message"), [
    { type: "user_message", turn_id: turn.id, text: "hello", attempt: 1 },
  ]);
  FakeSocket.last.says({ type: "reply_text", turn_id: turn.id, seq: 1, delta: "Good " });
  FakeSocket.last.says({ type: "reply_text", turn_id: turn.id, seq: 2, delta: "day." });
  assert.equal(turn.text, "Good day.");
});

test("what is said meanwhile waits, and speech too", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  socket.ends(1001);
  const { turn } = await speaking(conversation, microphone);
  microphone.onChunk(new Uint8Array([1, 0]));
  await conversation.stopSpeaking();
  await after(500);
  await ready();
  assert.deepEqual(FakeSocket.last.types(), [
    "audio_start",
    "audio_chunk",
    "audio_chunk",
    "audio_end",
  ]);
  assert.equal(FakeSocket.last.sent[1]?.["turn_id"], turn.id);
});

test("a turn that ended before the loss is not said again", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  socket.says(turnEnd(turn.id, 1));
  socket.ends(1006);
  await after(500);
  await ready();
  assert.deepEqual(FakeSocket.last.types(), []);
});

test("what does not fit in the queue is refused, and said so", async (t) => {
  const { conversation, socket } = await connected(t, { queue: { maxMessages: 1 } });
  socket.ends(1006);
  /** @type {unknown[]} */
  const problems = [];
  conversation.on("error", ({ code, turnId }) => problems.push([code, turnId]));
  const taken = conversation.say("one");
  await settled();
  const refused = conversation.say("two");
  await settled();
  assert.equal((await taken).reason, "cancelled", "interrupted before anything had left");
  const third = conversation.say("x".repeat(50));
  await settled();
  assert.equal(refused.interrupted, true);
  assert.deepEqual(problems, []);
  await after(500);
  await ready();
  assert.deepEqual(
    FakeSocket.last.ofType("user_message").map((frame) => frame["turn_id"]),
    [third.id],
  );
});

test("speech beyond the queue's room ends with a problem", async (t) => {
  const { conversation, socket, microphone } = await connected(t, { queue: { maxMessages: 3 } });
  socket.ends(1006);
  /** @type {unknown[]} */
  const problems = [];
  conversation.on("error", ({ code, turnId }) => problems.push([code, turnId]));
  const { turn } = await speaking(conversation, microphone);
  for (let i = 0; i < 5; i += 1) microphone.onChunk(new Uint8Array([i, 0]));
  await assert.rejects(turn, { code: "queue_full", retryable: true });
  assert.deepEqual(problems, [["queue_full", turn.id]]);
});

test("attempts wait longer and longer, are counted, and end", async (t) => {
  const { conversation, changes, connecting } = begun(t, { attempts: 3 });
  for (const waitMs of [500, 1_000, 2_000]) {
    await settled();
    await refused();
    assert.equal(changes.at(-1)?.retryInMs, waitMs);
    await after(waitMs - 1);
    const before = FakeSocket.all.length;
    await after(1);
    assert.equal(FakeSocket.all.length, before + 1);
  }
  await refused();
  assert.equal(conversation.state, "failed");
  assert.deepEqual(changes.at(-1)?.attempt, 3);
  await assert.rejects(connecting, { code: "unreachable", message: /ws:\/\/test/ });
});

test("the delay has full jitter", async (t) => {
  const { changes } = begun(t, { random: () => 0.25 });
  await settled();
  await refused();
  assert.equal(changes.at(-1)?.retryInMs, 125);
});

for (const [heldMs, used] of /** @type {[number, number][]} */ ([
  [4_999, 2],
  [5_000, 1],
])) {
  test(`after ${heldMs} ms of connection, attempt ${used} is next`, async (t) => {
    const { changes, socket } = await connected(t);
    socket.ends(1006);
    await after(500);
    await ready();
    await after(heldMs);
    FakeSocket.last.ends(1006);
    assert.equal(changes.at(-1)?.attempt, used);
  });
}

test("address and token are asked for again at every attempt", async (t) => {
  let number = 0;
  const token = async () => `token${(number += 1)}`;
  begun(t, { token }, () => `ws://test/${number}`);
  await settled();
  await refused();
  await after(500);
  assert.deepEqual(
    FakeSocket.all.map(({ protocols }) => protocols),
    [
      ["parley", "token1"],
      ["parley", "token2"],
    ],
  );
  assert.equal(FakeSocket.last.url, "ws://test/1");
});

/** Hangs the first so many times, then gives a token. */
function hanging(times = 1) {
  let asked = 0;
  return () => ((asked += 1) <= times ? new Promise(() => undefined) : "late");
}

test("an address or a token that never comes is given up, and asked for again", async (t) => {
  const token = /** @type {() => Promise<string>} */ (hanging());
  const { changes } = begun(t, { token });
  await after(14_999);
  assert.equal(changes.at(-1)?.problem, undefined);
  await after(1);
  const { problem, retryInMs } = changes.at(-1) ?? {};
  assert.deepEqual([problem?.code, problem?.retryable, retryInMs], ["not_connected", true, 500]);
  await after(500);
  assert.deepEqual(FakeSocket.last.protocols, ["parley", "late"]);
});

test("a fresh connection whose token never comes does not keep a lost one from coming back", async (t) => {
  let hangs = false;
  const token = () => (hangs ? new Promise(() => undefined) : "good");
  const { conversation, socket } = await connected(t, {
    token: /** @type {() => Promise<string>} */ (token),
    heartbeatMs: 1e9,
  });
  hangs = true;
  await after(6_600_000);
  socket.ends(1006);
  hangs = false;
  await after(15_000);
  assert.equal(conversation.state, "reconnecting");
  await after(500);
  assert.equal(FakeSocket.all.length, 2);
  await ready();
  assert.equal(conversation.state, "ready");
});

for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003, 4400, 4499]) {
  test(`close code ${code} is final`, async (t) => {
    const { conversation, socket, changes } = await connected(t);
    socket.ends(code);
    assert.equal(conversation.state, "failed");
    assert.equal(changes.at(-1)?.problem?.closeCode, code);
  });
}

for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 1014, 4000, 4500]) {
  test(`after close code ${code} it comes back`, () => {
    assert.equal(problemOfClose(code).retryable, true);
  });
}

test("before API Gateway's two hours are over, it moves to a fresh connection unnoticed", async (t) => {
  const { conversation, socket, changes } = await connected(t, { heartbeatMs: 1e9 });
  const before = changes.length;
  await after(6_600_000);
  assert.equal(FakeSocket.all.length, 2);
  conversation.say("meanwhile");
  await settled();
  assert.equal(socket.ofType("user_message").length, 1, "the old one serves until then");
  FakeSocket.last.opens();
  socket.says({ type: "session_ended", session_id: "s", reason: "replaced" });
  FakeSocket.last.says({ ...READY, resumed: true });
  await settled();
  assert.equal(socket.readyState, 3);
  assert.equal(FakeSocket.last.ofType("user_message").length, 1, "said again: it costs nothing");
  assert.equal(changes.length, before, "nobody has noticed");
});

test("a fresh connection that is refused is tried again less and less often", async (t) => {
  const { conversation } = await connected(t, { heartbeatMs: 1e9 });
  await after(6_600_000);
  for (const waitMs of [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
    const { length } = FakeSocket.all;
    await refused();
    await after(waitMs - 1);
    assert.equal(FakeSocket.all.length, length);
    await after(1);
    assert.equal(FakeSocket.all.length, length + 1);
  }
  await ready({ resumed: true });
  await after(6_600_000);
  const { length } = FakeSocket.all;
  await refused();
  await after(5_000);
  assert.equal(FakeSocket.all.length, length + 1, "after one that succeeded it begins anew");
  assert.equal(conversation.state, "ready");
});

test("a running turn delays the move, but not for ever", async (t) => {
  const { conversation } = await connected(t, { busyHeartbeatMs: 1e9, busyPongTimeoutMs: 1e9 });
  conversation.say("a long story");
  await settled();
  await after(6_600_000);
  assert.equal(FakeSocket.all.length, 1);
  await after(300_000);
  assert.equal(FakeSocket.all.length, 2);
});

test("a session that another place has taken over is left alone", async (t) => {
  const { conversation, socket, changes } = await connected(t);
  socket.says({ type: "session_ended", session_id: "s", reason: "replaced" });
  assert.equal(conversation.state, "closed");
  assert.equal(changes.at(-1)?.problem?.code, "session_replaced");
  await after(60_000);
  assert.equal(FakeSocket.all.length, 1);
});

test("a session that cannot be resumed is followed by a new one, with what was said", async (t) => {
  const { conversation, socket } = await connected(t);
  /** @type {string[]} */
  const problems = [];
  conversation.on("error", ({ code }) => problems.push(code));
  conversation.say("hello");
  await settled();
  socket.ends(1006);
  await after(500);
  FakeSocket.last.opens();
  FakeSocket.last.says({ type: "error", code: "session_not_found", message: "", retryable: false });
  await settled();
  assert.equal(FakeSocket.all.length, 3);
  await ready();
  assert.equal(FakeSocket.last.sent[0]?.["session_id"], undefined);
  assert.deepEqual(FakeSocket.last.types(), ["user_message"]);
  assert.deepEqual(problems, ["session_not_found"]);
});

test("a reply that had begun comes whole in the new session", async (t) => {
  const { conversation, socket, player } = await connected(t);
  const view = new ConversationView(conversation);
  const interrupted = await said(conversation, "one");
  const { turn } = await said(conversation, "two");
  /** @param {string} turn_id @param {number} seq @param {string} delta */
  const text = (turn_id, seq, delta) => ({ type: "reply_text", turn_id, seq, delta });
  socket.says(text(turn.id, 1, "Half "));
  socket.says(text(turn.id, 2, "a"));
  socket.ends(1006);
  player.begun = [];
  await after(500);
  FakeSocket.last.opens();
  FakeSocket.last.says({ type: "error", code: "session_not_found", message: "", retryable: false });
  await settled();
  assert.equal(turn.text, "");
  await ready();
  assert.deepEqual(view.snapshot().turns.map(({ text, status }) => [text, status]).at(-1), ["", "waiting"]);
  FakeSocket.last.says(text(turn.id, 1, "Good "));
  FakeSocket.last.says(text(turn.id, 2, "day."));
  assert.equal(turn.text, "Good day.");
  assert.equal(view.snapshot().turns.at(-1)?.text, "Good day.");
  FakeSocket.last.says(turnEnd(turn.id, 3));
  assert.equal((await turn).text, "Good day.");
  assert.deepEqual(player.begun, [[turn.id, false]], "and what was interrupted stays silent");
  assert.equal(interrupted.turn.interrupted, true);
});

test("connecting again after a failure resumes the session", async (t) => {
  const { conversation, socket } = await connected(t);
  socket.ends(1008);
  const connecting = conversation.connect();
  await settled();
  await ready();
  await connecting;
  assert.equal(FakeSocket.last.sent[0]?.["session_id"], "s");
});

test("an error that does not mean trying again ends the attempts", async (t) => {
  const { connecting, conversation } = begun(t);
  await settled();
  const sentence = "This client is too old.";
  const refusal = { code: "unsupported_protocol", message: sentence, retryable: false };
  FakeSocket.last.says({ type: "error", ...refusal });
  await assert.rejects(connecting, refusal);
  assert.equal(conversation.state, "failed");
});

test("the error of a turn, which comes before ready, refuses nothing", async (t) => {
  const { conversation, socket } = await connected(t);
  const { turn } = await said(conversation);
  socket.ends(1006);
  await after(500);
  FakeSocket.last.opens();
  const error = { type: "error", code: "speech_failed", message: "No sound.", retryable: false };
  FakeSocket.last.says({ ...error, turn_id: turn.id, seq: 1 });
  await ready({ resumed: true });
  assert.equal(conversation.state, "ready");
  FakeSocket.last.says(turnEnd(turn.id, 2, { text: "So." }));
  assert.equal((await turn).text, "So.");
});

test("the server says when to come back", async (t) => {
  const { changes } = begun(t);
  await settled();
  const busy = { code: "rate_limited", message: "Busy.", retryable: true };
  FakeSocket.last.says({ type: "error", ...busy, retry_after_ms: 7_000 });
  await settled();
  assert.equal(changes.at(-1)?.retryInMs, 7_000);
});

test("an address that is none is a sentence", async (t) => {
  const { connecting } = begun(t, {}, "http//nowhere");
  await assert.rejects(connecting, { code: "bad_url" });
});
