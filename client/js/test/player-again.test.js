/** The player, with the real code of the audio thread and no browser: a turn that is tried again. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Player } from "../player.js";
import { settled } from "./fakes.js";

const RATE_HZ = 24_000;
/** Samples, as many as a context without worklets takes at once. */
const BLOCK = 2_048;

/** A player in a context without worklets, whose sound passes when the test says so.
 * @param {import("node:test").TestContext} t */
function playing(t) {
  const node = { connect: () => {}, onaudioprocess: (/** @type {object} */ _event) => {} };
  class Context {
    state = "running";
    sampleRate = RATE_HZ;
    createScriptProcessor = () => node;
  }
  Object.defineProperty(globalThis, "AudioContext", { value: Context, configurable: true });
  t.after(() => Reflect.deleteProperty(globalThis, "AudioContext"));
  const player = new Player();
  /** @param {string} turn */
  const play = async (turn) => {
    player.play(turn, new Uint8Array(new Int16Array(BLOCK).fill(8_192).buffer), RATE_HZ);
    do await settled();
    while (player.state === "idle"); // until the sound is open
  };
  /** @returns {number} the loudest sample of a block */
  const passes = () => {
    const out = new Float32Array(BLOCK);
    const buffer = { getChannelData: () => out };
    node.onaudioprocess({ inputBuffer: buffer, outputBuffer: buffer });
    return Math.max(...out);
  };
  return { player, play, passes };
}

test("a turn that was silenced is heard when it begins again, and counted from nothing", async (t) => {
  const { player, play, passes } = playing(t);
  await play("a");
  await play("a");
  passes();
  const heardMs = await player.stop("a");
  assert.ok(heardMs > 85);
  passes(); // the rest of the fade
  player.begin("a");
  await settled();
  assert.equal(player.playedMsOf("a"), undefined);
  await play("a");
  assert.equal(player.isPlaying("a"), true);
  assert.equal(passes(), 0.25);
  assert.equal(player.playedMsOf("a"), (BLOCK * 1_000) / RATE_HZ);
  assert.equal(player.isPlaying("a"), false);
});

test("one that is still heard when it begins again fades, and the new attempt is heard", async (t) => {
  const { player, play, passes } = playing(t);
  await play("a");
  await play("a");
  player.begin("a");
  await settled();
  assert.equal(player.isPlaying("a"), false);
  await play("a");
  passes();
  passes();
  assert.equal(player.playedMsOf("a"), (BLOCK * 1_000) / RATE_HZ);
});

test("what waited for the sound to be opened is void when the turn begins again", async (t) => {
  const { player, play, passes } = playing(t);
  void play("a");
  player.begin("a");
  await play("a");
  passes();
  passes();
  assert.equal(player.playedMsOf("a"), (BLOCK * 1_000) / RATE_HZ);
});
