/** The server is told where the user pauses, so that the reply is ready when the user has finished. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Chunker } from "../chunker.js";
import { begun, connected, ready, speaking } from "./connected.js";
import { FakeMicrophone, FakeSocket, settled } from "./fakes.js";

const CHOICES = { settings: [], voices: [], languages: [], preemptive_replies: true };
const PAUSES = { pauses: true };

/** A microphone that holds back what makes no whole chunk. */
class ChunkingMicrophone extends FakeMicrophone {
  chunker = new Chunker(16_000, (pcm) => this.onChunk(pcm));
  flush() {
    this.chunker.flush();
  }
  async stop() {
    this.stops += 1;
    this.flush();
  }
}

/**
 * @param {import("node:test").TestContext} t
 * @param {Record<string, unknown>} [choices]
 */
async function talking(t, choices = CHOICES) {
  const microphone = new ChunkingMicrophone();
  const made = begun(t, { microphone });
  await settled();
  await ready({ choices });
  await made.connecting;
  return { ...made, microphone, hear: (/** @type {number} */ samples) => hear(microphone, samples) };
}

/** @param {ChunkingMicrophone} microphone @param {number} samples */
function hear(microphone, samples) {
  microphone.chunker.push(new Float32Array(samples));
}

/** What has been said about pauses and chunks, as short as can be. */
function told() {
  return FakeSocket.last.sent.slice(1).map(({ type, seq, chunks, pause, pauses }) => {
    const numbers = [seq, chunks, pause, pauses].filter((value) => value !== undefined);
    return [type, ...numbers].join(" ");
  });
}

test("all that was said is sent, and then that it pauses", async (t) => {
  const { conversation, microphone, hear } = await talking(t);
  await speaking(conversation, microphone, PAUSES);
  hear(2_000);
  conversation.pauseSpeaking();
  hear(100);
  await conversation.stopSpeaking();
  assert.deepEqual(told(), [
    "audio_start true",
    "audio_chunk 1",
    "audio_chunk 2",
    "speech_paused 2 1",
    "audio_chunk 3",
    "audio_end 3 1",
  ]);
});

test("an end after speech has gone on names no pause", async (t) => {
  const { conversation, microphone, hear } = await talking(t);
  await speaking(conversation, microphone, PAUSES);
  hear(100);
  conversation.pauseSpeaking();
  conversation.pauseSpeaking();
  conversation.resumeSpeaking();
  conversation.resumeSpeaking();
  conversation.pauseSpeaking();
  conversation.resumeSpeaking();
  await conversation.stopSpeaking();
  assert.deepEqual(told().slice(1), [
    "audio_chunk 1",
    "speech_paused 1 1",
    "speech_resumed 1",
    "speech_paused 1 2",
    "speech_resumed 2",
    "audio_end 1",
  ]);
});

test("a pause before the turn is announced is told with it", async (t) => {
  const { conversation, microphone, hear } = await talking(t);
  conversation.startSpeaking(PAUSES);
  hear(1_600);
  conversation.pauseSpeaking();
  microphone.open();
  await settled();
  assert.deepEqual(told(), ["audio_start true", "audio_chunk 1", "speech_paused 1 1"]);
});

test("a server that has no use for pauses hears of none", async (t) => {
  const { conversation, microphone } = await talking(t, { ...CHOICES, preemptive_replies: false });
  await speaking(conversation, microphone, PAUSES);
  conversation.pauseSpeaking();
  conversation.resumeSpeaking();
  conversation.pauseSpeaking();
  await conversation.stopSpeaking();
  assert.deepEqual(told(), ["audio_start", "audio_end 0"]);
});

test("who does not tell of pauses is not taken to", async (t) => {
  const { conversation, microphone } = await talking(t);
  await speaking(conversation, microphone);
  conversation.pauseSpeaking();
  await conversation.stopSpeaking();
  assert.deepEqual(told(), ["audio_start", "audio_end 0"]);
});

test("a pause while nothing is said is none", async (t) => {
  const { conversation, socket } = await connected(t);
  conversation.pauseSpeaking();
  conversation.resumeSpeaking();
  assert.deepEqual(socket.types(), []);
});
