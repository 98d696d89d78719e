/** Waits that no timer can hold are long, and what is no time is none. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { LONGEST_MS, startTimer, toldMs } from "../delay.js";
import { ask } from "../http-request.js";
import { Problem } from "../problem.js";
import { Microphone } from "../microphone.js";
import { withSound } from "./audio.js";
import { after, begun, connected } from "./connected.js";
import { FakeSocket, settled } from "./fakes.js";

const DAY_MS = 86_400_000;
const MONTH_MS = 30 * DAY_MS;

for (const [told, waited] of /** @type {[unknown, number | undefined][]} */ ([
  [0, 0],
  [1.5, 1.5],
  [DAY_MS, DAY_MS],
  [MONTH_MS, LONGEST_MS],
  [1e300, LONGEST_MS],
  [Infinity, LONGEST_MS],
  [-1, undefined],
  [NaN, undefined],
  ["soon", undefined],
  ["5000", undefined],
  [null, undefined],
  [true, undefined],
  [{}, undefined],
  [[7], undefined],
])) {
  test(`to wait ${JSON.stringify(told) ?? told} ms is ${waited ?? "nothing"}`, () => {
    assert.equal(toldMs(told), waited);
    const problem = Problem.from(/** @type {any} */ ({ code: "c", retry_after_ms: told }));
    assert.equal(problem.retryAfterMs, waited);
  });
}

test("a timer that waits for ever does not fire", async () => {
  let fired = 0;
  const timers = [MONTH_MS, Infinity].map((ms) => startTimer(() => (fired += 1), ms));
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (const timer of timers) clearTimeout(timer);
  assert.equal(fired, 0);
});

for (const retry_after_ms of [DAY_MS, MONTH_MS, 1e15, 1e300]) {
  for (const options of [{}, { slowRetryMs: 30_000 }]) {
    const slowly = "slowRetryMs" in options ? ", slowly" : "";
    test(`a server that wants no attempt for ${retry_after_ms} ms has none${slowly}`, async (t) => {
      const { changes, conversation } = begun(t, { attempts: 2, ...options });
      await settled();
      FakeSocket.last.opens();
      const message = "This month's quota is used up.";
      const refusal = { type: "error", code: "quota_exceeded", message, retryable: true };
      FakeSocket.last.says({ ...refusal, retry_after_ms });
      await new Promise((resolve) => setTimeout(resolve, 30));
      assert.equal(FakeSocket.all.length, 1);
      assert.equal(conversation.state, "connecting");
      assert.equal(changes.at(-1)?.retryInMs, Math.min(retry_after_ms, LONGEST_MS));
    });
  }
}

for (const retry_after_ms of ["soon", -5, null]) {
  test(`a server that says to wait ${retry_after_ms} is tried as one that says nothing`, async (t) => {
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    t.after(() => mock.timers.reset());
    begun(t, { attempts: 3 });
    await settled();
    FakeSocket.last.opens();
    const refusal = { type: "error", code: "rate_limited", message: "Too many.", retryable: true };
    FakeSocket.last.says({ ...refusal, retry_after_ms });
    await settled();
    await after(400);
    assert.equal(FakeSocket.all.length, 1);
    await after(200);
    assert.equal(FakeSocket.all.length, 2);
  });
}

for (const option of ["slowRetryMs", "rotateAfterMs", "heartbeatMs", "stableAfterMs", "connectTimeoutMs"]) {
  test(`${option} may be for ever`, async (t) => {
    const { conversation, socket } = await connected(t, { attempts: 0, [option]: Infinity });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual([FakeSocket.all.length, socket.types(), conversation.state], [1, [], "ready"]);
    socket.ends(1006);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual([FakeSocket.all.length, conversation.state], [1, "failed"]);
  });
}

test("a microphone may stay open for ever", async (t) => {
  const sound = withSound(t);
  const microphone = new Microphone({ releaseAfterMs: Infinity });
  const opening = microphone.open();
  await settled();
  sound.asked[0]?.allow();
  await opening;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(sound.live().length, 1);
  microphone.release();
});

for (const [header, waited] of /** @type {[string, number | undefined][]} */ ([
  ["99999999999999999999", LONGEST_MS],
  ["Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_MS],
  ["soon", undefined],
  ["2592000", LONGEST_MS],
  ["7", 7_000],
])) {
  test(`Retry-After: ${header} is ${waited ?? "nothing"}`, async (t) => {
    const answer = new Response("{}", { status: 503, headers: { "Retry-After": header } });
    t.mock.method(globalThis, "fetch", async () => answer);
    await assert.rejects(ask("https://test/x", { timeoutMs: 1_000 }), (problem) => {
      assert.equal(/** @type {Problem} */ (problem).retryAfterMs, waited);
      return true;
    });
  });
}
