/** With `server_vad` speech recognition finds the end; over HTTP the client must. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, conversing, told } from "./fallback-server.js";
import { FakeMicrophone, NoticingMicrophone, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

const SERVER_VAD = /** @type {const} */ ({ endpointing: "server_vad" });

/**
 * @param {Context} t
 * @param {FakeMicrophone} microphone
 * @param {import("./fallback-server.js").Upgrades} [upgrades]
 */
async function conversation(t, microphone, upgrades = "reset") {
  const api = await Api.running(t);
  api.upgrades = upgrades;
  const made = conversing(t, api, { microphone });
  await made.connecting;
  return { api, ...made };
}

/**
 * A turn that is being spoken, with something said in it.
 * @param {import("../conversation.js").Conversation} conversation
 * @param {FakeMicrophone} microphone
 */
async function speaking(conversation, microphone) {
  const turn = conversation.startSpeaking(SERVER_VAD);
  microphone.open();
  await settled();
  microphone.onChunk(new Uint8Array([1, 0]));
  return { turn }; // by itself it would be awaited
}

test("over HTTP the microphone's silence ends a server_vad turn", async (t) => {
  const microphone = new NoticingMicrophone();
  const { api, conversation: talk } = await conversation(t, microphone);
  const { turn } = await speaking(talk, microphone);
  assert.deepEqual(microphone.settings, { sensitivity: 0.5, startMs: 90, endMs: 700, pauseMs: 200 });
  microphone.notices("silent", "speaking", "pausing");
  await settled();
  assert.equal(microphone.stops, 0, "silence before speech, or a pause, is no end");
  microphone.notices("silent");
  assert.equal((await turn).reason, "completed");
  assert.deepEqual([...Buffer.from(api.of("/turns")[0]?.["audio"], "base64")], [1, 0, 9, 9]);
  assert.equal(microphone.isWatched, false);
});

test("stopSpeaking ends it as well, and nobody watches any more", async (t) => {
  const microphone = new NoticingMicrophone();
  const { conversation: talk } = await conversation(t, microphone);
  const { turn } = await speaking(talk, microphone);
  await talk.stopSpeaking();
  assert.equal((await turn).reason, "completed");
  assert.equal(microphone.isWatched, false);
});

test("a manual turn is nobody's to end but the application's", async (t) => {
  const microphone = new NoticingMicrophone();
  const { conversation: talk } = await conversation(t, microphone);
  void talk.startSpeaking();
  microphone.open();
  await settled();
  assert.equal(microphone.isWatched, false);
});

test("on a WebSocket the end is left to speech recognition", async (t) => {
  const microphone = new NoticingMicrophone();
  const { api, conversation: talk } = await conversation(t, microphone, "open");
  await speaking(talk, microphone);
  while (!api.said.some(({ type }) => type === "audio_chunk")) await settled();
  assert.equal(microphone.isWatched, false);
});

test("where speech recognition finds no end, the microphone's silence does, on a WebSocket too", async (t) => {
  const microphone = new NoticingMicrophone();
  const api = await Api.running(t);
  api.upgrades = "open";
  api.endpointing = ["manual"];
  const { conversation: talk, connecting } = conversing(t, api, { microphone });
  await connecting;
  await speaking(talk, microphone);
  assert.equal(microphone.isWatched, true);
  microphone.notices("speaking", "silent");
  while (!api.said.some(({ type }) => type === "audio_end")) await settled();
  const start = api.said.find(({ type }) => type === "audio_start");
  assert.equal(start?.["endpointing"], "manual", "the server would refuse the other");
  assert.equal(microphone.isWatched, false);
});

test("where it does, the server is asked to", async (t) => {
  const microphone = new NoticingMicrophone();
  const api = await Api.running(t);
  api.upgrades = "open";
  api.endpointing = ["manual", "server_vad"];
  const { conversation: talk, connecting } = conversing(t, api, { microphone });
  await connecting;
  await speaking(talk, microphone);
  while (!api.said.some(({ type }) => type === "audio_start")) await settled();
  const start = api.said.find(({ type }) => type === "audio_start");
  assert.equal(start?.["endpointing"], "server_vad");
  assert.equal(microphone.isWatched, false);
});

test("a turn that moves to HTTP while it is spoken is ended there", async (t) => {
  const microphone = new NoticingMicrophone();
  const { api, conversation: talk } = await conversation(t, microphone, "open");
  const { turn } = await speaking(talk, microphone);
  const moved = told(talk, "transport");
  api.block("reset");
  await moved;
  await settled();
  microphone.onChunk(new Uint8Array([2, 0]));
  microphone.notices("speaking", "silent");
  assert.equal((await turn).reason, "completed");
  assert.deepEqual([...Buffer.from(api.of("/turns")[0]?.["audio"], "base64")], [1, 0, 2, 0, 9, 9]);
});

test("a turn that moves to HTTP when it has been understood is sent there in one piece", async (t) => {
  const microphone = new NoticingMicrophone();
  const { api, conversation: talk } = await conversation(t, microphone, "open");
  api.understands = true;
  const understood = told(talk, "transcript");
  const { turn } = await speaking(talk, microphone);
  await understood;
  api.block("reset");
  assert.equal((await turn).reason, "completed");
  assert.deepEqual([...Buffer.from(api.of("/turns")[0]?.["audio"], "base64")], [1, 0]);
});

test("where nothing notices the end, the turn fails with a sentence, and typing goes on", async (t) => {
  const microphone = new FakeMicrophone();
  const { api, conversation: talk } = await conversation(t, microphone);
  const failed = told(talk, "error");
  const { turn } = await speaking(talk, microphone);
  assert.equal((await failed).turnId, turn.id);
  await assert.rejects(turn, { code: "detector_failed", message: /stopSpeaking/ });
  assert.equal(microphone.stops, 1);
  assert.equal((await talk.say("hello")).text, "You said: hello");
  assert.equal(api.of("/turns").length, 1);
});

test("hands-free ends it by its own detector, which goes on listening", async (t) => {
  const microphone = new NoticingMicrophone();
  const { conversation: talk } = await conversation(t, microphone);
  await talk.startHandsFree({ endMs: 400 });
  const { turn } = await speaking(talk, microphone);
  assert.equal(microphone.settings?.endMs, 400, "its settings stay");
  microphone.notices("speaking", "silent");
  assert.equal((await turn).reason, "completed");
  assert.equal(microphone.isWatched, true);
});

test("hands-free that begins meanwhile keeps the detector", async (t) => {
  const microphone = new NoticingMicrophone();
  const { conversation: talk } = await conversation(t, microphone);
  const { turn } = await speaking(talk, microphone);
  await talk.startHandsFree();
  microphone.notices("speaking", "silent");
  assert.equal((await turn).reason, "completed");
  await settled();
  assert.equal(microphone.isWatched, true);
});
