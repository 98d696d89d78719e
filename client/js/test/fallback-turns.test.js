import assert from "node:assert/strict";
import { test } from "node:test";

import { overHttp, problem, told } from "./fallback-server.js";
import { settled } from "./fakes.js";

test("a typed turn's events come in order, its audio is played, and the token is kept", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  const sessions = /** @type {unknown[]} */ ([]);
  conversation.on("session", ({ id, token }) => sessions.push([id, token]));
  const turn = conversation.say("hello");
  const types = [];
  for await (const { type } of turn) types.push(type);
  assert.deepEqual(types, ["transcript", "reply_text", "audio", "turn_end"]);
  assert.deepEqual(player.played, [turn.id]);
  assert.deepEqual(sessions, [["s", "token-2"]]);
  const [asked] = api.of("/turns");
  const { text, turn_id, session_id, resume_token, events } = asked ?? {};
  assert.deepEqual(
    { text, turn_id, session_id, resume_token, events },
    { text: "hello", turn_id: turn.id, session_id: "s", resume_token: "token-1", events: true },
  );
});

test("many turns follow each other, each with the token of the one before", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  for (const text of ["one", "two", "three", "four"]) {
    player.playing = "";
    assert.equal((await conversation.say(text)).reason, "completed");
  }
  assert.equal(api.ran.length, 4);
  assert.equal(conversation.session?.token, "token-5");
});

test("what is spoken is sent in one piece when speaking stops", async (t) => {
  const { api, conversation, microphone } = await overHttp(t);
  const turn = conversation.startSpeaking();
  microphone.open();
  await settled();
  microphone.onChunk(new Uint8Array([1, 0]));
  microphone.onChunk(new Uint8Array([2, 0]));
  assert.deepEqual(api.of("/turns"), []);
  await conversation.stopSpeaking();
  await turn;
  const [asked] = api.of("/turns");
  assert.deepEqual([...Buffer.from(asked?.["audio"], "base64")], [1, 0, 2, 0, 9, 9]);
  assert.equal(asked?.["format"], "pcm_16000");
});

test("what was spoken for too long is refused with a sentence", async (t) => {
  const { api, conversation, microphone } = await overHttp(t);
  const turn = conversation.startSpeaking();
  microphone.open();
  await settled();
  for (let i = 0; i < 97; i += 1) microphone.onChunk(new Uint8Array(20_000));
  await conversation.stopSpeaking();
  await assert.rejects(turn, { code: "too_large", message: /at most 60 s/ });
  assert.deepEqual(api.of("/turns"), []);
  assert.equal(conversation.state, "ready");
});

test("speaking ends by itself before it is too long", async (t) => {
  const { api, conversation, microphone } = await overHttp(t);
  const turn = conversation.startSpeaking();
  microphone.open();
  await settled();
  while (!microphone.stops) microphone.onChunk(new Uint8Array(3_200));
  await turn;
  assert.ok(Buffer.from(api.of("/turns")[0]?.["audio"], "base64").length <= 60 * 32_000);
});

test("an utterance that is taken back is never sent", async (t) => {
  const { api, conversation, microphone } = await overHttp(t);
  const turn = conversation.startSpeaking();
  microphone.open();
  await settled();
  microphone.onChunk(new Uint8Array([1, 0]));
  await conversation.interrupt();
  assert.equal((await turn).reason, "interrupted");
  assert.deepEqual(api.of("/turns"), []);
});

test("an interrupted reply is silent at once, and the server told how much was heard", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  const turn = conversation.say("hello");
  await turn;
  await conversation.interrupt();
  assert.equal(player.playing, "");
  const path = `/sessions/s/turns/${turn.id}/interrupt`;
  while (!api.of(path).length) await settled();
  assert.deepEqual(api.of(path), [{ played_ms: 1234.5, resume_token: "token-2" }]);
});

test("a turn that is interrupted while it runs is left to end, and plays nothing", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  let open = () => {};
  api.gate = new Promise((resolve) => (open = () => resolve(undefined)));
  const first = conversation.say("one");
  while (!api.ran.length) await settled();
  await conversation.interrupt();
  const path = `/sessions/s/turns/${first.id}/interrupt`;
  while (!api.of(path).length) await settled();
  open();
  await first;
  assert.deepEqual(player.played, []);
  assert.equal((await conversation.say("two")).text, "You said: two");
  assert.equal(conversation.state, "ready");
});

test("a turn that was stopped and is then one too many is told to nobody", async (t) => {
  const { api, conversation } = await overHttp(t);
  /** @type {import("../problem.js").Problem[]} */
  const problems = [];
  conversation.on("error", (shown) => problems.push(shown));
  api.instead = [problem(429, "rate_limited", { retryable: true, retry_after_ms: 9_000 })];
  const turn = conversation.say("one");
  await settled();
  await conversation.interrupt();
  assert.equal((await turn).reason, "cancelled");
  assert.deepEqual(problems, []);
  assert.equal((await conversation.say("two")).reason, "completed");
});

test("of an answer that comes after the next turn began nothing is heard", async (t) => {
  const { api, conversation, player } = await overHttp(t);
  let open = () => {};
  api.gate = new Promise((resolve) => (open = () => resolve(undefined)));
  const first = conversation.say("one");
  while (!api.ran.length) await settled();
  const second = conversation.say("two");
  while (api.ran.length < 2) await settled();
  open();
  await Promise.all([first, second]);
  assert.deepEqual(player.played, [second.id]);
  player.playing = "";
  assert.equal((await conversation.say("three")).text, "You said: three", "the token is good");
});

test("an answer that is lost is asked for again, and the turn runs once", async (t) => {
  const { api, conversation } = await overHttp(t);
  api.instead = ["lose", "lose"];
  const turn = conversation.say("hello");
  assert.equal((await turn).text, "You said: hello");
  assert.deepEqual(api.ran, [turn.id]);
  assert.equal(api.of("/turns").length, 3);
  assert.equal(conversation.transport, "http");
  assert.equal((await conversation.say("again")).text, "You said: again", "the token is good");
});

test("a turn that still runs is asked for later, as the server says", async (t) => {
  const { api, conversation } = await overHttp(t);
  const running = problem(409, "turn_running", { retryable: true, retry_after_ms: 1_200 });
  api.instead = [running, running];
  const began = performance.now();
  await conversation.say("hello");
  assert.ok(performance.now() - began >= 2_400);
  assert.equal(conversation.state, "ready");
});

test("a turn that API Gateway gave up is asked for again", async (t) => {
  const { api, conversation } = await overHttp(t);
  api.instead = [{ status: 503, body: { message: "Service Unavailable" } }];
  assert.equal((await conversation.say("hello")).reason, "completed");
});

test("a turn that meets a limit fails at once, is not tried again by itself, and can be", async (t) => {
  const { api, conversation } = await overHttp(t);
  /** @type {unknown[]} */
  const errors = [];
  conversation.on("error", ({ code, turnId }) => errors.push([code, turnId]));
  const limit = { name: "turns_per_minute", value: 30, scope: "subject" };
  const more = { retryable: true, retry_after_ms: 60_000, limit };
  api.instead = [problem(429, "rate_limited", more)];
  const turn = conversation.say("hello");
  const message = "It is rate_limited.";
  const told = { code: "rate_limited", message, retryable: true, retryAfterMs: 60_000, limit };
  await assert.rejects(turn, told);
  assert.deepEqual(errors, [["rate_limited", turn.id]]);
  assert.equal(api.of("/turns").length, 1);
  assert.equal((await conversation.retry(turn.id))?.text, "You said: hello");
  assert.deepEqual(api.of("/turns").map(({ attempt }) => attempt), [1, 2]);
});

for (const [what, refusal] of /** @type {const} */ ([
  ["the day's seconds are used up", problem(429, "quota_exceeded", { retryable: true })],
  ["API Gateway has too many requests", { status: 429, body: { message: "Too Many Requests" } }],
])) {
  test(`when ${what} a turn fails, and the next goes on`, async (t) => {
    const { api, conversation } = await overHttp(t);
    api.instead = [{ ...refusal, headers: { "Retry-After": "60" } }];
    await assert.rejects(conversation.say("hello"), { retryable: true, retryAfterMs: 60_000 });
    assert.equal((await conversation.say("again")).reason, "completed");
    assert.equal(api.of("/turns").length, 2);
  });
}

test("settings go with the next turn, and to the WebSocket if there is none before", async (t) => {
  const { api, conversation, presence, player } = await overHttp(t);
  const updated = told(conversation, "config_updated");
  conversation.configure({ speed: 1.1 });
  await updated;
  assert.deepEqual(conversation.settings, { speed: 1.1 });
  await conversation.say("hello");
  assert.deepEqual(api.of("/turns")[0]?.["settings"], { speed: 1.1 });
  player.playing = "";
  conversation.configure({ speed: 0.9 });
  api.upgrades = "open";
  const moved = told(conversation, "transport");
  presence.changed();
  await moved;
  while (api.said.length < 2) await settled();
  assert.deepEqual(api.said[1], { type: "config", settings: { speed: 0.9 } });
});

test("settings that are refused cost one turn, and not the next", async (t) => {
  const { api, conversation } = await overHttp(t);
  conversation.configure({ speed: 9 });
  api.instead = [problem(400, "bad_request", { field: "settings.speed" })];
  const back = told(conversation, "config_updated", ({ settings }) => settings.speed === 1);
  await assert.rejects(conversation.say("hello"), { code: "bad_request" });
  await back;
  assert.equal((await conversation.say("again")).reason, "completed");
  assert.deepEqual(api.of("/turns")[1]?.["settings"], {});
});
