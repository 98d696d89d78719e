import assert from "node:assert/strict";
import { test } from "node:test";

import { WORKLETS, sourceOf, workletOf } from "../scripts/worklets.js";

for (const [from, to] of WORKLETS) {
  test(`${to} is a current copy of ${from}`, async () => {
    assert.equal(await sourceOf(to), await workletOf(from), "run `npm run build:worklets`");
  });

  test(`${to} stands alone, so that it may be copied as it is`, async () => {
    assert.doesNotMatch(await sourceOf(to), /^\s*import\s|\bimport\s*\(/m);
  });
}
