/** A browser that suspends or mutes an open microphone: it goes on by itself, or says so. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Microphone } from "../microphone.js";
import { Player } from "../player.js";
import { BLOCK, FakeAudioContext, withSound } from "./audio.js";
import { connected } from "./connected.js";
import { settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */
/** @typedef {import("../conversation.js").Conversation} Conversation */

/** At the fake's 16 kHz. */
const BLOCK_MS = BLOCK / 16;

/**
 * Time in which the microphone hears something, or would.
 * @param {number} ms
 * @param {number} [level]
 */
async function passes(ms, level = 0) {
  for (let left = ms; left > 0; left -= BLOCK_MS) {
    FakeAudioContext.last.passes(level);
    mock.timers.tick(BLOCK_MS);
    await settled();
  }
}

/**
 * @param {Context} t
 * @param {(conversation: Conversation) => unknown} begins
 * @param {import("../microphone.js").Detector} [detector]
 */
async function listening(t, begins, detector) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const sound = withSound(t);
  const made = await connected(t, { microphone: new Microphone({ detector }) });
  const { conversation } = made;
  void begins(conversation);
  await settled();
  sound.asked[0]?.allow();
  for (let step = 0; step < 10; step += 1) await settled();
  /** @type {unknown[]} */
  const seen = [];
  conversation.on("microphone", ({ state }) => seen.push(state));
  conversation.on("error", ({ code }) => seen.push(code));
  conversation.on("hands_free", ({ enabled }) => seen.push(enabled));
  const [track] = sound.tracks;
  assert.ok(track);
  return { ...made, sound, seen, track, context: FakeAudioContext.last };
}

/** @param {Conversation} conversation */
const handsFree = (conversation) => conversation.startHandsFree();
/** @param {Conversation} conversation */
const byHand = (conversation) => void conversation.startSpeaking().catch(() => undefined);
/** @param {Conversation} conversation */
const serverVad = (conversation) =>
  void conversation.startSpeaking({ endpointing: "server_vad" }).catch(() => undefined);

for (const state of ["suspended", "interrupted"]) {
  test(`a context that is ${state} is resumed at once, and nobody is told`, async (t) => {
    const { seen, context } = await listening(t, handsFree);
    FakeAudioContext.resumes = async () => context.becomes("running");
    context.becomes(state);
    await passes(5_000);
    assert.deepEqual([context.state, seen], ["running", []]);
  });

  test(`a context that stays ${state} is told once, tried again, and told when it hears`, async (t) => {
    const { seen, context, conversation } = await listening(t, handsFree);
    FakeAudioContext.resumes = () => Promise.reject(new DOMException("A call.", "InvalidStateError"));
    const { resumed } = context;
    context.becomes(state);
    await passes(10_000);
    assert.deepEqual(seen, ["interrupted", "microphone_interrupted"]);
    assert.ok(context.resumed > resumed + 5);
    FakeAudioContext.resumes = async () => context.becomes("running");
    await passes(2_000);
    assert.deepEqual(seen, ["interrupted", "microphone_interrupted", "hearing"]);
    assert.equal(conversation.canSpeak, true);
  });
}

test("a resume that never answers is tried again all the same", async (t) => {
  const { seen, context } = await listening(t, handsFree);
  FakeAudioContext.resumes = () => new Promise(() => undefined);
  context.becomes("interrupted");
  await passes(3_000);
  FakeAudioContext.resumes = async () => context.becomes("running");
  await passes(2_000);
  assert.equal(seen.at(-1), "hearing");
});

test("a track that is muted is told, and that it hears again", async (t) => {
  const { seen, track } = await listening(t, handsFree);
  track.mutes(true);
  await passes(2_000);
  track.mutes(false);
  assert.deepEqual(seen, ["interrupted", "microphone_interrupted", "hearing"]);
  track.mutes(true);
  await passes(500);
  track.mutes(false);
  await passes(2_000);
  assert.equal(seen.length, 3, "a moment is not told");
});

test("a microphone that gives nothing although it runs is told", async (t) => {
  const { seen } = await listening(t, handsFree);
  await passes(10_000);
  assert.deepEqual(seen, []);
  for (let second = 0; second < 6; second += 1) mock.timers.tick(1_000);
  assert.deepEqual(seen, ["interrupted", "microphone_interrupted"]);
  await passes(200);
  assert.deepEqual(seen, ["interrupted", "microphone_interrupted", "hearing"]);
});

test("hands-free ends what was being said, and hears what is said afterwards", async (t) => {
  const { socket, context } = await listening(t, handsFree);
  await passes(1_000);
  await passes(600, 0.4);
  assert.deepEqual(new Set(socket.types()), new Set(["audio_start", "audio_chunk"]));
  FakeAudioContext.resumes = () => new Promise(() => undefined);
  context.becomes("interrupted");
  await passes(2_500);
  assert.equal(socket.ofType("audio_end").length, 1);
  FakeAudioContext.resumes = async () => context.becomes("running");
  await passes(2_000);
  // Somebody goes on in the middle of a word: no silence has come in between.
  await passes(2_000, 0.4);
  assert.equal(socket.ofType("audio_start").length, 2);
});

test("with server_vad speech recognition would find no end: it is ended", async (t) => {
  const { socket, track } = await listening(t, serverVad);
  await passes(500, 0.4);
  track.mutes(true);
  await passes(2_500);
  assert.equal(socket.ofType("audio_end").length, 1);
});

test("what is held by hand is its holder's to end", async (t) => {
  const { socket, track, conversation } = await listening(t, byHand);
  await passes(500, 0.4);
  track.mutes(true);
  await passes(2_500);
  track.mutes(false);
  await passes(500, 0.4);
  assert.equal(conversation.isListening, true);
  assert.equal(socket.ofType("audio_end").length, 0);
});

test("who has closed is told nothing, and nothing is resumed", async (t) => {
  const { seen, context, conversation } = await listening(t, handsFree);
  conversation.close();
  await settled();
  const told = seen.length;
  const { resumed } = context;
  context.becomes("suspended");
  await passes(5_000);
  assert.deepEqual([seen.length, context.resumed], [told, resumed]);
});

test("what was kept warm goes deaf without a word", async (t) => {
  const { seen, context, conversation } = await listening(t, byHand);
  const stopping = conversation.stopSpeaking();
  await passes(300);
  await stopping;
  FakeAudioContext.resumes = () => new Promise(() => undefined);
  context.becomes("interrupted");
  await passes(5_000);
  assert.deepEqual(seen, []);
});

test("who begins while it is deaf opens another, and is told if that is deaf too", async (t) => {
  const { seen, context, conversation, sound } = await listening(t, byHand);
  const stopping = conversation.stopSpeaking();
  await passes(300);
  await stopping;
  FakeAudioContext.resumes = () => new Promise(() => undefined);
  context.becomes("interrupted");
  await passes(2_000);
  assert.deepEqual(sound.live(), [], "what hears nothing is not kept");
  byHand(conversation);
  FakeAudioContext.last.state = "interrupted";
  sound.asked[1]?.allow();
  await settled();
  await passes(5_000);
  assert.equal(sound.live().length, 1);
  assert.deepEqual(seen, ["interrupted", "microphone_interrupted"]);
});

test("a player that was allowed to sound goes on by itself after a call", async (t) => {
  withSound(t);
  const player = new Player();
  player.unlock();
  await settled();
  const context = FakeAudioContext.last;
  context.becomes("suspended");
  assert.equal(context.resumed, 0, "before it has sounded it waits for a gesture");
  context.becomes("running");
  context.becomes("interrupted");
  assert.equal(context.resumed, 1);
  await player.close();
});
