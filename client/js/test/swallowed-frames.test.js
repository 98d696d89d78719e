/** WebSockets that open and carry nothing, as behind a broken proxy. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, conversing, told } from "./fallback-server.js";
import { settled } from "./fakes.js";

const connectTimeoutMs = 100;
/** For those that answer: a busy machine is no broken proxy. */
const longEnoughMs = 2_000;

test("two WebSockets that open and bring nothing are blocked ones: it goes on over HTTP", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "swallow";
  const { connecting, conversation } = conversing(t, api, { connectTimeoutMs });
  await connecting;
  assert.equal(api.handshakes, 2);
  assert.equal(conversation.transport, "http");
  assert.equal((await conversation.say("hello")).text, "You said: hello");
});

test("a handshake that is blocked and one that is swallowed are two", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "reset";
  const { connecting, conversation } = conversing(t, api, { connectTimeoutMs });
  while (!api.handshakes) await settled();
  api.upgrades = "swallow";
  await connecting;
  assert.equal(api.handshakes, 2);
  assert.equal(conversation.transport, "http");
});

test("one that is slow once is no blocked one", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "swallow";
  const { connecting, conversation } = conversing(t, api, { connectTimeoutMs: longEnoughMs });
  await told(conversation, "state", ({ problem }) => problem?.code === "unreachable");
  api.upgrades = "open";
  await connecting;
  assert.equal(conversation.transport, "websocket");
  assert.deepEqual(api.asked, []);
});

test("a server that says why it is not ready is heard, and not gone around", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "busy";
  const { connecting, conversation } = conversing(t, api, {
    connectTimeoutMs: longEnoughMs,
    attempts: 3,
  });
  await assert.rejects(connecting, { code: "internal" });
  assert.equal(api.handshakes, 4);
  assert.equal(conversation.transport, "websocket");
  assert.deepEqual(api.asked, []);
});

test("what is said while a WebSocket is tried that swallows everything is answered over HTTP", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "swallow";
  const { connecting, conversation, presence } = conversing(t, api, { connectTimeoutMs });
  await connecting;
  presence.changed();
  while (api.handshakes < 3) await settled();
  assert.equal((await conversation.say("hello")).text, "You said: hello");
  assert.equal(conversation.transport, "http");
  assert.equal(conversation.state, "ready");
});
