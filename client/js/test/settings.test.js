/** Settings arrive, whatever becomes of the connection. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { after, connected, ready, said } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

/** @param {number} speed */
const config = (speed) => ({ type: "config", settings: { speed } });
const UPDATED = { type: "config_updated", settings: {} };

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
afterEach(() => mock.timers.reset());

/**
 * The connection breaks, and another is ready.
 * @returns {Promise<Record<string, unknown>[]>} what is said on it
 */
async function broken() {
  FakeSocket.last.ends(1006);
  await after(1_000);
  await ready({ resumed: true });
  return FakeSocket.last.sent.slice(1);
}

test("what a dying connection swallowed is sent again, and what arrived is not", async (t) => {
  const { conversation, socket } = await connected(t);
  conversation.configure({ speed: 0.9 });
  conversation.configure({ speed: 1.1 });
  assert.deepEqual(socket.sent.slice(1), [config(0.9), config(1.1)]);
  socket.says(UPDATED);
  assert.deepEqual(await broken(), [config(1.1)]);
  FakeSocket.last.says(UPDATED);
  assert.deepEqual(await broken(), []);
});

test("settings come before the turn that they are for", async (t) => {
  const { conversation } = await connected(t);
  await said(conversation, "before");
  conversation.configure({ speed: 0.9 });
  conversation.say("after");
  await settled();
  assert.deepEqual(
    (await broken()).map(({ type, text }) => text ?? type),
    ["before", "config", "interrupt", "after"],
  );
});

test("settings that are refused are not sent again", async (t) => {
  const { conversation, socket } = await connected(t);
  conversation.configure({ speed: 9 });
  const refused = { type: "error", code: "bad_request", message: "Too fast.", retryable: false };
  socket.says({ ...refused, field: "config.settings.speed" });
  assert.deepEqual(await broken(), []);
});

test("a session that was lost is followed by one with the settings that may be chosen", async (t) => {
  const { conversation } = await connected(t);
  assert.equal(conversation.choices, undefined);
  const choices = { settings: ["speed"], voices: [{ id: "v", name: "Vera" }], languages: ["en"] };
  const settings = { voice: "v", speed: 0.9, style: "", record: false };
  FakeSocket.last.ends(1006);
  await after(1_000);
  await ready({ resumed: true, settings, choices, stand_ins: ["responder"] });
  assert.deepEqual(conversation.choices, choices);
  assert.deepEqual(conversation.standIns, ["responder"]);
  FakeSocket.last.ends(1006);
  await after(1_000);
  FakeSocket.last.opens();
  FakeSocket.last.says({ type: "error", code: "session_not_found", message: "", retryable: false });
  await settled();
  await ready();
  const [init] = FakeSocket.last.sent;
  assert.equal(init?.["session_id"], undefined);
  assert.deepEqual(init?.["settings"], { speed: 0.9 });
});
