import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { WebSocketServer } from "ws";

import { Conversation } from "../conversation.js";
import { after, connected, ready, said, turnEnd } from "./connected.js";
import { AnyWebSocket, FakeSocket, READY, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */

/**
 * A server on a real socket that asks for a function as soon as a turn begins, and drops the
 * connection before the answer counts as often as it is told to.
 * @param {Context} t
 * @param {{drops: number}} how
 */
async function asking(t, { drops }) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  /** @type {Record<string, any>[]} */
  const results = [];
  /** @type {Record<string, any>[]} */
  const inits = [];
  let dropsLeft = drops;
  server.on("connection", (socket) => {
    const say = (/** @type {object} */ event) => socket.send(JSON.stringify(event));
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data));
      if (frame.type === "init") {
        inits.push(frame);
        say({ ...READY, resumed: inits.length > 1 });
      } else if (frame.type === "user_message") {
        say({ ...call({ turn_id: frame.turn_id }), seq: 1 });
      } else if (frame.type === "tool_result") {
        results.push(frame);
        if (dropsLeft > 0) {
          dropsLeft -= 1;
          socket.terminate();
          return;
        }
        say(turnEnd(frame.turn_id, 2, { text: `It is ${frame.result}.` }));
      }
    });
  });
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `ws://127.0.0.1:${port}`, results, inits };
}

/** @param {Record<string, unknown>} more */
function call(more) {
  const what = { name: "lookUp", arguments: { city: "Ulm" }, timeout_ms: 5_000 };
  return { type: "client_call", seq: 1, call_id: "c1", ...what, ...more };
}

/**
 * A turn in which the agent has asked for a function.
 * @param {Context} t
 * @param {import("../page-tools.js").PageTool} lookUp
 * @param {Record<string, unknown>} [more]
 */
async function called(t, lookUp, more = {}) {
  const made = await connected(t, { tools: { lookUp } });
  const { turn } = await said(made.conversation);
  made.socket.says(call({ turn_id: turn.id, ...more }));
  await settled();
  return { ...made, turn, results: () => made.socket.ofType("tool_result") };
}

test("over a real connection that breaks, a function runs once and its answer arrives", async (t) => {
  const { url, results, inits } = await asking(t, { drops: 2 });
  let runs = 0;
  const conversation = new Conversation(url, {
    WebSocket: AnyWebSocket,
    baseDelayMs: 1,
    tools: { lookUp: ({ city }) => `${city}: ${(runs += 1)}` },
  });
  t.after(() => conversation.close());
  await conversation.connect();
  const { text } = await conversation.say("What is it?");
  assert.equal(text, "It is Ulm: 1.");
  assert.deepEqual(results.map(({ result }) => result), ["Ulm: 1", "Ulm: 1", "Ulm: 1"]);
  assert.deepEqual(inits.map(({ tools }) => tools), [["lookUp"], ["lookUp"], ["lookUp"]]);
});

describe("what the agent is told", () => {
  /** @type {[what: string, result: unknown, told: string][]} */
  const RESULTS = [
    ["text, as it is", "four o'clock", "four o'clock"],
    ["an empty text, as it is", "", ""],
    ["anything else, as JSON", { at: [4, "pm"] }, '{"at":[4,"pm"]}'],
    ["nothing, as JSON", null, "null"],
    ["that it is done, without a result", undefined, "done"],
    ["a result of the longest that may be", "ä".repeat(8_000), "ä".repeat(8_000)],
  ];
  for (const [what, result, told] of RESULTS) {
    test(what, async (t) => {
      const { turn, results } = await called(t, async () => result);
      const about = { type: "tool_result", turn_id: turn.id, call_id: "c1" };
      assert.deepEqual(results(), [{ ...about, result: told }]);
    });
  }

  /** @type {[what: string, run: () => unknown, error: string | RegExp][]} */
  const FAILURES = [
    ["the message of what was thrown", () => { throw new Error("No such city."); }, "No such city."],
    ["what was thrown, if it has no message", () => { throw "down"; }, "down"],
    ["the beginning of a long message", () => { throw new Error("😀".repeat(1_500)); }, "😀".repeat(1_000)],
    ["that a result is too long", () => "a".repeat(8_001), /8,001 characters; at most 8,000/],
    ["that a result is too many bytes", () => "\u0001".repeat(8_000), /bytes; at most 32,768/],
    ["that half a character cannot be sent", () => "a\ud800", /half a character/],
    ["that a function is no JSON", () => () => 1, /no JSON/],
  ];
  for (const [what, run, error] of FAILURES) {
    test(what, async (t) => {
      const { conversation, results } = await called(t, run);
      const [sent, ...others] = results();
      assert.deepEqual(others, []);
      assert.equal(sent?.["result"], undefined);
      if (typeof error === "string") assert.equal(sent?.["error"], error);
      else assert.match(String(sent?.["error"]), error);
      assert.equal(conversation.state, "ready");
    });
  }

  test("that there is no such function", async (t) => {
    const { results } = await called(t, () => "", { name: "elsewhere" });
    assert.match(String(results()[0]?.["error"]), /no function "elsewhere"/);
  });
});

test("a function that fails is a warning to the developer, with its cause", async (t) => {
  const { conversation, socket } = await connected(t, {
    tools: { lookUp: () => { throw new RangeError("No."); } },
  });
  /** @type {import("../problem.js").Problem[]} */
  const warnings = [];
  conversation.on("warning", (problem) => warnings.push(problem));
  const { turn } = await said(conversation);
  socket.says(call({ turn_id: turn.id }));
  await settled();
  assert.deepEqual(warnings.map(({ code, turnId }) => [code, turnId]), [["tool_failed", turn.id]]);
  assert.ok(warnings[0]?.cause instanceof RangeError);
});

test("a function gets its arguments, the call, the turn and a signal", async (t) => {
  /** @type {unknown[]} */
  const given = [];
  const { turn } = await called(t, (...all) => void given.push(...all));
  const [first, { callId, turnId, signal }] = /** @type {[unknown, any]} */ (given);
  assert.deepEqual([first, callId, turnId], [{ city: "Ulm" }, "c1", turn.id]);
  assert.ok(signal instanceof AbortSignal && !signal.aborted);
});

test("the next attempt at a turn gets the answer of before", async (t) => {
  let runs = 0;
  const { conversation, socket, turn, results } = await called(t, () => `run ${(runs += 1)}`);
  const failed = { reason: "failed", code: "internal", retryable: true };
  socket.says(turnEnd(turn.id, 2, failed));
  await assert.rejects(turn);
  conversation.retry(turn.id);
  await settled();
  socket.says(call({ turn_id: turn.id, attempt: 2 }));
  await settled();
  assert.deepEqual(results().map(({ result }) => result), ["run 1", "run 1"]);
});

test("an answer is not said again once the call has ended", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const { socket, turn, results } = await called(t, () => "");
  const ended = { name: "lookUp", title: "Look up", state: "done", call_id: "c1" };
  socket.says({ type: "tool", turn_id: turn.id, seq: 2, ...ended });
  assert.equal(results().length, 1);
  socket.ends(1006);
  await after(500);
  await ready({ resumed: true });
  assert.deepEqual(FakeSocket.last.types(), ["user_message"]);
});

test("in another session nothing of an earlier one's calls is said, and they are aborted", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  /** @type {AbortSignal[]} */
  const signals = [];
  const { socket, turn } = await called(t, ({ city }, { signal }) => {
    signals.push(signal);
    return city ? "known" : new Promise(() => undefined);
  });
  socket.says(call({ turn_id: turn.id, seq: 2, call_id: "c2", arguments: {} }));
  socket.ends(1006);
  await after(500);
  await ready({ session_id: "other" });
  assert.deepEqual(FakeSocket.last.types(), ["user_message"]);
  assert.deepEqual(signals.map(({ aborted }) => aborted), [false, true]);
});

test("a call that is replayed after a reload is not run again", async (t) => {
  let runs = 0;
  const { socket } = await connected(t, { tools: { lookUp: () => (runs += 1) } });
  socket.says(call({ turn_id: "of the page before" }));
  await settled();
  assert.equal(runs, 0);
  assert.match(String(socket.ofType("tool_result")[0]?.["error"]), /may or may not have run/);
});

describe("the signal of a function that still runs", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
  afterEach(() => mock.timers.reset());

  /** @param {Context} t */
  async function running(t) {
    /** @type {AbortSignal | undefined} */
    let signal;
    const made = await called(t, (_, call) => {
      signal = call.signal;
      return new Promise(() => undefined);
    });
    assert.equal(signal?.aborted, false);
    return { ...made, signal: /** @type {AbortSignal} */ (signal) };
  }

  test("aborts when the user interrupts the turn", async (t) => {
    const { conversation, signal } = await running(t);
    await conversation.interrupt();
    assert.equal(signal.aborted, true);
  });

  test("aborts when the server has interrupted the turn", async (t) => {
    const { socket, turn, signal } = await running(t);
    socket.says(turnEnd(turn.id, 2, { reason: "interrupted" }));
    assert.equal(signal.aborted, true);
  });

  test("aborts when the server waits no longer, and not before", async (t) => {
    const { signal } = await running(t);
    await after(4_999);
    assert.equal(signal.aborted, false);
    await after(1);
    assert.equal(signal.aborted, true);
    assert.match(signal.reason.message, /longer than 5000 ms/);
  });

  test("is late: of what a late function did only the server's clock tells", async (t) => {
    const { socket } = await called(t, (_, { signal }) => {
      return new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    });
    await after(5_000);
    assert.deepEqual(socket.ofType("tool_result"), []);
  });

  test("stays when the turn has failed: the next attempt may ask again", async (t) => {
    const { socket, turn, signal } = await running(t);
    socket.says(turnEnd(turn.id, 2, { reason: "failed", retryable: true }));
    assert.equal(signal.aborted, false);
  });
});

test("a function of an interrupted turn does not run", async (t) => {
  let runs = 0;
  const { conversation, socket } = await connected(t, { tools: { lookUp: () => (runs += 1) } });
  const { turn } = await said(conversation);
  await conversation.interrupt();
  socket.says(call({ turn_id: turn.id }));
  await settled();
  assert.equal(runs, 0);
  assert.deepEqual(socket.ofType("tool_result"), []);
});

for (const [name, run, told] of /** @type {[string, any, RegExp][]} */ ([
  ["look up", () => "", /"look up" is no name of a tool/],
  ["lookUp", "text", /tools\.lookUp must be a function, not string/],
])) {
  test(`the tool ${name} is refused: ${told.source}`, () => {
    const make = () => new Conversation("ws://test", { tools: { [name]: run } });
    assert.throws(make, { code: "bad_request", message: told });
  });
}
