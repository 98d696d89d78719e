import assert from "node:assert/strict";
import { test } from "node:test";

import { Ring } from "../ring.js";

for (const [pushed, wanted, expected] of /** @type {[number[][], number, number[]][]} */ ([
  [[[1, 2]], 4, [1, 2]],
  [[[1, 2, 3]], 2, [2, 3]],
  [[[1, 2, 3], [4, 5, 6]], 4, [3, 4, 5, 6]],
  [[[1, 2, 3, 4, 5, 6, 7, 8, 9]], 3, [7, 8, 9]],
  [[], 3, []],
])) {
  test(`the last ${wanted} of ${JSON.stringify(pushed)}`, () => {
    const ring = new Ring(4);
    for (const samples of pushed) ring.push(Float32Array.from(samples));
    assert.deepEqual([...ring.last(wanted)], expected);
  });
}
