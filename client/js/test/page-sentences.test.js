/** What a problem is to the person who meets it: never the protocol's own words. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { explained, isAboutSettings, sentenceOf, settingOf } from "../../../web/sentences.js";
import { standInsNote } from "../../../web/stand-ins.js";
import { Problem } from "../problem.js";
import { openPage } from "./page.js";

const NOT_UNDERSTOOD = "The server does not understand this page. Reload it: one of the two may be newer.";
const STAYS = "It stays as it was.";

/**
 * What the page has of an `error` of the server's.
 * @param {unknown} message
 * @param {Record<string, unknown>} [more]
 */
function told(message, more = {}) {
  const event = { type: "error", code: "bad_request", message, retryable: false, ...more };
  return Problem.from(/** @type {import("../messages.js").Error} */ (/** @type {unknown} */ (event)));
}

for (const [field, code, sentence] of /** @type {const} */ ([
  ["config.settings.language", "bad_request", `That language is not available here. ${STAYS}`],
  ["config.settings.voice", "bad_request", `That voice is not available here. ${STAYS}`],
  ["init.settings.speed", "bad_request", `The speed cannot be set to that here. ${STAYS}`],
  ["config.settings.stability", "bad_request", `The stability cannot be set to that here. ${STAYS}`],
  ["settings.style", "bad_request", `The style cannot be set to that here. ${STAYS}`],
  ["config.settings.record", "bad_request", `Recording cannot be changed here. ${STAYS}`],
  ["config.settings", "bad_request", `That setting is not available here. ${STAYS}`],
  ["config.settings.foo-bar", "bad_request", `That setting is not available here. ${STAYS}`],
  ["config.settings.größe", "bad_request", `That setting is not available here. ${STAYS}`],
  ["audio_chunk.seq", "bad_request", NOT_UNDERSTOOD],
  ["user_message.text", "too_large", "That message is too long."],
  ["user_message.turn_id", "bad_request", "That message cannot be sent like this."],
  ["type", "unknown_type", NOT_UNDERSTOOD],
  ["$", "bad_request", NOT_UNDERSTOOD],
  // Nobody has asked for what these answer.
  ["interrupt.turn_id", "bad_request", ""],
  ["ack.seq", "bad_request", ""],
  ["ping.sent_at", "bad_request", ""],
])) {
  for (const isNamed of [true, false]) {
    test(`${field} is a sentence, ${isNamed ? "named" : "in the text alone"}`, () => {
      const text = `${field}: expected text matching '^[a-z]'`;
      assert.equal(sentenceOf(told(text, { code, ...(isNamed && { field }) })), sentence);
    });
  }
}

for (const text of [
  "config.other.foo-bar: unknown",
  "config.größe: unknown",
  "Settings.voice: no",
  "`ready.choices` names it",
  "turn t-0011223344556677 is not this session's",
  'audio_start["a b"]: unknown',
  "$.audio[3]: bad",
  "expected an object",
  "type: missing",
  "",
  null,
]) {
  test(`“${text}” reaches nobody`, () => {
    assert.equal(sentenceOf(told(text)), NOT_UNDERSTOOD);
  });
}

for (const text of ["error: the model said no", "timeout: try later", "Busy: wait."]) {
  test(`“${text}” is a sentence already`, () => {
    assert.equal(sentenceOf(told(text, { code: "internal" })), text);
  });
}

for (const text of [null, "", 7, {}]) {
  for (const turn_id of [undefined, "t1"]) {
    test(`instead of ${JSON.stringify(text)} there is a sentence${turn_id ? ", of a turn too" : ""}`, () => {
      const problem = told(text, { code: "internal", turn_id });
      assert.equal(sentenceOf(problem), "The server refuses, and does not say why.");
    });
  }
}

test("what a turn is refused for is told also if no field is named", () => {
  const problem = told("The text is empty.", { turn_id: "t1" });
  assert.equal(sentenceOf(problem), "The text is empty.");
});

for (const [text, setting] of /** @type {const} */ ([
  ["config.settings.voice: no", "voice"],
  ["init.settings.speed: no", "speed"],
  ["settings.style: no", "style"],
  ["config.settings: no", ""],
  ["user_message.text: no", undefined],
  ["Settings.voice: no", undefined],
])) {
  test(`“${text}” is about ${setting === undefined ? "no setting" : setting || "some setting"}`, () => {
    for (const problem of [told(text), told("no", { field: text.replace(": no", "") })]) {
      assert.equal(isAboutSettings(problem), setting !== undefined);
      assert.equal(settingOf(problem), setting ?? "");
    }
  });
}

for (const [page, url, where] of /** @type {const} */ ([
  ["https://talk.example/", "wss://talk.example/dev", "this page's server, talk.example,"],
  ["http://localhost:8000/", "ws://127.0.0.1:9/dev", "this page's server, localhost:8000,"],
  ["https://talk.example/", "wss://other.example/dev", "wss://other.example/dev"],
])) {
  for (const [code, message, why] of /** @type {const} */ ([
    ["unreachable", "http://x/ gives no answer.", "Is the address right, and the server up?"],
    ["unreachable", "http://x/ answers, but not so that it can be read.", "It answers, but not to this page: it may not allow pages of ORIGIN."],
    ["redirected", "http://x/ leads elsewhere.", "It leads to another address, which is not followed."],
  ])) {
    test(`${code} (${message}) at ${url} names ${where}`, (t) => {
      openPage(t, page);
      const told = explained(new Problem(code, message), { url, httpUrl: false });
      const expected = why.replace("ORIGIN", location.origin);
      assert.equal(told, `No connection to ${where} could be opened. ${expected}`);
    });
  }
}

test("without a microphone one can go on typing, and is told so", (t) => {
  openPage(t);
  const problem = new Problem("microphone_denied", "The microphone is not allowed.");
  const told = explained(problem, { url: "wss://talk.example/dev", httpUrl: false });
  assert.equal(told, "The microphone is not allowed. You can go on typing.");
});

for (const [stages, note] of /** @type {[string[], string][]} */ ([
  [[], ""],
  [["synthesizer"], "Voice is a stand-in for development."],
  [["responder"], "Answers are stand-ins for development."],
  [["responder", "synthesizer"], "Voice and answers are stand-ins for development."],
  [["transcriber", "responder", "synthesizer"], "Voice, ears and answers are stand-ins for development."],
  [["another"], "Parts of this are stand-ins for development."],
])) {
  test(`stand-ins: ${stages.join(", ") || "none"}`, () => {
    assert.equal(standInsNote(stages), note);
  });
}
