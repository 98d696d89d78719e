import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, conversing, overHttp, problem, told } from "./fallback-server.js";
import { settled } from "./fakes.js";

test("it is back on a WebSocket when one can be had, with its session and history", async (t) => {
  const { api, conversation, presence, player } = await overHttp(t);
  const first = conversation.say("one");
  await first;
  player.playing = "";
  /** @type {string[]} */
  const states = [];
  conversation.on("state", ({ state }) => states.push(state));
  api.upgrades = "open";
  const session = told(conversation, "session");
  presence.changed();
  const { resumed, history } = await session;
  assert.equal(conversation.transport, "websocket");
  assert.equal(resumed, true);
  assert.deepEqual(history, [{ role: "user", text: `said in ${first.id}`, turn_id: first.id }]);
  assert.equal((await conversation.say("two")).text, "You said: two");
  assert.equal(api.of("/turns").length, 1);
  assert.deepEqual(states, [], "nobody notices");
});

test("it moves between turns only", async (t) => {
  const { api, conversation, presence, player } = await overHttp(t);
  let open = () => {};
  api.gate = new Promise((resolve) => (open = () => resolve(undefined)));
  const turn = conversation.say("one");
  while (!api.ran.length) await settled();
  api.upgrades = "open";
  presence.changed();
  const before = api.handshakes;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(api.handshakes, before);
  open();
  await turn;
  player.playing = "";
  const moved = told(conversation, "transport");
  presence.changed();
  await moved;
  assert.equal((await conversation.say("two")).text, "You said: two");
});

test("what is said while it moves arrives once", async (t) => {
  const { api, conversation, presence } = await overHttp(t);
  api.upgrades = "open";
  const handshakes = api.handshakes;
  presence.changed();
  while (api.handshakes === handshakes) await settled();
  const turn = conversation.say("hello");
  assert.equal((await turn).reason, "completed");
  assert.deepEqual(api.ran, [turn.id]);
});

test("after a reload its history is there, over HTTP too", async (t) => {
  const api = await Api.running(t);
  const before = conversing(t, api);
  await before.connecting;
  await before.conversation.say("one");
  const { session } = before.conversation;
  before.conversation.close();
  api.block("reset");
  const { conversation, connecting } = conversing(t, api, { session });
  const opened = told(conversation, "session");
  await connecting;
  const { resumed, history } = await opened;
  assert.equal(resumed, true);
  assert.deepEqual(history, api.history);
  assert.equal(history.length, 1);
});

test("a session that is over is followed by a new one", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "reset";
  const session = { id: "s", token: "another's" };
  const { connecting, conversation } = conversing(t, api, { session });
  const lost = told(conversation, "error");
  await connecting;
  assert.equal((await lost).code, "resume_denied");
  assert.equal((await conversation.say("hello")).reason, "completed");
});

test("a session that ends under a turn is followed by a new one, and the turn said there", async (t) => {
  const { api, conversation } = await overHttp(t);
  api.instead = [problem(404, "session_not_found")];
  const turn = conversation.say("hello");
  assert.equal((await turn).text, "You said: hello");
  assert.equal(api.of("/sessions").length, 2);
});

test("a network that is lost is waited for, and the turn said again", async (t) => {
  const { api, conversation, presence } = await overHttp(t);
  api.instead = ["lose"];
  presence.isOnline = false;
  const offline = told(conversation, "state", ({ state }) => state === "offline");
  const turn = conversation.say("hello");
  await offline;
  presence.isOnline = true;
  presence.changed();
  assert.equal((await turn).text, "You said: hello");
  assert.deepEqual(api.ran, [turn.id]);
});

test("ending the session closes it", async (t) => {
  const { conversation } = await overHttp(t);
  await conversation.end();
  assert.equal(conversation.state, "closed");
  assert.equal(conversation.session, undefined);
});

test("a token that never comes costs a connection, and the turn is answered over the next", async (t) => {
  let hangs = false;
  const token = () => {
    const wasHanging = hangs;
    hangs = false;
    return wasHanging ? new Promise(() => undefined) : "good";
  };
  const { conversation } = await overHttp(t, {
    token: /** @type {() => Promise<string>} */ (token),
    connectTimeoutMs: 500,
  });
  hangs = true;
  const lost = told(conversation, "state", ({ state }) => state === "reconnecting");
  const turn = conversation.say("hello");
  assert.equal((await lost).problem?.code, "connection_lost");
  assert.equal((await turn).text, "You said: hello");
});
