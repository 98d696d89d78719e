/** What goes wrong with microphone and player, and minds that change while the browser asks. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation } from "../conversation.js";
import { Microphone } from "../microphone.js";
import { Player } from "../player.js";
import { FakeAudioContext, withSound } from "./audio.js";
import { connected, speaking } from "./connected.js";
import { FakePresence, NoticingMicrophone, SocketClass, settled } from "./fakes.js";

/**
 * What is told from now on, by its code or as hands-free is.
 * @param {Conversation} conversation
 */
function told(conversation) {
  /** @type {unknown[]} */
  const seen = [];
  conversation.on("error", ({ code }) => seen.push(code));
  conversation.on("hands_free", ({ enabled }) => seen.push(enabled));
  return seen;
}

test("a microphone that is lost is told, ends hands-free and what is being said", async (t) => {
  const microphone = new NoticingMicrophone();
  const { conversation, socket } = await connected(t, { microphone });
  await conversation.startHandsFree();
  microphone.notices("speaking");
  microphone.open();
  await settled();
  const seen = told(conversation);
  microphone.isLost();
  await settled();
  assert.deepEqual([seen[0], seen.at(-1)], ["microphone_lost", false]);
  assert.deepEqual(socket.types(), ["audio_start", "audio_chunk", "audio_end"]);
});

test("a microphone that is lost ends what is being said by hand", async (t) => {
  const microphone = new NoticingMicrophone();
  const { conversation, socket } = await connected(t, { microphone });
  await speaking(conversation, microphone);
  const seen = told(conversation);
  microphone.isLost();
  await settled();
  assert.deepEqual(seen, ["microphone_lost"]);
  assert.equal(socket.ofType("audio_end").length, 1);
});

test("who has closed is not told any more", async (t) => {
  const microphone = new NoticingMicrophone();
  const { conversation } = await connected(t, { microphone });
  conversation.close();
  const seen = told(conversation);
  microphone.isLost();
  await settled();
  assert.deepEqual(seen, []);
});

test("sound that cannot be opened is told, and tried again by the next gesture", async (t) => {
  withSound(t);
  const player = new Player();
  const { conversation } = await connected(t, { player });
  const seen = told(conversation);
  FakeAudioContext.isBroken = true;
  const pcm = new Uint8Array(4_800);
  for (let chunk = 0; chunk < 3; chunk += 1) player.play("a", pcm, 24_000);
  await settled();
  assert.deepEqual(seen, ["player_failed"]);
  assert.deepEqual([player.isPlaying("a"), player.state], [false, "idle"]);
  FakeAudioContext.isBroken = false;
  player.unlock();
  player.play("b", pcm, 24_000);
  await settled();
  assert.equal(player.state, "playing");
  assert.deepEqual(seen, ["player_failed"]);
  assert.deepEqual(
    FakeAudioContext.all.map(({ state }) => state),
    ["closed", "running"],
  );
});

/** @typedef {[string, (conversation: Conversation) => unknown]} Change */

for (const [change, changes] of /** @type {Change[]} */ ([
  ["is ended", (conversation) => conversation.stopHandsFree()],
  ["loses its conversation", (conversation) => conversation.close()],
])) {
  test(`hands-free that ${change} while permission is asked for lets go of it`, async (t) => {
    const { asked, letGo } = withSound(t);
    const microphone = new Microphone({ releaseAfterMs: 0 });
    const { conversation } = await connected(t, { microphone });
    const seen = told(conversation);
    const starting = conversation.startHandsFree();
    await settled();
    await changes(conversation);
    asked[0]?.allow();
    await starting;
    assert.deepEqual(seen, []);
    await letGo();
  });
}

test("hands-free that is begun twice asks once, and listens once", async (t) => {
  const { asked, live, letGo } = withSound(t);
  const microphone = new Microphone({ releaseAfterMs: 0 });
  const { conversation } = await connected(t, { microphone });
  const seen = told(conversation);
  const starting = [conversation.startHandsFree(), conversation.startHandsFree()];
  await settled();
  for (const { allow } of asked) allow();
  await Promise.all(starting);
  assert.deepEqual([asked.length, seen, live().length], [1, [true], 1]);
  await conversation.stopHandsFree();
  await letGo();
});

test("hands-free that is ended while permission is asked for does not complain", async (t) => {
  const { asked } = withSound(t);
  const { conversation } = await connected(t, { microphone: new Microphone() });
  const starting = conversation.startHandsFree();
  await settled();
  await conversation.stopHandsFree();
  asked[0]?.deny();
  await starting;
});

for (const [outcome, answer] of /** @type {["allow" | "deny", boolean][]} */ ([
  ["allow", true],
  ["deny", false],
])) {
  test(`hands-free is wanted while the browser asks; ${outcome}: ${answer} afterwards`, async (t) => {
    const { asked } = withSound(t);
    const { conversation } = await connected(t, { microphone: new Microphone() });
    assert.equal(conversation.isHandsFreeWanted, false);
    const starting = conversation.startHandsFree().catch(() => undefined);
    assert.equal(conversation.isHandsFreeWanted, true);
    await settled();
    asked[0]?.[outcome]();
    await starting;
    assert.equal(conversation.isHandsFreeWanted, answer);
    await conversation.stopHandsFree();
    assert.equal(conversation.isHandsFreeWanted, false);
  });
}

test("hands-free that is withdrawn and begun again while the browser asks listens once", async (t) => {
  const { asked, live } = withSound(t);
  const { conversation } = await connected(t, { microphone: new Microphone() });
  const seen = told(conversation);
  const starting = [conversation.startHandsFree()];
  await settled();
  await conversation.stopHandsFree();
  await starting[0];
  assert.equal(conversation.isHandsFreeWanted, false);
  starting.push(conversation.startHandsFree());
  await settled();
  asked[0]?.allow();
  await Promise.all(starting);
  assert.deepEqual([asked.length, live().length, seen], [1, 1, [true]]);
});

test("hands-free before the first connection is told that its microphone is lost, once", async (t) => {
  const { asked, tracks, live } = withSound(t);
  const microphone = new Microphone();
  const presence = new FakePresence();
  const conversation = new Conversation("ws://test", { WebSocket: SocketClass, presence, microphone });
  t.after(() => conversation.close());
  const seen = told(conversation);
  const starting = conversation.startHandsFree();
  await settled();
  asked[0]?.allow();
  await starting;
  const [track] = tracks;
  assert.ok(track);
  track.readyState = "ended";
  track.onended();
  await settled();
  assert.deepEqual([seen, live()], [[true, "microphone_lost", false], []]);
});

test("hands-free before the first connection that is closed leaves nobody listening", async (t) => {
  const { asked, tracks } = withSound(t);
  const microphone = new Microphone();
  const conversation = new Conversation("ws://test", { WebSocket: SocketClass, microphone });
  const starting = conversation.startHandsFree();
  await settled();
  asked[0]?.allow();
  await starting;
  conversation.close();
  await settled();
  const seen = told(conversation);
  tracks[0]?.onended();
  await settled();
  assert.deepEqual(seen, []);
});
