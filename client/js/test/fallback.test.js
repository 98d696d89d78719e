import assert from "node:assert/strict";
import { test } from "node:test";

import { Fallback } from "../fallback.js";
import { Api, conversing, overHttp, told } from "./fallback-server.js";
import { settled } from "./fakes.js";

for (const upgrades of /** @type {const} */ (["reset", "refuse", "hang"])) {
  test(`where upgrades meet a ${upgrades} it goes on over HTTP after two`, async (t) => {
    const api = await Api.running(t);
    api.upgrades = upgrades;
    const { conversation, connecting } = conversing(t, api, { connectTimeoutMs: 300 });
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

test("every request shows a token, asked for anew", async (t) => {
  let asked = 0;
  const { api, conversation } = await overHttp(t, { token: () => `t${(asked += 1)}` });
  await conversation.say("hello");
  const tokens = api.asked.map(({ token }) => token ?? "");
  assert.ok(tokens.every((token) => /^Bearer t\d+$/.test(token)));
  assert.equal(new Set(tokens).size, 2);
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

/** @param {import("node:test").TestContext} t */
function withoutWebSocket(t) {
  const had = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  Reflect.deleteProperty(globalThis, "WebSocket");
  t.after(() => had && Object.defineProperty(globalThis, "WebSocket", had));
}

test("where there is no WebSocket it is HTTP at once, and stays so", async (t) => {
  withoutWebSocket(t);
  const api = await Api.running(t);
  const { conversation, connecting, presence } = conversing(t, api, { WebSocket: undefined });
  await connecting;
  assert.deepEqual([conversation.transport, api.handshakes], ["http", 0]);
  assert.equal((await conversation.say("hello")).reason, "completed");
  presence.changed();
  for (let step = 0; step < 20; step += 1) await settled();
  assert.deepEqual([conversation.state, conversation.transport], ["ready", "http"]);
});

test("where there is no WebSocket, an HTTP API that is away is tried as often as ever", async (t) => {
  withoutWebSocket(t);
  const api = await Api.running(t);
  let asked = 0;
  const options = { httpUrl: () => ((asked += 1), "http://127.0.0.1:9"), attempts: 3 };
  const { connecting } = conversing(t, api, { WebSocket: undefined, ...options });
  await assert.rejects(connecting, { code: "unreachable" });
  assert.equal(asked, 4);
});
