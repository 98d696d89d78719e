/** The code for what is chosen, and which state the page shows. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { codeFor } from "../../../web/copy-code.js";
import { stageState } from "../../../web/stage-state.js";

const URL = "wss://talk.example/dev";
const FACTS = /** @type {const} */ ({
  connection: "ready",
  player: "idle",
  speech: "idle",
  isHandsFree: false,
  isMuted: false,
  isAwaited: false,
});

test("the code has what is chosen, in five lines", () => {
  const code = codeFor({
    url: URL,
    agent: "waiter",
    settings: { voice: "b", language: "de", style: "", record: true },
    hasToken: false,
    handsFree: { endMs: 900 },
  });
  assert.equal(code.trim().split("\n").length, 5);
  assert.match(code, /new Conversation\("wss:\/\/talk\.example\/dev", \{ agent: "waiter", /);
  assert.match(code, /settings: \{ voice: "b", language: "de" \}, microphone, player \}/);
  assert.match(code, /startHandsFree\(\{ endMs: 900 \}\)/);
});

test("text that is chosen stays text in the code", () => {
  const style = '"}); alert(1); //\n';
  const code = codeFor({ url: URL, settings: { style }, hasToken: false, handsFree: undefined });
  assert.ok(code.includes(`style: ${JSON.stringify(style)}`));
  assert.match(code, /stopSpeaking/);
});

test("a token is asked for, and never in the code", () => {
  const code = codeFor({ url: URL, settings: {}, hasToken: true, handsFree: undefined });
  assert.match(code, /token: async \(\) =>/);
});

for (const [facts, state] of /** @type {const} */ ([
  [{}, "ready"],
  [{ isHandsFree: true }, "listening"],
  [{ isHandsFree: true, isMuted: true }, "muted"],
  [{ isMuted: true }, "muted"],
  [{ speech: "opening" }, "opening"],
  [{ speech: "listening" }, "listening"],
  [{ speech: "listening", isMuted: true }, "muted"],
  [{ speech: "listening", player: "playing" }, "listening"],
  [{ isAwaited: true }, "thinking"],
  [{ isAwaited: true, player: "playing" }, "speaking"],
  [{ player: "paused" }, "listening"],
  [{ player: "blocked", isAwaited: true }, "blocked"],
  [{ connection: "idle" }, "connecting"],
  [{ connection: "reconnecting" }, "reconnecting"],
  [{ connection: "reconnecting", player: "playing" }, "speaking"],
  [{ connection: "offline" }, "offline"],
  [{ connection: "closed" }, "ended"],
  [{ connection: "ended" }, "ended"],
  [{ connection: "failed" }, "error"],
])) {
  test(`${JSON.stringify(facts)} is shown as ${state}`, () => {
    assert.equal(stageState({ ...FACTS, ...facts }), state);
  });
}
