import assert from "node:assert/strict";
import { test } from "node:test";

import { Player } from "../player.js";
import { BLOCK, FakeAudioContext, withSound } from "./audio.js";
import { settled } from "./fakes.js";

const PCM = new Uint8Array(new Int16Array(24_000).fill(8_000).buffer);

/**
 * The first sample of what is heard of a turn.
 * @param {Player} player
 * @param {string} turn
 */
async function heardOf(player, turn) {
  player.play(turn, PCM, 24_000);
  await settled();
  return FakeAudioContext.last.passes()[0] ?? 0;
}

test("closing falls silent and closes the context; what comes then opens another", async (t) => {
  withSound(t);
  const player = new Player();
  assert.ok((await heardOf(player, "a")) > 0.2);
  assert.equal(player.state, "playing");
  await player.close();
  await player.close();
  assert.deepEqual([player.state, player.isPlaying("a")], ["idle", false]);
  assert.equal(FakeAudioContext.last.state, "closed");
  assert.ok((await heardOf(player, "a")) > 0.2);
  assert.equal(player.state, "playing");
  for (let blocks = 1; blocks * BLOCK < 24_000; blocks += 1) FakeAudioContext.last.passes();
  assert.deepEqual([player.state, player.playedMs], ["idle", 1_000]);
  assert.equal(FakeAudioContext.all.length, 2);
});

test("closing while it is being opened is no failure", async (t) => {
  withSound(t);
  FakeAudioContext.isBroken = true;
  const player = new Player();
  /** @type {string[]} */
  const problems = [];
  player.on("error", ({ code }) => problems.push(code));
  player.unlock();
  await player.close();
  await settled();
  assert.deepEqual(problems, []);
});
