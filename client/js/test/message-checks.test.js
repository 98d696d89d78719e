/** Text that cannot be sent fails at once, with the sentences of the Python client. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation } from "../conversation.js";
import { begun, connected, said } from "./connected.js";
import { Api, conversing } from "./fallback-server.js";
import { FakeSocket, SocketClass, settled } from "./fakes.js";

/** @typedef {import("../messages.js").Settings} Settings */

const HIGH = "\ud83d";
const LOW = "\ude00";
const HALF_CHARACTERS = {
  "a high half": HIGH,
  "a low half": LOW,
  "a half at the end": `Hello ${HIGH}`,
  "a half in the middle": `Hel${LOW}lo`,
  "halves the wrong way round": `Hello ${LOW}${HIGH}`,
  "half beside a whole": `😀${HIGH}`,
  "two high halves": `${HIGH}${HIGH}${LOW}`,
  "a cut by UTF-16 units": "Hello 😀".slice(0, -1),
};
const SENTENCE = /^There is half a character \(a lone surrogate\) in the (text|settings|session)\.$/;

for (const [what, text] of Object.entries(HALF_CHARACTERS)) {
  test(`${what} is refused at once, and nothing is sent`, async (t) => {
    const { conversation, socket } = await connected(t);
    const turn = conversation.say(text);
    assert.equal(turn.ended, true, "at once");
    await assert.rejects(turn, { code: "bad_request", retryable: false, message: SENTENCE });
    await settled();
    assert.deepEqual(socket.types(), []);
    const { turn: next } = await said(conversation, "Hello 😀");
    assert.deepEqual(socket.ofType("user_message").map(({ turn_id }) => turn_id), [next.id]);
  });

  for (const settings of /** @type {Settings[]} */ ([{ style: text }, { voice: text }, { language: text }])) {
    const [name] = Object.keys(settings);
    test(`${what} in the setting ${name} is refused at once`, async (t) => {
      const { conversation, socket } = await connected(t);
      const problem = { code: "bad_request", message: SENTENCE };
      assert.throws(() => conversation.configure(settings), problem);
      assert.deepEqual(socket.types(), []);
    });
  }

  test(`${what} in the first settings or the session ends connecting with a sentence`, async (t) => {
    for (const options of [
      { settings: { style: text } },
      { session: { id: text, token: "t" } },
      { session: { id: "s", token: text } },
    ]) {
      const { conversation, connecting } = begun(t, options);
      await settled();
      FakeSocket.last?.opens();
      await assert.rejects(connecting, { code: "bad_request", message: SENTENCE });
      assert.equal(conversation.state, "failed");
    }
  });
}

test("a name with half a character in it is one as well", async (t) => {
  const { conversation } = await connected(t);
  const settings = /** @type {Settings} */ ({ [HIGH]: "x" });
  assert.throws(() => conversation.configure(settings), { message: SENTENCE });
});

test("over HTTP half a character is refused alike", async (t) => {
  const api = await Api.running(t);
  api.upgrades = "reset";
  const { conversation, connecting } = conversing(t, api);
  await connecting;
  await assert.rejects(conversation.say(HIGH), { code: "bad_request", message: SENTENCE });
  assert.equal(api.of("/turns").length, 0);
});

for (const text of ["", " ", "\n\t ", "\u3000", "\u00a0"]) {
  test(`${JSON.stringify(text)} is nothing to say`, async (t) => {
    const { conversation } = await connected(t);
    const message = "There is nothing to say: the text is empty.";
    await assert.rejects(conversation.say(text), { code: "bad_request", message });
  });
}

for (const value of [undefined, null, 5, {}]) {
  test(`${value} is no text`, async (t) => {
    const { conversation } = await connected(t);
    const message = /must be a string/;
    await assert.rejects(conversation.say(/** @type {any} */ (value)), { code: "bad_request", message });
  });
}

test("text is counted in characters, as the server does, and not in UTF-16 units", async (t) => {
  const { conversation } = await connected(t);
  await said(conversation, "😀".repeat(100));
  const message = "The text has 101 characters; at most 100 can be said at once.";
  await assert.rejects(conversation.say("😀".repeat(101)), { code: "too_large", message });
});

test("numbers are grouped", async (t) => {
  const conversation = new Conversation("ws://test", { WebSocket: SocketClass });
  const connecting = conversation.connect();
  t.after(() => conversation.close());
  await settled();
  FakeSocket.last.becomesReady({ limits: {} });
  await connecting;
  const message = "The text has 8,001 characters; at most 8,000 can be said at once.";
  await assert.rejects(conversation.say("a".repeat(8_001)), { code: "too_large", message });
});

test("a message that is too large says how large, and of what", async (t) => {
  const settings = { style: "é".repeat(2_000) };
  const thrown = { code: "too_large", message: /^The settings make a message of [\d,]+ bytes; at most/ };
  const { conversation, connecting } = begun(t);
  await settled();
  FakeSocket.last.becomesReady({ limits: { max_message_bytes: 200, max_text_chars: 8_000 } });
  await connecting;
  assert.throws(() => conversation.configure(settings), thrown);
  const told = { code: "too_large", message: /^The text makes a message of [\d,]+ bytes; at most 200 can be sent\.$/ };
  await assert.rejects(conversation.say("a".repeat(300)), told);
});
