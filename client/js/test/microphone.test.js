import assert from "node:assert/strict";
import { test } from "node:test";

import { Microphone } from "../microphone.js";
import { FakeAudioContext, withSound } from "./audio.js";
import { settled } from "./fakes.js";

const VOICE = { sensitivity: 0.5, startMs: 90, endMs: 700, pauseMs: 200 };

test("permission is asked for once, however many wait for it", async (t) => {
  const { asked, tracks } = withSound(t);
  const microphone = new Microphone();
  const opening = [microphone.start(() => undefined), microphone.watch(VOICE)];
  for (const { allow } of asked) allow();
  await Promise.all(opening);
  assert.deepEqual([asked.length, tracks.length], [1, 1]);
  microphone.release();
});

test("permission that was refused is asked for again", async (t) => {
  const { asked } = withSound(t);
  const microphone = new Microphone();
  const refused = microphone.start(() => undefined);
  asked[0]?.deny();
  await assert.rejects(refused, { code: "microphone_denied" });
  const allowed = microphone.start(() => undefined);
  asked[1]?.allow();
  await allowed;
  assert.equal(microphone.isOpen, true);
  microphone.release();
});

test("who lets go while permission is asked for does not get it open", async (t) => {
  const { asked, live } = withSound(t);
  const microphone = new Microphone();
  const opening = microphone.start(() => undefined);
  microphone.release();
  asked[0]?.allow();
  await assert.rejects(opening, { code: "microphone_failed", retryable: true });
  assert.deepEqual([microphone.isOpen, live()], [false, []]);
});

test("letting go closes the sound's context; it is opened again with the next utterance", async (t) => {
  const { asked } = withSound(t);
  const microphone = new Microphone();
  for (const time of [1, 2]) {
    /** @type {Uint8Array[]} */
    const chunks = [];
    const opening = microphone.start((pcm) => chunks.push(pcm));
    asked[time - 1]?.allow();
    await opening;
    assert.equal(FakeAudioContext.all.length, time);
    FakeAudioContext.last.passes(0.5);
    await microphone.stop();
    assert.ok(chunks.some((pcm) => pcm.some((byte) => byte !== 0)));
    microphone.release();
    microphone.release();
    assert.equal(FakeAudioContext.last.state, "closed");
  }
});

test("sound that cannot be opened leaves no microphone open that is allowed later", async (t) => {
  const { asked, letGo } = withSound(t);
  FakeAudioContext.isBroken = true;
  const microphone = new Microphone({ releaseAfterMs: 0 });
  await assert.rejects(microphone.start(() => undefined), { code: "microphone_failed" });
  asked[0]?.allow();
  await settled();
  await letGo();
});

test("a detector that does not start lets go of the microphone", async (t) => {
  const { asked, letGo } = withSound(t);
  const start = async () => {
    throw new Error("no model");
  };
  const detector = { start, stop: () => undefined };
  const microphone = new Microphone({ detector, releaseAfterMs: 0 });
  const watching = microphone.watch(VOICE);
  asked[0]?.allow();
  await assert.rejects(watching, { code: "detector_failed" });
  await letGo();
});

for (const name of [
  "InvalidStateError",
  "NotAllowedError",
  "SecurityError",
  "NotFoundError",
  "NotReadableError",
  "AbortError",
  "NotSupportedError",
]) {
  test(`what the sound graph fails with (${name}) is not told as the user's or the page's fault`, async (t) => {
    const { asked, live } = withSound(t);
    t.mock.method(FakeAudioContext.prototype, "createMediaStreamSource", () => {
      throw new DOMException("The context is closed.", name);
    });
    const opening = new Microphone().start(() => undefined);
    asked[0]?.allow();
    await assert.rejects(opening, {
      code: "microphone_failed",
      retryable: true,
      message: `The microphone could not be opened (${name}).`,
    });
    assert.deepEqual(live(), []);
  });
}
