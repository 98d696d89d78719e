import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { after, connected, ready, refused, said } from "./connected.js";
import { FakeMicrophone, FakeSocket, settled } from "./fakes.js";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
afterEach(() => mock.timers.reset());

test("without a network it waits for one, and uses no attempt", async (t) => {
  const { conversation, socket, presence, changes } = await connected(t);
  presence.isOnline = false;
  socket.ends(1006);
  assert.equal(conversation.state, "offline");
  await after(60_000);
  assert.equal(FakeSocket.all.length, 1);
  presence.isOnline = true;
  presence.changed();
  await settled();
  assert.equal(FakeSocket.all.length, 2);
  assert.equal(changes.at(-1)?.attempt, 0);
});

test("a page that is looked at again asks whether the connection still lives", async (t) => {
  const { socket, presence, conversation } = await connected(t);
  presence.changed();
  assert.equal(socket.ofType("ping").length, 1);
  await after(4_000);
  assert.equal(conversation.state, "reconnecting");
});

test("a hidden page does not give up before it is looked at again", async (t) => {
  const { conversation, socket, presence } = await connected(t, { attempts: 1 });
  await said(conversation);
  presence.isVisible = false;
  socket.ends(1006);
  await after(500);
  await refused();
  assert.equal(conversation.state, "reconnecting");
  presence.isVisible = true;
  presence.changed();
  await after(3_000);
  await ready();
  assert.equal(conversation.state, "ready");
});

test("a hidden page that waits for nothing neither asks nor comes back", async (t) => {
  const { conversation, socket, presence } = await connected(t);
  presence.isVisible = false;
  await after(600_000);
  assert.deepEqual(socket.types(), []);
  socket.ends(1001);
  await after(60_000);
  assert.deepEqual([conversation.state, FakeSocket.all.length], ["reconnecting", 1]);
  presence.isVisible = true;
  presence.changed();
  await settled();
  await ready();
  assert.equal(conversation.state, "ready");
});

test("a hidden page that listens hands-free stays connected", async (t) => {
  const microphone = Object.assign(new FakeMicrophone(), {
    watch: async () => undefined,
    unwatch: async () => undefined,
    expectEcho: async () => undefined,
    on: () => () => undefined,
  });
  const { conversation, socket, presence } = await connected(t, { microphone });
  await conversation.startHandsFree();
  presence.isVisible = false;
  await after(480_000);
  assert.deepEqual(socket.types(), ["ping"]);
  socket.ends(1001);
  await after(500);
  await ready();
  assert.equal(conversation.state, "ready");
});

test("what a hidden page says brings its connection back", async (t) => {
  const { conversation, socket, presence } = await connected(t);
  presence.isVisible = false;
  socket.ends(1001);
  await said(conversation);
  await ready();
  assert.deepEqual(FakeSocket.last.types(), ["user_message"]);
});
