/** Speech is sent as the server takes it: µ-law where it says so, PCM everywhere else. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { fromBase64 } from "../base64.js";
import { decodeMulaw, encodeMulaw } from "../mulaw.js";
import { begun, ready, speaking, turnEnd } from "./connected.js";
import { Api, conversing, told } from "./fallback-server.js";
import { FakeMicrophone, FakeSocket, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

const CHOICES = { settings: [], voices: [], languages: [] };
const MULAW = { ...CHOICES, speech_formats: ["pcm_16000", "mulaw_16000"] };
const LOUD = new Uint8Array(Int16Array.of(1_000, -2_000, 30_000, -4).buffer);
/** What a fake microphone hands over when it is stopped: one sample, and what makes it a pair. */
const LAST = [...encodeMulaw(Uint8Array.of(9, 9))];

/**
 * @param {Context} t
 * @param {object} [more] that the server's `ready` says
 */
async function connected(t, more, companding = true) {
  const made = begun(t, { companding });
  await settled();
  await ready({ ...more });
  await made.connecting;
  return { ...made, socket: FakeSocket.last };
}

/** @param {FakeSocket} socket */
function sent(socket) {
  const [{ format } = {}] = socket.ofType("audio_start").slice(-1);
  const chunks = socket.ofType("audio_chunk").map(({ audio }) => [...fromBase64(String(audio))]);
  return { format, chunks };
}

test("a server that takes µ-law gets it, half as long", async (t) => {
  const { conversation, microphone, socket } = await connected(t, { choices: MULAW });
  await speaking(conversation, microphone);
  microphone.onChunk(LOUD);
  await conversation.stopSpeaking();
  assert.deepEqual(sent(socket), { format: "mulaw_16000", chunks: [[...encodeMulaw(LOUD)], LAST] });
});

for (const [name, more] of /** @type {[string, object][]} */ ([
  ["says nothing of it", { choices: CHOICES }],
  ["says nothing at all", {}],
  ["takes PCM only", { choices: { ...CHOICES, speech_formats: ["pcm_16000"] } }],
])) {
  test(`a server that ${name} gets PCM`, async (t) => {
    const { conversation, microphone, socket } = await connected(t, more);
    await speaking(conversation, microphone);
    microphone.onChunk(LOUD);
    assert.deepEqual(sent(socket), { format: "pcm_16000", chunks: [[...LOUD]] });
  });
}

test("who does not want it sends PCM", async (t) => {
  const { conversation, microphone, socket } = await connected(t, { choices: MULAW }, false);
  await speaking(conversation, microphone);
  microphone.onChunk(LOUD);
  assert.deepEqual(sent(socket), { format: "pcm_16000", chunks: [[...LOUD]] });
});

test("a turn that is tried again is coded as before", async (t) => {
  const { conversation, microphone, socket } = await connected(t, { choices: MULAW });
  const { turn } = await speaking(conversation, microphone);
  microphone.onChunk(LOUD);
  const failed = { reason: "failed", code: "rate_limited", retryable: true };
  socket.says(turnEnd(turn.id, 1, failed));
  await assert.rejects(turn, { code: "rate_limited" });
  await conversation.stopSpeaking();
  socket.sent.length = 1;
  void conversation.retry(turn.id);
  await settled();
  assert.deepEqual(sent(socket), { format: "mulaw_16000", chunks: [[...encodeMulaw(LOUD)], LAST] });
});

test("a long piece is cut into what one message may hold", async (t) => {
  const limits = { max_chunk_bytes: 2_001 };
  const { conversation, microphone, socket } = await connected(t, { limits });
  await speaking(conversation, microphone);
  microphone.onChunk(new Uint8Array(4_100));
  assert.deepEqual(sent(socket).chunks.map(({ length }) => length), [2_000, 2_000, 100]);
});

test("what was begun over a WebSocket is PCM again when it goes on over HTTP", async (t) => {
  const microphone = new FakeMicrophone();
  const api = await Api.running(t);
  api.upgrades = "open";
  api.speechFormats = ["pcm_16000", "mulaw_16000"];
  const { conversation, connecting } = conversing(t, api, { microphone, companding: true });
  await connecting;
  const { turn } = await speaking(conversation, microphone);
  microphone.onChunk(LOUD);
  while (!api.said.some(({ type }) => type === "audio_chunk")) await settled();
  assert.equal(api.said.find(({ type }) => type === "audio_start")?.["format"], "mulaw_16000");
  const moved = told(conversation, "transport");
  api.block("reset");
  await moved;
  await conversation.stopSpeaking();
  assert.equal((await turn).reason, "completed");
  const [asked] = api.of("/turns");
  assert.equal(asked?.["format"], "pcm_16000");
  const heard = decodeMulaw(Uint8Array.of(...encodeMulaw(LOUD), ...LAST));
  assert.deepEqual([...Buffer.from(asked?.["audio"], "base64")], [...heard]);
});
