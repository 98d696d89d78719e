/** Why there is no connection is told as what it is: another origin, no WebSocket, a redirect. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { Conversation } from "../conversation.js";
import { Api, conversing, overHttp, problem } from "./fallback-server.js";
import { AnyWebSocket, FakePresence, FakeSocket, SocketClass } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

const ORIGIN = "https://app.example";

/**
 * As in a page of this origin.
 * @param {Context} t
 */
function inPage(t) {
  Object.defineProperty(globalThis, "location", { value: { origin: ORIGIN }, configurable: true });
  t.after(() => Reflect.deleteProperty(globalThis, "location"));
}

/**
 * Why connecting fails.
 * @param {Promise<unknown>} connecting
 * @returns {Promise<import("../problem.js").Problem>}
 */
function reasonOf(connecting) {
  return connecting.then(
    () => assert.fail("it is connected"),
    (reason) => reason,
  );
}

for (const token of [undefined, "a.b.c"]) {
  const shown = token ? "with a token" : "without a token";
  test(`${shown} a page whose handshakes are refused is told of its origin first`, async (t) => {
    inPage(t);
    const api = await Api.running(t);
    api.upgrades = 403;
    const { connecting } = conversing(t, api, { httpUrl: false, token, attempts: 3 });
    const { code, message, retryable } = await reasonOf(connecting);
    assert.deepEqual([code, retryable], ["handshake_refused", true]);
    assert.match(message, /^The server answers, but opens no connection\. It may not allow pages of/);
    assert.ok(message.includes(ORIGIN));
    assert.equal(message.includes("expired"), token !== undefined);
  });
}

test("HTTP 403 is told of the origin, and never as an expired token", async (t) => {
  inPage(t);
  const api = await Api.running(t);
  api.upgrades = 403;
  const said = "This page or this user may not do that.";
  for (const refusal of [
    problem(403, "unauthorized", { detail: said }),
    { status: 403, body: { message: "Forbidden" } },
  ]) {
    api.refusal = refusal;
    const { connecting } = conversing(t, api, { token: "t" });
    const { code, message } = await reasonOf(connecting);
    assert.equal(code, "unauthorized");
    assert.ok(message.includes(`may not allow pages of ${ORIGIN}`), message);
    assert.doesNotMatch(message, /expired/);
  }
});

test("HTTP 401 is told as the token's", async (t) => {
  const api = await Api.running(t);
  api.upgrades = 401;
  api.refusal = { status: 401, body: { message: "Unauthorized" } };
  const { connecting } = conversing(t, api, { token: "t" });
  const { code, message } = await reasonOf(connecting);
  assert.equal(code, "unauthorized");
  assert.match(message, /token may have expired/);
});

test("where there is no WebSocket it says so, and how to have one", async (t) => {
  const { WebSocket } = globalThis;
  Reflect.deleteProperty(globalThis, "WebSocket");
  t.after(() => Object.assign(globalThis, { WebSocket }));
  const conversation = new Conversation("wss://api.example/dev");
  const { code, message, retryable } = await reasonOf(conversation.connect());
  assert.deepEqual([code, retryable], ["websocket_missing", false]);
  assert.match(message, /Node\.js.*version 22.*"ws".*new Conversation\(url, \{ WebSocket \}\)/);
  assert.doesNotMatch(message, /address/);
  assert.equal(conversation.state, "failed");
});

for (const [what, url, token, sentence] of /** @type {[string, string, string, RegExp][]} */ ([
  ["no address", "", "", /“” is not a WebSocket address/],
  ["a path", "/dev", "", /“\/dev” is not a WebSocket address/],
  ["another scheme", "ftp://x", "", /“ftp:\/\/x” is not a WebSocket address/],
  ["a token with a space", "wss://api.example/dev", "a b", /The token has characters/],
  ["a token with a line break", "wss://api.example/dev", "a\nb", /The token has characters/],
])) {
  test(`${what} is told as that, and not as anything else`, async () => {
    const { code, message } = await reasonOf(new Conversation(url, { token, WebSocket: AnyWebSocket }).connect());
    assert.equal(code, "bad_url");
    assert.match(message, sentence);
    assert.equal(/token/.test(message), token !== "");
  });
}

test("a page with https that may not open ws:// is told so", async (t) => {
  class Secure extends FakeSocket {
    /** @param {string} url */
    constructor(url) {
      super(url);
      throw new DOMException("An insecure WebSocket connection.", "SecurityError");
    }
  }
  const WebSocket = /** @type {typeof SocketClass} */ (/** @type {unknown} */ (Secure));
  const presence = new FakePresence();
  const conversation = new Conversation("ws://api.example/dev", { WebSocket, presence });
  t.after(() => conversation.close());
  const { code, message } = await reasonOf(conversation.connect());
  assert.equal(code, "bad_url");
  assert.match(message, /needs wss:\/\//);
});

/**
 * A server that leads every request to another, and what that has received.
 * @param {Context} t
 * @param {number} status
 */
async function redirecting(t, status) {
  /** @type {string[]} */
  const received = [];
  const other = createServer((request, response) => {
    received.push(`${request.method} ${request.url}`);
    response.writeHead(200, { "Content-Type": "application/json" }).end("{}");
  });
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (other.address());
  const first = createServer((_request, response) => {
    response.writeHead(status, { Location: `http://127.0.0.1:${port}/stolen` }).end();
  });
  first.listen(0, "127.0.0.1");
  await once(first, "listening");
  const at = /** @type {import("node:net").AddressInfo} */ (first.address());
  t.after(() => {
    for (const server of [first, other]) {
      server.closeAllConnections();
      server.close();
    }
  });
  return { url: `http://127.0.0.1:${at.port}`, received };
}

for (const status of [301, 302, 303, 307, 308]) {
  test(`a redirect (${status}) is not followed, and told`, async (t) => {
    const { url, received } = await redirecting(t, status);
    const api = await Api.running(t);
    api.upgrades = "reset";
    const { connecting, conversation } = conversing(t, api, { httpUrl: url, token: "secret" });
    const { code, message, retryable } = await reasonOf(connecting);
    assert.deepEqual([code, retryable], ["redirected", false]);
    assert.match(message, /redirects to another address, which is not followed/);
    assert.equal(conversation.state, "failed");
    assert.deepEqual(received, []);
  });
}

test("a turn that is redirected in the middle of a session ends it, and is not shown to anybody", async (t) => {
  const { url, received } = await redirecting(t, 307);
  const { api, conversation } = await overHttp(t, { token: "secret" });
  api.refusal = { status: 307, body: {}, headers: { Location: `${url}/turns` } };
  const told = new Promise((resolve) => conversation.on("state", resolve));
  const turn = conversation.say("my secret");
  await assert.rejects(turn);
  assert.equal(/** @type {any} */ (await told).problem.code, "redirected");
  assert.deepEqual(received, []);
});

test("every request that holds anything says that it follows no redirect", async (t) => {
  /** @type {RequestInit[]} */
  const requests = [];
  const original = globalThis.fetch;
  t.mock.method(globalThis, "fetch", (/** @type {string} */ url, /** @type {RequestInit} */ init) => {
    requests.push(init);
    return original(url, init);
  });
  const { conversation } = await overHttp(t, { token: "secret" });
  await conversation.say("hello");
  await conversation.interrupt();
  assert.ok(requests.length >= 2);
  for (const { redirect } of requests) assert.equal(redirect, "error");
});
