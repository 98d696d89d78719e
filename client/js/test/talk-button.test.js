/** Hold to talk: what is a tap, and what is talk. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { TAP_MS, holdToTalk } from "../../../web/talk-button.js";
import { openPage } from "./page.js";

/**
 * The button, and what it has told.
 * @param {import("node:test").TestContext} t
 */
function button(t) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const window = openPage(t);
  const hold = /** @type {HTMLButtonElement} */ (document.querySelector("#hold"));
  hold.disabled = false;
  /** @type {string[]} */
  const told = [];
  holdToTalk(hold, {
    onPress: () => told.push("press"),
    onTalk: (heldMs) => told.push(`talk ${heldMs}`),
    onRelease: () => told.push("release"),
    onTap: () => told.push("tap"),
  });
  /** @param {EventTarget} target @param {string} kind @param {object} [more] */
  const dispatch = (target, kind, more = {}) => {
    const event = new window.Event(kind, { bubbles: true, cancelable: true });
    target.dispatchEvent(/** @type {any} */ (Object.assign(event, more)));
  };
  return { hold, told, dispatch };
}

/** @typedef {[kind: string, more: object][]} Way down and up */
/** @type {Record<string, Way>} */
const WAYS = {
  mouse: [
    ["pointerdown", { button: 0 }],
    ["pointerup", {}],
  ],
  "the space bar": [
    ["keydown", { code: "Space" }],
    ["keyup", { code: "Space" }],
  ],
};

for (const [how, [down, up]] of /** @type {[string, [Way[0], Way[0]]][]} */ (Object.entries(WAYS))) {
  for (const ms of [80, TAP_MS - 1]) {
    test(`${how}: what is let go after ${ms} ms is a tap`, (t) => {
      const { hold, told, dispatch } = button(t);
      dispatch(hold, ...down);
      t.mock.timers.tick(ms);
      dispatch(hold, ...up);
      t.mock.timers.tick(10_000);
      assert.deepEqual(told, ["press", "tap"]);
    });
  }

  test(`${how}: what is held is talk, from the press on`, (t) => {
    const { hold, told, dispatch } = button(t);
    dispatch(hold, ...down);
    t.mock.timers.tick(TAP_MS);
    assert.deepEqual(told, ["press", `talk ${TAP_MS}`]);
    dispatch(hold, ...up);
    assert.deepEqual(told, ["press", `talk ${TAP_MS}`, "release"]);
  });
}

test("a click that nobody can hold begins and ends, without a limit", (t) => {
  const { hold, told, dispatch } = button(t);
  dispatch(hold, "click", { detail: 0 });
  assert.deepEqual(told, ["press", "talk 0"]);
  dispatch(hold, "click", { detail: 0 });
  assert.deepEqual(told, ["press", "talk 0", "release"]);
});

test("a tap is longer than 80 ms, and shorter than a word", () => {
  assert.ok(TAP_MS > 80 && TAP_MS <= 300);
});
