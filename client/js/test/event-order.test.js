import assert from "node:assert/strict";
import { test } from "node:test";

import { TurnEvents } from "../event-order.js";

/** @param {number} seq @param {number} [attempt] */
function event(seq, attempt) {
  return /** @type {import("../event-order.js").TurnEvent} */ ({
    type: "reply_text",
    turn_id: "a",
    seq,
    delta: String(seq),
    ...(attempt && { attempt }),
  });
}

/** @param {TurnEvents} turns @param {[number, number?][]} numbers */
function delivered(turns, numbers) {
  return numbers.flatMap(([seq, attempt]) =>
    turns.take(event(seq, attempt)).events.map((next) => next.seq),
  );
}

test("events come in order, once", () => {
  const turns = new TurnEvents();
  assert.deepEqual(delivered(turns, [[2], [1], [1], [2], [3]]), [1, 2, 3]);
  assert.deepEqual(turns.received, { turn_id: "a", seq: 3 });
});

test("what comes after a gap waits for it", () => {
  const turns = new TurnEvents();
  assert.deepEqual(delivered(turns, [[1], [3]]), [1]);
  assert.equal(turns.hasGap, true);
  assert.deepEqual(delivered(turns, [[2]]), [2, 3]);
  assert.equal(turns.hasGap, false);
});

test("a later attempt starts anew, and an earlier one is void", () => {
  const turns = new TurnEvents();
  assert.deepEqual(delivered(turns, [[1], [1, 2], [2], [2, 2]]), [1, 1, 2]);
  assert.deepEqual(turns.received, { turn_id: "a", seq: 2, attempt: 2 });
});

test("an end without a number ends the turn, whatever is missing", () => {
  const turns = new TurnEvents();
  delivered(turns, [[1], [3]]);
  const end = /** @type {any} */ ({ type: "turn_end", turn_id: "a", seq: 0, reason: "failed" });
  assert.deepEqual(turns.take(end), { events: [end], isLate: false });
  assert.deepEqual(turns.take(event(2)), { events: [], isLate: true });
  assert.equal(turns.hasGap, false);
});

test("why an attempt broke off is told once, and not of an earlier one", () => {
  const turns = new TurnEvents();
  const why = /** @type {any} */ ({ type: "error", turn_id: "a", seq: 0, code: "internal" });
  assert.deepEqual(turns.take(why).events, [why]);
  assert.deepEqual(turns.take(why).events, []);
  turns.begin("a", 2);
  assert.deepEqual(turns.take(why).events, []);
  assert.deepEqual(turns.take({ ...why, attempt: 2 }).events, [{ ...why, attempt: 2 }]);
});

test("a returning client names its oldest turn that has not ended", () => {
  const turns = new TurnEvents();
  delivered(turns, [[1]]);
  turns.begin("b", 1);
  assert.deepEqual(turns.received, { turn_id: "a", seq: 1 });
  const end = /** @type {any} */ ({ type: "turn_end", turn_id: "a", seq: 2 });
  turns.take(end);
  assert.deepEqual(turns.received, { turn_id: "b", seq: 0 });
});
