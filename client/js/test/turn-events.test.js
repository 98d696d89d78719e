import assert from "node:assert/strict";
import { test } from "node:test";

import { TurnEvents } from "../turn-events.js";

/** @param {number} seq */
function event(seq) {
  return /** @type {const} */ ({ type: "reply_text", turn_id: "t", seq, delta: String(seq) });
}

/** @param {number[]} order */
function delivered(order) {
  const turn = new TurnEvents();
  const events = order.flatMap((seq) => turn.take(event(seq)));
  return { seqs: events.map((e) => ("seq" in e ? e.seq : 0)), last: turn.seq };
}

test("events come in order, once", () => {
  assert.deepEqual(delivered([3, 1, 1, 2, 3, 5, 4, 2]), { seqs: [1, 2, 3, 4, 5], last: 5 });
});

test("what comes after a gap waits for it", () => {
  assert.deepEqual(delivered([1, 3, 4]), { seqs: [1], last: 1 });
});
