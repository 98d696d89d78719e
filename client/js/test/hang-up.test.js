/** The agent or the deployment ends the conversation; and the silence that leads to it. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { ConversationView } from "../conversation-view.js";
import { after, connected, ready, said, speaking, turnEnd } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
afterEach(() => mock.timers.reset());

/**
 * A conversation whose agent has said goodbye, which is being heard.
 * @param {Context} t
 */
async function parting(t) {
  const made = await connected(t);
  const { turn } = await said(made.conversation, "Goodbye.");
  /** @type {string[]} */
  const endings = [];
  made.conversation.on("ended", ({ reason }) => endings.push(`${reason} ${made.conversation.state}`));
  made.socket.says({ type: "audio", turn_id: turn.id, seq: 1, audio: "AAA=", format: "pcm_24000" });
  made.socket.says(turnEnd(turn.id, 2, { ends_session: true }));
  await after(1_000);
  return { ...made, endings };
}

test("the conversation hangs up once the agent's last reply has been heard", async (t) => {
  const { conversation, socket, player, endings } = await parting(t);
  assert.deepEqual(socket.ofType("end"), []);
  player.playing = "";
  await after(200);
  assert.equal(socket.ofType("end").length, 1);
  socket.says({ type: "session_ended", session_id: "s", reason: "ended" });
  await after(60_000);
  assert.deepEqual(endings, ["agent closed"]);
  assert.equal(conversation.session, undefined);
  assert.equal(FakeSocket.all.length, 1, "it does not connect again");
});

test("who says something before that keeps the conversation", async (t) => {
  const { conversation, socket, player, endings } = await parting(t);
  conversation.say("Wait!");
  await settled();
  await after(5_000);
  assert.equal(player.playing, "");
  assert.deepEqual(socket.ofType("end"), []);
  assert.deepEqual([conversation.state, endings], ["ready", []]);
});

for (const reason of ["silence", "too_long"]) {
  test(`a session that ends as ${reason} is an ending, and nobody connects again`, async (t) => {
    const { conversation, socket } = await connected(t);
    const view = new ConversationView(conversation);
    socket.says({ type: "session_ended", session_id: "s", reason });
    await after(60_000);
    assert.deepEqual([view.snapshot().state, view.snapshot().ended], ["closed", reason]);
    assert.equal(FakeSocket.all.length, 1);
  });
}

test("the user's own end is none of the agent's", async (t) => {
  const { conversation, socket } = await connected(t);
  /** @type {unknown[]} */
  const endings = [];
  conversation.on("ended", (ending) => endings.push(ending));
  const ending = conversation.end();
  await settled();
  socket.says({ type: "session_ended", session_id: "s", reason: "ended" });
  await ending;
  assert.deepEqual(endings, []);
});

describe("silence", () => {
  /**
   * @param {Context} t
   * @param {object} silence the deployment's rules
   */
  async function replied(t, silence) {
    // The socket answers no ping.
    const times = { busyPongTimeoutMs: 1e9, pongTimeoutMs: 1e9 };
    const made = await connected(t, times);
    made.socket.ends(1006);
    await after(1_000);
    await ready({ resumed: true, silence });
    const { turn } = await said(made.conversation);
    const socket = FakeSocket.last;
    socket.says({ type: "audio", turn_id: turn.id, seq: 1, audio: "AAA=", format: "pcm_24000" });
    socket.says(turnEnd(turn.id, 2));
    const told = () => socket.ofType("silence").map(({ silent_ms }) => Number(silent_ms));
    return { ...made, socket, told };
  }

  test("is told once, so long after the reply has been played", async (t) => {
    const { player, told } = await replied(t, { ask_after_ms: 10_000 });
    await after(30_000);
    assert.deepEqual(told(), [], "the reply is still being heard");
    player.playing = "";
    await after(9_500);
    assert.deepEqual(told(), []);
    await after(60_000);
    assert.equal(told().length, 1);
    assert.ok(Number(told()[0]) >= 10_000 && Number(told()[0]) < 11_000, String(told()));
  });

  test("is not told while somebody speaks, and counts from the next reply on", async (t) => {
    const { conversation, socket, player, microphone, told } = await replied(t, {
      ask_after_ms: 10_000,
    });
    player.playing = "";
    await after(5_000);
    const { turn } = await speaking(conversation, microphone);
    await after(20_000);
    await conversation.stopSpeaking();
    await after(20_000);
    assert.deepEqual(told(), [], "somebody speaks, and is waited for");
    socket.says(turnEnd(turn.id, 1));
    await after(9_000);
    assert.deepEqual(told(), []);
    await after(2_000);
    assert.equal(told().length, 1);
  });

  test("ends the session so long after the agent has asked", async (t) => {
    const { socket, player, told } = await replied(t, { ask_after_ms: 5_000, end_after_ms: 20_000 });
    player.playing = "";
    await after(6_000);
    assert.equal(told().length, 1);
    socket.says({ type: "agent_turn", turn_id: "a", seq: 1, cause: "silence" });
    socket.says(turnEnd("a", 2));
    await after(19_000);
    assert.equal(told().length, 1);
    await after(2_000);
    assert.equal(told().length, 2);
    assert.ok(Number(told()[1]) >= 20_000);
  });

  test("counts for nothing without rules, and before the first reply", async (t) => {
    const without = await replied(t, {});
    without.player.playing = "";
    await after(600_000);
    assert.deepEqual(without.told(), []);
    const { socket } = await connected(t);
    await after(600_000);
    assert.deepEqual(socket.ofType("silence"), []);
  });
});

describe("a fact", () => {
  test("is told where the deployment takes facts", async (t) => {
    const { conversation, socket } = await connected(t);
    socket.ends(1006);
    await after(1_000);
    await ready({ resumed: true, choices: { context: true }, agent: "waiter" });
    conversation.tell("The user looks at table 4.");
    assert.deepEqual(FakeSocket.last.ofType("context"), [
      { type: "context", text: "The user looks at table 4." },
    ]);
    assert.equal(conversation.agent, "waiter");
    assert.throws(() => conversation.tell(" "), { code: "bad_request", message: /nothing to tell/ });
    const long = { code: "too_large", message: /2,001 characters; at most 2,000 can be told/ };
    assert.throws(() => conversation.tell("x".repeat(2_001)), long);
  });

  test("is refused elsewhere, with what allows it", async (t) => {
    const { conversation, socket } = await connected(t);
    assert.throws(() => conversation.tell("A fact."), { code: "not_connected", retryable: true });
    socket.ends(1006);
    await after(1_000);
    await ready({ resumed: true, choices: {} });
    const refused = { code: "not_allowed", message: /`choices.context`/ };
    assert.throws(() => conversation.tell("A fact."), refused);
    assert.deepEqual(FakeSocket.last.ofType("context"), []);
  });
});

test("a new session asks for its agent, and one that goes on does not", async (t) => {
  const { socket } = await connected(t, { agent: "waiter" });
  assert.equal(socket.sent[0]?.["agent"], "waiter");
  socket.ends(1006);
  await after(1_000);
  FakeSocket.last.opens();
  assert.equal(FakeSocket.last.sent[0]?.["agent"], undefined);
});
