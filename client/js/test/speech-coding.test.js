/** Speech is sent in the fewest bits that the server says it takes, and in PCM everywhere else. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { fromBase64 } from "../base64.js";
import { decodeDvi4, Dvi4Encoder } from "../dvi4.js";
import { decodeMulaw, encodeMulaw } from "../mulaw.js";
import { begun, ready, speaking, turnEnd } from "./connected.js";
import { Api, conversing, told } from "./fallback-server.js";
import { FakeMicrophone, FakeSocket, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */
/** @typedef {import("../messages.js").SpeechFormat} Format */

const CHOICES = { settings: [], voices: [], languages: [] };
const MULAW = { ...CHOICES, speech_formats: ["pcm_16000", "mulaw_16000"] };
const DVI4 = { ...CHOICES, speech_formats: ["pcm_16000", "mulaw_16000", "dvi4_16000"] };
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

test("a server that takes DVI4 gets it, in blocks of one stream", async (t) => {
  const { conversation, microphone, socket } = await connected(t, { choices: DVI4 });
  await speaking(conversation, microphone);
  microphone.onChunk(LOUD);
  microphone.onChunk(LOUD);
  const encoder = new Dvi4Encoder();
  const blocks = [LOUD, LOUD].map((pcm) => [...encoder.encode(pcm)]);
  assert.deepEqual(sent(socket), { format: "dvi4_16000", chunks: blocks });
});

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

for (const format of ["mulaw_16000", "dvi4_16000"]) {
  test(`what was begun in ${format} is PCM again when it goes on over HTTP`, (t) =>
    goesOnOverHttp(t, format));
}

/** @param {Context} t @param {string} format */
async function goesOnOverHttp(t, format) {
  const microphone = new FakeMicrophone();
  const api = await Api.running(t);
  api.upgrades = "open";
  api.speechFormats = ["pcm_16000", /** @type {Format} */ (format)];
  const { conversation, connecting } = conversing(t, api, { microphone, companding: true });
  await connecting;
  const { turn } = await speaking(conversation, microphone);
  microphone.onChunk(LOUD);
  while (!api.said.some(({ type }) => type === "audio_chunk")) await settled();
  assert.equal(api.said.find(({ type }) => type === "audio_start")?.["format"], format);
  const moved = told(conversation, "transport");
  api.block("reset");
  await moved;
  await conversation.stopSpeaking();
  assert.equal((await turn).reason, "completed");
  const [asked] = api.of("/turns");
  assert.equal(asked?.["format"], "pcm_16000");
  const encoder = new Dvi4Encoder();
  const heard =
    format === "mulaw_16000"
      ? [decodeMulaw(Uint8Array.of(...encodeMulaw(LOUD), ...LAST))]
      : [LOUD, Uint8Array.of(9, 9)].map((pcm) => decodeDvi4(encoder.encode(pcm)));
  assert.deepEqual(Buffer.from(asked?.["audio"], "base64"), Buffer.concat(heard));
}
