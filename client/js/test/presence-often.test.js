/** A network or a page that changes again and again: no attempt for each change, and none for ever. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { browserPresence } from "../presence.js";
import { after, begun, connected, refused } from "./connected.js";
import { FakePresence, FakeSocket, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

const CHANGES = 100;
const EVERY_MS = 50;
/** 5 s of changes, and 3 s at least between two attempts. */
const MOST = 3;

/** @type {Record<string, (presence: FakePresence) => void>} */
const KINDS = {
  "network after network": () => undefined,
  "a network that comes and goes": (presence) => (presence.isOnline = !presence.isOnline),
  "a page that is looked at and left": (presence) => (presence.isVisible = !presence.isVisible),
};

/** @param {Context} t */
function mockTime(t) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
}

/**
 * @param {FakePresence} presence
 * @param {(presence: FakePresence) => void} change
 * @returns {Promise<number>} how many attempts were made, each of which fails
 */
async function attemptsDuring(presence, change) {
  const before = FakeSocket.all.length;
  for (let count = 0; count < CHANGES; count += 1) {
    change(presence);
    presence.changed();
    mock.timers.tick(EVERY_MS);
    await settled();
    await refused();
  }
  return FakeSocket.all.length - before;
}

for (const [kind, change] of Object.entries(KINDS)) {
  test(`${kind}: few attempts once they are used up`, async (t) => {
    mockTime(t);
    const { conversation, presence } = begun(t, { attempts: 1, slowRetryMs: 30_000 });
    await settled();
    await refused();
    await after(1_000);
    await refused();
    assert.equal(conversation.state, "failed");
    const attempts = await attemptsDuring(presence, change);
    assert.ok(attempts <= MOST, `${attempts}`);
  });

  test(`${kind}: few attempts after a loss, and they are used up`, async (t) => {
    mockTime(t);
    const { presence, socket } = await connected(t, { attempts: 5, baseDelayMs: 4_000 });
    socket.ends(1006);
    await settled();
    const attempts = await attemptsDuring(presence, change);
    assert.ok(attempts <= MOST, `${attempts}`);
  });
}

test("networks that follow each other use the attempts up", async (t) => {
  mockTime(t);
  const { conversation, presence } = begun(t, { attempts: 3 });
  await settled();
  await refused();
  await attemptsDuring(presence, () => undefined);
  await attemptsDuring(presence, () => undefined);
  assert.equal(conversation.state, "failed");
});

test("another network is tried sooner than the attempt that is due", async (t) => {
  mockTime(t);
  const { presence, changes } = begun(t, { baseDelayMs: 15_000 });
  await settled();
  await refused();
  assert.equal(changes.at(-1)?.retryInMs, 15_000);
  await after(4_000);
  presence.changed();
  await after(1);
  assert.equal(FakeSocket.all.length, 2);
});

/** @param {Context} t @param {string | undefined} type */
function inPage(t, type) {
  const connection = Object.assign(new EventTarget(), { type });
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const found = { document, navigator: { onLine: true, connection } };
  for (const [name, value] of Object.entries(found)) {
    const had = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true });
    t.after(() => {
      if (had) Object.defineProperty(globalThis, name, had);
      else Reflect.deleteProperty(globalThis, name);
    });
  }
  Object.assign(globalThis, {
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  });
  return { connection, document };
}

for (const type of [undefined, "wifi"]) {
  test(`a new estimate of the network's speed is no change (type ${type})`, (t) => {
    const { connection, document } = inPage(t, type);
    let changes = 0;
    const stop = browserPresence().watch(() => (changes += 1));
    for (let count = 0; count < 10; count += 1) connection.dispatchEvent(new Event("change"));
    assert.equal(changes, 0);
    connection.type = "cellular";
    connection.dispatchEvent(new Event("change"));
    connection.dispatchEvent(new Event("change"));
    assert.equal(changes, 1);
    document.dispatchEvent(new Event("visibilitychange"));
    assert.equal(changes, 2);
    stop();
    connection.type = "ethernet";
    connection.dispatchEvent(new Event("change"));
    assert.equal(changes, 2);
  });
}
