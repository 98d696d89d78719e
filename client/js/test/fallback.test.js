import assert from "node:assert/strict";
import { test } from "node:test";

import { Fallback } from "../fallback.js";
import { Api, conversing, problem, told } from "./fallback-server.js";
import { settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

/**
 * A conversation over HTTP, because WebSockets are blocked.
 * @param {Context} t
 * @param {import("../conversation.js").ConversationOptions} [options]
 */
async function overHttp(t, options) {
  const api = await Api.running(t);
  api.upgrades = "reset";
  const made = conversing(t, api, options);
  await made.connecting;
  assert.equal(made.conversation.transport, "http");
  return { api, ...made };
}

for (const upgrades of /** @type {const} */ (["reset", "refuse", "hang"])) {
  test(`where upgrades meet a ${upgrades} it goes on over HTTP after two`, async (t) => {
    const api = await Api.running(t);
    api.upgrades = upgrades;
    const { conversation, connecting } = conversing(t, api, { connectTimeoutMs: 100 });
    /** @type {string[]} */
    const transports = [];
    conversation.on("transport", ({ transport }) => transports.push(transport));
    await connecting;
    assert.equal(conversation.state, "ready");
    assert.deepEqual(transports, ["http"]);
    assert.equal(api.handshakes, 2);
    assert.deepEqual((await conversation.say("hello")).text, "You said: hello");
  });
}

for (const httpUrl of /** @type {const} */ ([false, undefined])) {
  test(`with ${httpUrl} for a URL there is nothing to go on over`, async (t) => {
    const api = await Api.running(t);
    api.upgrades = "reset";
    const { connecting } = conversing(t, api, { httpUrl, attempts: 3 });
    await assert.rejects(connecting, { code: "unreachable" });
    assert.equal(api.handshakes, 4);
    assert.deepEqual(api.asked, []);
  });
}

test("where WebSockets work nothing is asked over HTTP", async (t) => {
  const api = await Api.running(t);
  const { conversation, connecting } = conversing(t, api);
  await connecting;
  await conversation.say("hello");
  assert.equal(conversation.transport, "websocket");
  assert.deepEqual(api.asked, []);
});

test("a server that is not there at all is unreachable, as ever", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "reset";
  const httpUrl = "http://127.0.0.1:9";
  const { connecting } = conversing(t, api, { httpUrl, attempts: 3 });
  await assert.rejects(connecting, { code: "unreachable" });
});

test("a typed turn's events come in order, its audio is played, and the token is kept", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  const sessions = /** @type {unknown[]} */ ([]);
  conversation.on("session", ({ id, token }) => sessions.push([id, token]));
  const turn = conversation.say("hello");
  const types = [];
  for await (const { type } of turn) types.push(type);
  assert.deepEqual(types, ["transcript", "reply_text", "audio", "turn_end"]);
  assert.deepEqual(player.played, [turn.id]);
  assert.deepEqual(sessions, [["s", "token-2"]]);
  const [asked] = api.of("/turns");
  const { text, turn_id, session_id, resume_token, events } = asked ?? {};
  assert.deepEqual(
    { text, turn_id, session_id, resume_token, events },
    { text: "hello", turn_id: turn.id, session_id: "s", resume_token: "token-1", events: true },
  );
});

test("many turns follow each other, each with the token of the one before", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  for (const text of ["one", "two", "three", "four"]) {
    player.playing = "";
    assert.equal((await conversation.say(text)).reason, "completed");
  }
  assert.equal(api.ran.length, 4);
  assert.equal(conversation.session?.token, "token-5");
});

test("what is spoken is sent in one piece when speaking stops", async (t) => {
  const { api, conversation, microphone } = await overHttp(t);
  const turn = conversation.startSpeaking();
  microphone.open();
  await settled();
  microphone.onChunk(new Uint8Array([1, 0]));
  microphone.onChunk(new Uint8Array([2, 0]));
  assert.deepEqual(api.of("/turns"), []);
  await conversation.stopSpeaking();
  await turn;
  const [asked] = api.of("/turns");
  assert.deepEqual([...Buffer.from(asked?.["audio"], "base64")], [1, 0, 2, 0, 9, 9]);
  assert.equal(asked?.["format"], "pcm_16000");
});

test("what was spoken for too long is refused with a sentence", async (t) => {
  const { api, conversation, microphone } = await overHttp(t);
  const turn = conversation.startSpeaking();
  microphone.open();
  await settled();
  for (let i = 0; i < 97; i += 1) microphone.onChunk(new Uint8Array(20_000));
  await conversation.stopSpeaking();
  await assert.rejects(turn, { code: "too_large", message: /at most 60 s/ });
  assert.deepEqual(api.of("/turns"), []);
  assert.equal(conversation.state, "ready");
});

test("speaking ends by itself before it is too long", async (t) => {
  const { api, conversation, microphone } = await overHttp(t);
  const turn = conversation.startSpeaking();
  microphone.open();
  await settled();
  while (!microphone.stops) microphone.onChunk(new Uint8Array(3_200));
  await turn;
  assert.ok(Buffer.from(api.of("/turns")[0]?.["audio"], "base64").length <= 60 * 32_000);
});

test("an utterance that is taken back is never sent", async (t) => {
  const { api, conversation, microphone } = await overHttp(t);
  const turn = conversation.startSpeaking();
  microphone.open();
  await settled();
  microphone.onChunk(new Uint8Array([1, 0]));
  await conversation.interrupt();
  assert.equal((await turn).reason, "interrupted");
  assert.deepEqual(api.of("/turns"), []);
});

test("an interrupted reply is silent at once, and the server told how much was heard", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  const turn = conversation.say("hello");
  await turn;
  await conversation.interrupt();
  assert.equal(player.playing, "");
  const path = `/sessions/s/turns/${turn.id}/interrupt`;
  while (!api.of(path).length) await settled();
  assert.deepEqual(api.of(path), [{ played_ms: 1234.5, resume_token: "token-2" }]);
});

test("a turn that is interrupted while it runs is left to end, and plays nothing", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  let open = () => {};
  api.gate = new Promise((resolve) => (open = () => resolve(undefined)));
  const first = conversation.say("one");
  while (!api.ran.length) await settled();
  await conversation.interrupt();
  const path = `/sessions/s/turns/${first.id}/interrupt`;
  while (!api.of(path).length) await settled();
  open();
  await first;
  assert.deepEqual(player.played, []);
  assert.equal((await conversation.say("two")).text, "You said: two");
  assert.equal(conversation.state, "ready");
});

test("of an answer that comes after the next turn began nothing is heard", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  let open = () => {};
  api.gate = new Promise((resolve) => (open = () => resolve(undefined)));
  const first = conversation.say("one");
  while (!api.ran.length) await settled();
  const second = conversation.say("two");
  while (api.ran.length < 2) await settled();
  open();
  await Promise.all([first, second]);
  assert.deepEqual(player.played, [second.id]);
  player.playing = "";
  assert.equal((await conversation.say("three")).text, "You said: three", "the token is good");
});

test("an answer that is lost is asked for again, and the turn runs once", async (t) => {
  const { api, conversation } = await overHttp(t);
  api.instead = ["lose", "lose"];
  const turn = conversation.say("hello");
  assert.equal((await turn).text, "You said: hello");
  assert.deepEqual(api.ran, [turn.id]);
  assert.equal(api.of("/turns").length, 3);
  assert.equal(conversation.transport, "http");
  assert.equal((await conversation.say("again")).text, "You said: again", "the token is good");
});

test("a turn that still runs is asked for later, as the server says", async (t) => {
  const { api, conversation } = await overHttp(t);
  const running = problem(409, "turn_running", { retryable: true, retry_after_ms: 1_200 });
  api.instead = [running, running];
  const began = performance.now();
  await conversation.say("hello");
  assert.ok(performance.now() - began >= 2_400);
  assert.equal(conversation.state, "ready");
});

test("a turn that API Gateway gave up is asked for again", async (t) => {
  const { api, conversation } = await overHttp(t);
  api.instead = [{ status: 503, body: { message: "Service Unavailable" } }];
  assert.equal((await conversation.say("hello")).reason, "completed");
});

test("a turn that is refused fails with the server's sentence, and the next goes on", async (t) => {
  const { api, conversation } = await overHttp(t);
  /** @type {unknown[]} */
  const errors = [];
  conversation.on("error", ({ code, turnId }) => errors.push([code, turnId]));
  api.instead = [problem(429, "quota_exceeded")];
  const turn = conversation.say("hello");
  await assert.rejects(turn, { code: "quota_exceeded", message: "It is quota_exceeded." });
  assert.deepEqual(errors, [["quota_exceeded", turn.id]]);
  assert.equal((await conversation.say("again")).reason, "completed");
});

test("settings go with the next turn, and to the WebSocket if there is none before", async (t) => {
  const { api, conversation, presence, player } = await overHttp(t);
  const updated = told(conversation, "config_updated");
  conversation.configure({ speed: 1.1 });
  await updated;
  assert.deepEqual(conversation.settings, { speed: 1.1 });
  await conversation.say("hello");
  assert.deepEqual(api.of("/turns")[0]?.["settings"], { speed: 1.1 });
  player.playing = "";
  conversation.configure({ speed: 0.9 });
  api.upgrades = "open";
  const moved = told(conversation, "transport");
  presence.changed();
  await moved;
  while (api.said.length < 2) await settled();
  assert.deepEqual(api.said[1], { type: "config", settings: { speed: 0.9 } });
});

test("settings that are refused cost one turn, and not the next", async (t) => {
  const { api, conversation } = await overHttp(t);
  conversation.configure({ speed: 9 });
  api.instead = [problem(400, "bad_request", { field: "settings.speed" })];
  const back = told(conversation, "config_updated", ({ settings }) => settings.speed === 1);
  await assert.rejects(conversation.say("hello"), { code: "bad_request" });
  await back;
  assert.equal((await conversation.say("again")).reason, "completed");
  assert.deepEqual(api.of("/turns")[1]?.["settings"], {});
});

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

test("while WebSockets stay blocked it goes on over HTTP", async (t) => {
  const { api, conversation, presence, player } = await overHttp(t);
  const handshakes = api.handshakes;
  presence.changed();
  while (api.handshakes === handshakes) await settled();
  assert.equal((await conversation.say("hello")).reason, "completed");
  player.playing = "";
  assert.equal(conversation.transport, "http");
});

test("a WebSocket that is blocked in the middle of a conversation is left for HTTP", async (t) => {
  const api = await Api.running(t);
  const { conversation, connecting, player } = conversing(t, api);
  await connecting;
  await conversation.say("one");
  player.playing = "";
  const moved = told(conversation, "transport");
  api.block("reset");
  await moved;
  assert.equal((await conversation.say("two")).text, "You said: two");
  assert.equal(api.ran.length, 2);
  assert.deepEqual(api.of("/sessions"), [], "it is the same session");
});

test("a refusal over HTTP is final, and not gone around", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "refuse";
  const { connecting, conversation } = conversing(t, api, { attempts: 10 });
  await connecting;
  api.instead = [{ status: 401, body: { message: "Unauthorized" } }];
  const failed = told(conversation, "state", ({ state }) => state === "failed");
  const turn = conversation.say("hello");
  turn.catch(() => undefined);
  const { problem: why } = await failed;
  assert.equal(why?.code, "unauthorized");
  const handshakes = api.handshakes;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(api.handshakes, handshakes, "nothing more is tried");
  assert.equal(api.of("/turns").length, 1);
});

for (const status of [401, 403]) {
  test(`${status} to the session's opening fails the connection`, async (t) => {
    const api = await Api.running(t);
    api.upgrades = "refuse";
    api.refusal = { status, body: { message: "No" } };
    const { connecting, conversation } = conversing(t, api, { attempts: 10 });
    await assert.rejects(connecting, { code: "unauthorized", retryable: false });
    assert.equal(conversation.state, "failed");
    assert.equal(api.asked.length, 1);
  });
}

test("a session is gone on with only if it is let in over HTTP", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "refuse";
  api.refusal = { status: 401, body: { message: "No" } };
  const session = { id: "s", token: "token-1" };
  const { connecting } = conversing(t, api, { session });
  await assert.rejects(connecting, { code: "unauthorized" });
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

test("every request shows a token, asked for anew", async (t) => {
  let asked = 0;
  const { api, conversation } = await overHttp(t, { token: () => `t${(asked += 1)}` });
  await conversation.say("hello");
  const tokens = api.asked.map(({ token }) => token ?? "");
  assert.ok(tokens.every((token) => /^Bearer t\d+$/.test(token)));
  assert.equal(new Set(tokens).size, 2);
});

test("ending the session closes it", async (t) => {
  const { conversation } = await overHttp(t);
  await conversation.end();
  assert.equal(conversation.state, "closed");
  assert.equal(conversation.session, undefined);
});

test("a WebSocket is tried after 30 s, then ever more seldom, at least every 5 minutes", () => {
  const fallback = new Fallback(true);
  const waits = Array.from({ length: 6 }, () => fallback.nextMs() / 1_000);
  assert.deepEqual(waits, [30, 60, 120, 240, 300, 300]);
  fallback.hurry();
  assert.equal(fallback.nextMs(), 0, "another network");
});

test("a handshake that succeeded counts as none that was blocked", () => {
  const fallback = new Fallback(true);
  fallback.failed(false);
  fallback.failed(true);
  fallback.failed(false);
  assert.equal(fallback.isDue, false);
  fallback.failed(false);
  assert.equal(fallback.isDue, true);
});
