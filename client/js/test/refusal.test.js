import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { Reconnector } from "../reconnector.js";
import { FakePresence, FakeSocket, SocketClass } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

/**
 * The address of a server that answers, as API Gateway does, what is no handshake.
 * @param {Context} t
 */
async function answering(t) {
  /** @type {string[]} */
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(426).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `ws://127.0.0.1:${port}/dev?a=1`, asked, server };
}

/**
 * Connects by sockets whose handshakes fail so many times.
 * @param {string} url
 * @param {number} failures
 */
function connecting(url, failures) {
  /** @type {(string[] | undefined)[]} */
  const offered = [];
  class Failing extends FakeSocket {
    /**
     * @param {string} to
     * @param {string[]} [protocols]
     */
    constructor(to, protocols) {
      super(to, protocols);
      offered.push(protocols);
      const succeeds = offered.length > failures;
      setTimeout(() => (succeeds ? this.becomesReady() : this.ends(1006)));
    }
  }
  let asked = 0;
  const connection = new Reconnector(url, {
    token: () => `token-${(asked += 1)}`,
    baseDelayMs: 1,
    attempts: 4,
    presence: new FakePresence(),
    WebSocket: /** @type {typeof SocketClass} */ (/** @type {unknown} */ (Failing)),
  });
  return { connection, offered };
}

test("after a refusal another token is asked for and shown", async (t) => {
  const { url, asked } = await answering(t);
  const { connection, offered } = connecting(url, 2);
  await connection.connect();
  assert.deepEqual(asked, [], "nothing is sent but handshakes");
  connection.close();
  assert.deepEqual(offered, [
    ["parley", "token-1"],
    ["parley", "token-2"],
    ["parley", "token-3"],
  ]);
});

test("refusals without an end are told as what they may be, and may be tried again", async (t) => {
  const { url, asked } = await answering(t);
  const { connection, offered } = connecting(url, 99);
  /** @type {(string | undefined)[]} */
  const reasons = [];
  connection.on("state", ({ problem }) => problem && reasons.push(problem.code));
  await assert.rejects(connection.connect(), { code: "handshake_refused", retryable: true });
  assert.equal(connection.state, "failed");
  assert.equal(offered.length, 5, "every attempt is used, each with a fresh token");
  assert.equal(new Set(offered.map((protocols) => protocols?.[1])).size, 5);
  const refused = "handshake_refused";
  assert.deepEqual(reasons, ["unreachable", "unreachable", refused, refused, refused]);
  assert.deepEqual(new Set(asked), new Set(["HEAD /dev"]));
});

test("a refusal that passes is come back from after the third", async (t) => {
  const { url } = await answering(t);
  const { connection, offered } = connecting(url, 4);
  await connection.connect();
  connection.close();
  assert.equal(offered.length, 5);
});

test("where nobody answers nobody has refused", async (t) => {
  const { url, server } = await answering(t);
  await new Promise((resolve) => server.close(resolve));
  const { connection, offered } = connecting(url, 99);
  await assert.rejects(connection.connect(), { code: "unreachable" });
  assert.equal(offered.length, 5, "every attempt is used");
});
