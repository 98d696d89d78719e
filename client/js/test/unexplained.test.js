/** A refusal that says nothing of itself is told in a sentence, not as `undefined`. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask } from "../http-request.js";
import { Problem } from "../problem.js";

const SENTENCE = /^The server refuses, and does not say why\.$/;

for (const text of [undefined, null, "", 7, true, {}, []]) {
  test(`a text that is ${JSON.stringify(text)} is replaced`, async (t) => {
    const event = { type: "error", code: "limit", retryable: false };
    const { message } = Problem.from(/** @type {any} */ ({ ...event, message: text }));
    assert.match(message, SENTENCE);
    const body = JSON.stringify({ code: "limit", title: "", detail: text });
    t.mock.method(globalThis, "fetch", async () => new Response(body, { status: 409 }));
    const asking = ask("https://test/x", { timeoutMs: 1_000 });
    await assert.rejects(asking, { code: "limit", message: SENTENCE });
  });
}
