/** After the attempts are used up: a way to try again, by hand or slowly for as long as somebody looks. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { after, begun, ready, refused } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

const SLOW_MS = 30_000;
/** With `random` at 1. */
const LONGEST_MS = 45_000;

/**
 * A conversation whose attempts are used up.
 * @param {Context} t
 * @param {import("../conversation.js").ConversationOptions} [options]
 */
async function failed(t, options = { slowRetryMs: SLOW_MS }) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const made = begun(t, { attempts: 1, ...options });
  await settled();
  await refused();
  await after(1_000);
  await refused();
  await assert.rejects(made.connecting, { code: "unreachable" });
  assert.equal(made.conversation.state, "failed");
  return made;
}

test("without the option nothing more is tried", async (t) => {
  const { changes } = await failed(t, {});
  assert.equal(changes.at(-1)?.retryInMs, undefined);
  await after(600_000);
  assert.equal(FakeSocket.all.length, 2);
});

test("it is tried once every 30 to 45 s, counted down, and shown", async (t) => {
  const { changes, conversation } = await failed(t);
  for (let round = 1; round <= 4; round += 1) {
    const { state, retryInMs, problem } = changes.at(-1) ?? {};
    assert.deepEqual([state, retryInMs, problem?.code], ["failed", LONGEST_MS, "unreachable"]);
    await after(LONGEST_MS - 1_000);
    assert.equal(FakeSocket.all.length, 1 + round);
    await after(1_000);
    assert.equal(FakeSocket.all.length, 2 + round);
    assert.equal(conversation.state, "connecting");
    await refused();
  }
  await after(LONGEST_MS);
  await ready();
  assert.equal(conversation.state, "ready");
});

test("a connection that was lost goes on in its session", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const { conversation, changes } = begun(t, { attempts: 1, slowRetryMs: SLOW_MS });
  await settled();
  await ready();
  await refused();
  await after(1_000);
  await refused();
  assert.equal(conversation.state, "failed");
  await after(LONGEST_MS);
  assert.equal(conversation.state, "reconnecting");
  FakeSocket.last.opens();
  assert.equal(FakeSocket.last.ofType("init")[0]?.["session_id"], "s");
  await ready();
  assert.equal(conversation.state, "ready");
  assert.equal(changes.at(-1)?.problem, undefined);
});

test("a page that nobody looks at does not try; looked at again it does at once", async (t) => {
  const { presence, changes, conversation } = await failed(t);
  presence.isVisible = false;
  presence.changed();
  assert.deepEqual([changes.at(-1)?.state, changes.at(-1)?.retryInMs], ["failed", undefined]);
  await after(3_600_000);
  assert.equal(FakeSocket.all.length, 2);
  presence.isVisible = true;
  presence.changed();
  await after(1_000);
  assert.equal(FakeSocket.all.length, 3);
  await ready();
  assert.equal(conversation.state, "ready");
});

test("without a network it waits for one", async (t) => {
  const { presence, conversation } = await failed(t);
  presence.isOnline = false;
  presence.changed();
  await after(600_000);
  assert.equal(FakeSocket.all.length, 2);
  presence.isOnline = true;
  presence.changed();
  await after(1_000);
  await ready();
  assert.equal(conversation.state, "ready");
});

test("connecting by hand does not wait, has all attempts, and leaves no slow one behind", async (t) => {
  const { conversation } = await failed(t);
  const connecting = conversation.connect();
  await settled();
  assert.equal(FakeSocket.all.length, 3);
  await ready();
  await connecting;
  await after(60_000);
  assert.equal(FakeSocket.all.length, 3);
});

for (const [way, ends] of /** @type {[string, (made: any) => unknown][]} */ ([
  ["close()", ({ conversation }) => conversation.close()],
  ["end()", ({ conversation }) => conversation.end()],
])) {
  test(`${way} ends it for good`, async (t) => {
    const made = await failed(t);
    await ends(made);
    assert.equal(made.conversation.state, "closed");
    made.presence.changed();
    await after(600_000);
    assert.equal(FakeSocket.all.length, 2);
  });
}

test("what was refused for good is not tried again", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const { conversation, changes } = begun(t, { slowRetryMs: SLOW_MS });
  await settled();
  FakeSocket.last.ends(1008);
  await settled();
  assert.deepEqual([conversation.state, changes.at(-1)?.retryInMs], ["failed", undefined]);
  await after(600_000);
  assert.equal(FakeSocket.all.length, 1);
});

test("what is said while it is failed is refused, and what waits is not said twice", async (t) => {
  const { conversation } = await failed(t);
  await assert.rejects(conversation.say("hello"), { code: "not_connected" });
  await after(LONGEST_MS);
  const turn = conversation.say("hello");
  await ready();
  assert.equal(FakeSocket.last.ofType("user_message").length, 1);
  assert.equal(turn.ended, false);
});
