/** docs/client-reference.md follows from the types, and explains what it lists. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { currentPage, reference } from "../scripts/reference.js";

const page = reference();

test("the reference is current", async () => {
  assert.equal(await currentPage(), page, "run `npm run build:reference`");
});

test("the reference explains everything that it lists", () => {
  const rows = page.split("\n").filter((line) => line.startsWith("| `"));
  assert.ok(rows.length > 100);
  assert.deepEqual(rows.filter((row) => /\| +\|$/.test(row)), []);
});

test("the reference holds what an application uses, and nothing private", () => {
  for (const name of ["say(text)", "startSpeaking(options?)", "httpUrl?", "turn_end", "heardAt(playedMs)"]) {
    assert.ok(page.includes(`\`${name}\``), name);
  }
  assert.doesNotMatch(page, /`#\w/);
});
