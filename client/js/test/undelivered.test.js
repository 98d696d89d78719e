/** What API Gateway says in frames of its own: who is asked, and what is said again. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { after, connected, said, speaking, turnEnd } from "./connected.js";

/** @typedef {import("./fakes.js").FakeSocket} FakeSocket */

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
afterEach(() => mock.timers.reset());

/**
 * @param {FakeSocket} socket
 * @param {string} message
 */
function gatewaySays(socket, message, requestId = "r=") {
  const frame = { message, connectionId: "c=", requestId };
  socket.onmessage({ data: JSON.stringify(frame) });
  socket.says({ type: "pong", sent_at: 0 }); // to whatever was asked
}

/** @param {FakeSocket} socket */
function asked(socket) {
  return socket.ofType("ping").map(({ sent_at: _, ...ping }) => ping);
}

/** @param {import("node:test").TestContext} t */
async function ready(t) {
  const made = await connected(t);
  /** @type {string[]} */
  const problems = [];
  made.conversation.on("error", ({ message }) => problems.push(message));
  return { ...made, problems };
}

test("a turn that had begun is asked after at once by the request's id, and is not said again", async (t) => {
  const { conversation, socket, problems } = await ready(t);
  const { turn } = await said(conversation);
  socket.says({ type: "reply_text", turn_id: turn.id, seq: 1, delta: "One" });
  gatewaySays(socket, "Internal server error");
  assert.deepEqual(asked(socket), [{ type: "ping", turn_id: turn.id, request_id: "r=" }]);
  await after(5_000);
  assert.equal(socket.ofType("user_message").length, 1);
  assert.deepEqual(problems, []);
});

test("a turn whose function died fails at once, and its next attempt is asked after as such", async (t) => {
  const { conversation, socket } = await ready(t);
  const { turn } = await said(conversation);
  gatewaySays(socket, "Internal server error");
  const end = { seq: 0, reason: "failed", text: "", metrics: {}, code: "internal" };
  socket.says({ type: "turn_end", turn_id: turn.id, ...end, retryable: true });
  await assert.rejects(turn, { code: "internal", retryable: true });
  conversation.retry(turn.id);
  await after(0);
  gatewaySays(socket, "Internal server error", "s=");
  const again = { type: "ping", turn_id: turn.id, attempt: 2, request_id: "s=" };
  assert.deepEqual(asked(socket)[1], again);
});

test("a turn that nobody answers is said again after growing pauses, and then given up", async (t) => {
  const { conversation, socket, problems } = await ready(t);
  const { turn } = await said(conversation);
  const failing = assert.rejects(turn, { code: "internal", retryable: true, turnId: turn.id });
  for (const [times, pauseMs] of [500, 1_000, 2_000, 4_000].entries()) {
    gatewaySays(socket, "Internal server error");
    await after(pauseMs - 1);
    assert.equal(socket.ofType("user_message").length, times + 1);
    await after(1);
    assert.equal(socket.ofType("user_message").length, times + 2);
  }
  assert.deepEqual(problems, []);
  const messages = socket.ofType("user_message");
  assert.deepEqual(messages.at(-1), messages[0]);
  gatewaySays(socket, "Internal server error");
  await failing;
  assert.deepEqual(problems, ["The server could not take a message (Internal server error). Try again."]);
});

test("a turn that is answered meanwhile is not said again", async (t) => {
  const { conversation, socket } = await ready(t);
  const { turn } = await said(conversation);
  gatewaySays(socket, "Internal server error");
  await after(499);
  socket.says({ type: "reply_text", turn_id: turn.id, seq: 1, delta: "One" });
  await after(5_000);
  assert.equal(socket.ofType("user_message").length, 1);
});

test("of a spoken turn all is said again but its chunks, until it is understood", async (t) => {
  const { conversation, socket, microphone } = await ready(t);
  const { turn } = await speaking(conversation, microphone);
  microphone.onChunk(new Uint8Array([1, 0]));
  await conversation.stopSpeaking();
  const before = socket.sent.length;
  gatewaySays(socket, "Internal server error");
  await after(500);
  const types = socket.sent.slice(before).map(({ type }) => type);
  assert.deepEqual(types, ["ping", "audio_start", "audio_end"]);
  socket.says({ type: "transcript", turn_id: turn.id, seq: 1, text: "Hi.", final: true });
  gatewaySays(socket, "Internal server error");
  await after(5_000);
  assert.equal(socket.ofType("audio_start").length, 2);
});

test("questions that fail too are not asked without end", async (t) => {
  const { conversation, socket } = await ready(t);
  const { turn } = await said(conversation);
  socket.says({ type: "reply_text", turn_id: turn.id, seq: 1, delta: "One" });
  // Each failed question is a frame, which asks again.
  for (let answered = -1; answered < socket.ofType("ping").length && answered < 100; answered += 1) {
    gatewaySays(socket, "Internal server error", `r${answered}=`);
  }
  assert.equal(asked(socket).length, 8);
  for (let seq = 2; seq <= 6; seq += 1) {
    socket.says({ type: "reply_text", turn_id: turn.id, seq, delta: " two" });
    await after(2_000);
  }
  const before = asked(socket).length;
  gatewaySays(socket, "Internal server error", "s=");
  assert.deepEqual(asked(socket).slice(before), [
    { type: "ping", turn_id: turn.id, request_id: "s=" },
  ]);
});

test("an interruption of the agent's own turn is said again, and the turn is not asked after", async (t) => {
  const { conversation, socket, problems } = await ready(t);
  socket.says({ type: "agent_turn", turn_id: "agent-greeting", seq: 1, cause: "greeting" });
  await conversation.interrupt();
  gatewaySays(socket, "Internal server error");
  await after(500);
  assert.equal(socket.ofType("interrupt").length, 2);
  assert.deepEqual(asked(socket), []);
  assert.deepEqual(problems, []);
});

test("that API Gateway waits no longer is no trouble", async (t) => {
  const { conversation, socket, problems } = await ready(t);
  const { turn } = await said(conversation);
  gatewaySays(socket, "Endpoint request timed out");
  await after(1_000);
  assert.deepEqual(asked(socket), []);
  socket.says(turnEnd(turn.id, 1));
  assert.equal((await turn).reason, "completed");
  assert.deepEqual(problems, []);
  assert.equal(socket.ofType("user_message").length, 1);
});

test("a message that no turn waits for is a problem", async (t) => {
  const { socket, problems } = await ready(t);
  gatewaySays(socket, "Internal server error");
  assert.deepEqual(problems, ["The server could not take a message (Internal server error). Try again."]);
  assert.deepEqual(asked(socket), []);
});
