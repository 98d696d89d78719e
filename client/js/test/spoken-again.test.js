/** A spoken turn that is tried again is the whole utterance, also if it failed meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { toBase64 } from "../base64.js";
import { ConversationView } from "../conversation-view.js";
import { connected, said, speaking, turnEnd } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

/** @typedef {import("./fakes.js").FakeMicrophone} FakeMicrophone */

const FAILED = { reason: "failed", code: "rate_limited", retryable: true };
const SERVER_VAD = /** @type {const} */ ({ endpointing: "server_vad" });
/** What a fake microphone hands over when it is stopped. */
const LAST = 9;

/**
 * A turn that fails after its first chunk, while the user goes on.
 * @param {import("node:test").TestContext} t
 * @param {import("../utterances.js").Speaking} [options]
 */
async function failing(t, options) {
  const made = await connected(t);
  const { conversation, socket, microphone } = made;
  const view = new ConversationView(conversation);
  const { turn } = await speaking(conversation, microphone, options);
  hear(microphone, 1);
  socket.says(turnEnd(turn.id, 1, FAILED));
  await assert.rejects(turn, { code: "rate_limited", retryable: true });
  socket.sent.length = 1;
  return { ...made, view, turnId: turn.id };
}

/**
 * @param {FakeMicrophone} microphone
 * @param {number} byte
 */
function hear(microphone, byte) {
  microphone.onChunk(new Uint8Array([byte, byte]));
}

/**
 * What has been sent, as short as can be.
 * @param {FakeSocket} [socket]
 */
function heard(socket = FakeSocket.last) {
  return socket.sent.slice(1).map(({ type, seq, audio, attempt, chunks }) => {
    if (type === "audio_chunk") return `${seq}: ${audio}`;
    return `${type} ${type === "audio_start" ? attempt : (chunks ?? "")}`.trim();
  });
}

/** @param {number[]} bytes one of each chunk */
function chunks(...bytes) {
  return bytes.map((byte, index) => `${index + 1}: ${toBase64(new Uint8Array([byte, byte]))}`);
}

test("it is listened to until it is released, and tried again with its end", async (t) => {
  const { conversation, microphone, view, turnId } = await failing(t);
  hear(microphone, 2);
  assert.equal(conversation.isListening, true);
  assert.equal(view.snapshot().isListening, true);
  await conversation.stopSpeaking();
  assert.equal(view.snapshot().isListening, false);
  assert.deepEqual(view.snapshot().turns.map(({ status }) => status), ["done"]);
  assert.deepEqual(heard(), [], "nothing of it is sent by itself");
  conversation.retry(turnId);
  await settled();
  assert.deepEqual(heard(), ["audio_start 2", ...chunks(1, 2, LAST), "audio_end 3"]);
  const { turns, isListening } = view.snapshot();
  assert.deepEqual([turns.at(-1)?.status, isListening], ["waiting", false]);
});

test("tried again while it is still spoken, the rest follows", async (t) => {
  const { conversation, socket, microphone, view, turnId } = await failing(t);
  hear(microphone, 2);
  const again = conversation.retry(turnId);
  hear(microphone, 3);
  await settled();
  assert.equal(view.snapshot().turns.at(-1)?.status, "listening");
  hear(microphone, 4);
  await conversation.stopSpeaking();
  const all = ["audio_start 2", ...chunks(1, 2, 3, 4, LAST), "audio_end 5"];
  assert.deepEqual(heard(), all);
  assert.equal(view.snapshot().turns.at(-1)?.status, "waiting");
  socket.says(turnEnd(turnId, 1, { attempt: 2, text: "So." }));
  assert.equal((await again)?.text, "So.");
  assert.equal(conversation.isListening, false);
});

test("what fails while its last chunk is on its way has its end too", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const { turn } = await speaking(conversation, microphone);
  hear(microphone, 1);
  let isFlushed = () => {};
  microphone.stop = () => new Promise((resolve) => (isFlushed = resolve));
  const stopping = conversation.stopSpeaking();
  socket.says(turnEnd(turn.id, 1, FAILED));
  socket.sent.length = 1;
  hear(microphone, 2);
  isFlushed();
  await stopping;
  assert.deepEqual(heard(), []);
  conversation.retry(turn.id);
  await settled();
  assert.deepEqual(heard(), ["audio_start 2", ...chunks(1, 2), "audio_end 2"]);
});

test("with server_vad nobody would find its end: what was said until it failed has one", async (t) => {
  const { conversation, microphone, turnId } = await failing(t, SERVER_VAD);
  assert.equal(microphone.stops, 1);
  assert.equal(conversation.isListening, false);
  conversation.retry(turnId);
  await settled();
  assert.deepEqual(heard(), ["audio_start 2", ...chunks(1, LAST), "audio_end 2"]);
});

for (const [what, turnOff] of /** @type {const} */ ([
  ["interrupting", "interrupt"],
  ["closing", "close"],
])) {
  test(`${what} ends what is still listened to`, async (t) => {
    const { conversation, microphone, view } = await failing(t);
    await conversation[turnOff]();
    await settled();
    assert.equal(microphone.stops, 1);
    assert.equal(view.snapshot().isListening, false);
    assert.deepEqual(FakeSocket.last.ofType("interrupt"), []);
  });
}

test("saying something else lets go of it, and it cannot be tried again", async (t) => {
  const { conversation, microphone, view, turnId } = await failing(t);
  await said(conversation);
  assert.equal(microphone.stops, 1);
  hear(microphone, 2);
  assert.deepEqual(heard(), ["user_message"]);
  assert.equal(view.snapshot().isListening, false);
  assert.equal(conversation.retry(turnId), undefined);
});

test("speaking anew is another turn", async (t) => {
  const { conversation, microphone, turnId } = await failing(t);
  const { turn } = await speaking(conversation, microphone);
  assert.notEqual(turn.id, turnId);
  hear(microphone, 5);
  await conversation.stopSpeaking();
  assert.deepEqual(heard(), ["audio_start 1", ...chunks(5, LAST), "audio_end 2"]);
});

test("what failed for good is not listened to any longer", async (t) => {
  const { conversation, socket, microphone } = await connected(t);
  const { turn } = await speaking(conversation, microphone);
  socket.says(turnEnd(turn.id, 1, { ...FAILED, retryable: false }));
  assert.equal(microphone.stops, 1);
  assert.equal(conversation.isListening, false);
  assert.equal(conversation.retry(turn.id), undefined);
});
