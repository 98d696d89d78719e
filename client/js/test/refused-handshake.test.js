/** A browser does not see a handshake's status: the HTTP API, where there is one, says why. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, conversing, problem, told } from "./fallback-server.js";
import { settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

const message = "No";

/**
 * A conversation whose handshakes and HTTP requests are answered with a status.
 * @param {Context} t
 * @param {number} status
 * @param {import("./fallback-server.js").Answer} [refusal] the HTTP requests' answer
 * @param {import("../conversation.js").ConversationOptions} [options]
 */
async function refused(t, status, refusal = { status, body: { message } }, options = {}) {
  const api = await Api.running(t);
  api.upgrades = status;
  api.refusal = refusal;
  let tokens = 0;
  const made = conversing(t, api, { token: () => `t${(tokens += 1)}`, ...options });
  /** @type {import("../reconnector.js").StateChange[]} */
  const changes = [];
  made.conversation.on("state", (change) => changes.push(change));
  return { api, changes, ...made };
}

for (const status of [401, 403]) {
  test(`${status}, by HTTP too, is final, after a fresh token each time`, async (t) => {
    const { api, connecting, conversation } = await refused(t, status);
    await assert.rejects(connecting, { code: "unauthorized", retryable: false });
    assert.equal(conversation.state, "failed");
    assert.equal(api.handshakes, 2);
    assert.equal(api.asked.length, 1);
    assert.equal(new Set(api.tokens).size, 3, "every one of them has shown another");
  });
}

for (const status of [429, 500, 503]) {
  test(`${status}, by HTTP too, is waited for, and never gone around`, async (t) => {
    const made = await refused(t, status, undefined, { attempts: 20 });
    const { api, connecting, conversation, changes } = made;
    while (api.handshakes < 6) await told(conversation, "state");
    assert.deepEqual([conversation.state, conversation.transport], ["connecting", "websocket"]);
    api.upgrades = "open";
    await connecting;
    assert.equal(conversation.transport, "websocket");
    assert.equal(api.of("/turns").length, 0);
    const code = status === 429 ? "rate_limited" : "internal";
    assert.ok(changes.some((change) => change.problem?.code === code && change.retryInMs));
  });

  test(`${status} without an end fails with the server's own reason`, async (t) => {
    const { connecting } = await refused(t, status, undefined, { attempts: 2 });
    const code = status === 429 ? "rate_limited" : "internal";
    await assert.rejects(connecting, { code, retryable: true });
  });

  test(`${status} to handshakes alone goes on over HTTP`, async (t) => {
    const { api, connecting, conversation } = await refused(t, status);
    api.refusal = undefined;
    await connecting;
    assert.equal(conversation.transport, "http");
    assert.equal((await conversation.say("hello")).text, "You said: hello");
  });
}

for (const [what, refusal] of /** @type {[string, import("./fallback-server.js").Answer][]} */ ([
  ["a header", { status: 429, body: { message }, headers: { "Retry-After": "7" } }],
  ["a problem document", problem(429, "rate_limited", { retryable: true, retry_after_ms: 7_000 })],
])) {
  test(`a limit that ends is waited for as ${what} says`, async (t) => {
    const { changes, conversation } = await refused(t, 429, refusal);
    const { problem: why, retryInMs } = await told(
      conversation,
      "state",
      (change) => change.problem?.code === "rate_limited",
    );
    assert.deepEqual([retryInMs, why?.retryAfterMs], [7_000, 7_000]);
    assert.equal(changes.at(-1)?.state, "connecting");
  });
}

test("a page that is looked at again does not try before the limit ends", async (t) => {
  const headers = { "Retry-After": "1" };
  const answer = { status: 429, body: { message }, headers };
  const { api, conversation, connecting, presence } = await refused(t, 429, answer);
  await told(conversation, "state", (change) => change.problem?.code === "rate_limited");
  const began = performance.now();
  api.upgrades = "open";
  const { handshakes } = api;
  const waiting = told(conversation, "state");
  for (const isVisible of [false, true]) {
    presence.isVisible = isVisible;
    presence.changed();
  }
  const { retryInMs = 0 } = await waiting;
  assert.ok(retryInMs > 500 && retryInMs <= 1_000, `${retryInMs} ms`);
  await connecting;
  assert.equal(api.handshakes, handshakes + 1);
  assert.ok(performance.now() - began > 900);
});

test("a limit may name the date on which it ends", async (t) => {
  const headers = { "Retry-After": new Date(Date.now() + 9_000).toUTCString() };
  const { conversation } = await refused(t, 429, { status: 429, body: { message }, headers });
  const { problem: why } = await told(
    conversation,
    "state",
    (change) => change.problem?.code === "rate_limited",
  );
  const waitMs = why?.retryAfterMs ?? 0;
  assert.ok(waitMs > 2_000 && waitMs <= 9_000, `${waitMs} ms`);
});

for (const status of [401, 403, 429, 500, 503]) {
  test(`without an HTTP API ${status} is tried again, then told as what it may be`, async (t) => {
    const { api, connecting, conversation } = await refused(t, status, undefined, {
      httpUrl: false,
      attempts: 4,
    });
    await assert.rejects(connecting, {
      code: "handshake_refused",
      retryable: true,
      message: /token.* too many connections.* overloaded.* block WebSockets/,
    });
    assert.equal(conversation.state, "failed");
    assert.equal(api.handshakes, 5);
    assert.equal(new Set(api.tokens).size, 5);
    assert.deepEqual(api.asked, []);
  });

  test(`without an HTTP API ${status} that passes is come back from`, async (t) => {
    const made = await refused(t, status, undefined, { httpUrl: false, attempts: 9 });
    const { api, connecting, conversation } = made;
    await told(conversation, "state", ({ problem: why }) => why?.code === "handshake_refused");
    api.upgrades = "open";
    await connecting;
    assert.equal((await conversation.say("hello")).text, "You said: hello");
  });
}

test("an address or token that cannot be had is no WebSocket that is blocked", async (t) => {
  let asked = 0;
  const token = () => {
    asked += 1;
    if (asked <= 2) throw new Error("the backend restarts");
    return "t";
  };
  const api = await Api.running(t);
  const { connecting, conversation } = conversing(t, api, { token });
  await connecting;
  assert.equal(conversation.transport, "websocket");
  assert.deepEqual(api.asked, []);
});

test("a fresh connection shows a fresh token; if it is refused the open one goes on", async (t) => {
  const api = await Api.running(t);
  let tokens = 0;
  const token = () => `t${(tokens += 1)}`;
  const made = conversing(t, api, { token, rotateAfterMs: 100, httpUrl: false });
  await made.connecting;
  api.upgrades = 401;
  while (api.handshakes < 2) await settled();
  assert.deepEqual(api.tokens, ["t1", "t2"]);
  assert.equal((await made.conversation.say("hello")).text, "You said: hello");
  assert.equal(made.conversation.state, "ready");
});
