/** Hands-free with the player and the microphone that a page has. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { toBase64 } from "../base64.js";
import { Player } from "../player.js";
import { FakeAudioContext, withSound } from "./audio.js";
import { connected, said, turnEnd } from "./connected.js";
import { NoticingMicrophone, settled } from "./fakes.js";

/**
 * A reply's audio.
 * @param {string} turn_id
 * @param {number} seq
 */
function audio(turn_id, seq) {
  const pcm = new Uint8Array(new Int16Array(24_000).fill(8_000).buffer);
  return { type: "audio", turn_id, seq, audio: toBase64(pcm), format: "pcm_24000" };
}

/** What is heard once a pause would have faded out, at its loudest. */
async function heard() {
  await settled();
  FakeAudioContext.last.passes();
  return FakeAudioContext.last.passes().reduce((peak, sample) => Math.max(peak, sample), 0);
}

test("a turn that ends while it may be a cough leaves the next reply to be heard", async (t) => {
  withSound(t);
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const microphone = new NoticingMicrophone();
  const player = new Player();
  player.unlock();
  const { conversation, socket } = await connected(t, { microphone, player });
  await conversation.startHandsFree();
  const { turn } = await said(conversation);
  microphone.notices("speaking");
  socket.says(turnEnd(turn.id, 1));
  mock.timers.tick(560);
  microphone.open();
  await settled();
  const turn_id = String(socket.ofType("audio_start")[0]?.["turn_id"]);
  microphone.notices("silent");
  await settled();
  socket.says(audio(turn_id, 1));
  assert.ok((await heard()) > 0.2);
  assert.equal(player.state, "playing");
});
