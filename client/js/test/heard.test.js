import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { heardText } from "../heard.js";
import { Turn } from "../turn.js";

/** The server and the Python client keep to the same cases. */
const { cases } = JSON.parse(
  readFileSync(new URL("../../../tests/heard.json", import.meta.url), "utf8"),
);

for (const { name, text, words, played_ms: playedMs, heard } of cases) {
  test(`what was heard: ${name}`, () => {
    assert.equal(heardText(text, words, playedMs), heard);
  });
}

test("at any cut it is the reply's beginning, and whole words", () => {
  const text = "Ich mag **Lulu**, 我喜欢她。";
  const words = [..."Ich mag **Lulu**,".split(" "), ..."我喜欢", "她。"].map(
    (word, n) => /** @type {[string, number, number]} */ ([word, n * 100, n * 100 + 90]),
  );
  for (let playedMs = 0; playedMs <= 800; playedMs += 1) {
    const heard = heardText(text, words, playedMs);
    const count = words.filter(([, , endMs]) => endMs <= playedMs).length;
    const letters = words.slice(0, count).map(([word]) => word);
    assert.ok(text.startsWith(heard));
    assert.equal(heard.replace(/ /g, ""), letters.join(""));
  }
});

/** @param {Turn} turn @param {...object} events */
function take(turn, ...events) {
  for (const event of events) turn.take(/** @type {any} */ ({ turn_id: "t", seq: 1, ...event }));
}

test("a turn says what was heard of it, until its reply begins anew", () => {
  const turn = new Turn("t", { spoken: false });
  assert.equal(turn.heardAt(1_000), undefined);
  take(
    turn,
    { type: "reply_text", delta: "Lulu sang." },
    { type: "audio", words: [["Lulu", 0, 400]] },
    { type: "audio", words: [["sang.", 450, 900]] },
    { type: "audio" },
  );
  assert.equal(turn.heardAt(200), "");
  assert.equal(turn.heardAt(899), "Lulu");
  turn.startAgain();
  assert.equal(turn.heardAt(200), undefined);
});
