/** What `open()` opens stays open for the utterance that may follow, and no longer than anybody is there. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { fromBase64 } from "../base64.js";
import { Microphone } from "../microphone.js";
import { FakeAudioContext, withSound } from "./audio.js";
import { connected } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */
/** @typedef {{conversation: import("../conversation.js").Conversation, socket: FakeSocket}} Made */

const ENDED = { type: "session_ended", session_id: "s", reason: "ended" };

/** Everything that needs no timer has happened. */
async function rest() {
  for (let step = 0; step < 30; step += 1) await settled();
}

/** @param {Context} t @param {boolean} isAllowed whether the user has allowed it already */
async function opened(t, isAllowed = true) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const sound = withSound(t);
  const microphone = new Microphone();
  const made = await connected(t, { microphone });
  /** @type {Promise<string | undefined>} why it did not open */
  const opening = microphone.open().then(
    () => undefined,
    ({ code }) => code,
  );
  await rest();
  if (isAllowed) sound.asked[0]?.allow();
  await rest();
  return { ...made, sound, microphone, opening };
}

test("what was opened stays open for a minute, and is asked for once", async (t) => {
  const { sound } = await opened(t);
  mock.timers.tick(59_000);
  assert.deepEqual([sound.asked.length, sound.live().length], [1, 1]);
  mock.timers.tick(1_000);
  assert.equal(sound.live().length, 0);
});

test("the first utterance has all that was heard since it was opened", async (t) => {
  const { conversation, socket, sound } = await opened(t);
  for (let block = 0; block < 4; block += 1) FakeAudioContext.last.passes(0.3);
  conversation.startSpeaking({ prerollMs: 500 }).catch(() => undefined);
  await rest();
  assert.deepEqual([sound.asked.length, sound.tracks.length], [1, 1]);
  const chunks = socket.ofType("audio_chunk").map(({ audio }) => fromBase64(String(audio)).length);
  assert.deepEqual(chunks, [480 * 32], "the rest follows");
  void conversation.stopSpeaking();
  mock.timers.tick(200);
  await rest();
  const sent = socket.ofType("audio_chunk").map(({ audio }) => fromBase64(String(audio)).length);
  assert.deepEqual(sent, [480 * 32, 20 * 32]);
});

test("speaking that is begun while the browser asks for what was opened asks no second time", async (t) => {
  const { conversation, sound } = await opened(t, false);
  conversation.startSpeaking().catch(() => undefined);
  await rest();
  sound.asked[0]?.allow();
  await rest();
  assert.deepEqual([sound.asked.length, sound.tracks.length, sound.live().length], [1, 1, 1]);
  assert.equal(conversation.isListening, true);
});

/** @type {Record<string, (made: Made) => unknown>} */
const WAYS = {
  "close()": ({ conversation }) => conversation.close(),
  "end()": async ({ conversation, socket }) => {
    void conversation.end();
    await rest();
    socket.says(ENDED);
  },
  "a final close code": () => FakeSocket.last.ends(1008),
  "a session that has ended": ({ socket }) => socket.says(ENDED),
};

for (const [way, goes] of Object.entries(WAYS)) {
  for (const isAllowed of [false, true]) {
    const time = isAllowed ? "when it is open" : "while the browser asks";
    test(`${way} ${time} lets go of what was opened`, async (t) => {
      const made = await opened(t, isAllowed);
      await goes(made);
      await rest();
      assert.equal(made.sound.live().length, 0, "at once");
      if (!isAllowed) made.sound.asked[0]?.allow();
      await rest();
      assert.equal(made.sound.live().length, 0);
      assert.equal(await made.opening, isAllowed ? undefined : "microphone_failed");
    });
  }
}

test("a conversation that goes does not end what another, or the page itself, listens to", async (t) => {
  const { conversation, microphone, sound } = await opened(t);
  const other = await connected(t, { microphone });
  other.conversation.startSpeaking().catch(() => undefined);
  let heard = 0;
  await microphone.start(() => (heard += 1));
  await rest();
  conversation.close();
  other.conversation.close();
  assert.equal(sound.live().length, 1);
  for (let block = 0; block < 4; block += 1) FakeAudioContext.last.passes(0.3);
  assert.ok(heard > 0);
  microphone.release();
  assert.equal(sound.live().length, 0);
});
