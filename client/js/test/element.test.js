/** `<parley-talk>` without a browser: what it decides, and what its page of the docs says of it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { tokenFrom } from "../page-token.js";
import { ParleyTalk } from "../parley-talk.js";
import { HOLD_MS, Press } from "../press.js";
import { announcement, shownTurns, stateOf, TurnSteps } from "../talk-state.js";
import { STYLE } from "../talk-style.js";
import { TEXTS, textsOf } from "../talk-texts.js";

/** @typedef {import("../conversation-view.js").Picture} Picture */
/** @typedef {import("../conversation-view.js").TurnPicture} TurnPicture */

const PAGE = readFileSync(new URL("../../../docs/element.md", import.meta.url), "utf8");
const PANEL = readFileSync(new URL("../talk-panel.js", import.meta.url), "utf8");
const TEXT_OF = textsOf(() => null);

/** @param {string} heading @returns {string} what stands under it */
function section(heading) {
  const found = PAGE.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  assert.ok(found, heading);
  return found;
}

/** @param {string} heading @returns {string[]} the names in the first column of its tables */
function rows(heading) {
  const cells = section(heading).matchAll(/^\| (`[^|]+) \|/gm);
  return [...cells].flatMap(([, cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name));
}

/** @param {Partial<TurnPicture>} [more] @returns {TurnPicture} */
function turn(more = {}) {
  return { id: "t", spoken: true, said: "Hi?", text: "Hello.", status: "done", ...more };
}

/** @param {Partial<Picture>} [more] @returns {Picture} */
function picture(more = {}) {
  const still = { isDeaf: false, turns: [], isListening: false, handsFree: false };
  return { state: "ready", canSpeak: true, transport: "websocket", sound: "idle", ...still, ...more };
}

test("the page of the docs has every attribute, and no other", () => {
  const listed = [...rows("Attributes"), ...rows("Words")].filter((name) => name !== "label-…");
  assert.deepEqual(listed.sort(), [...ParleyTalk.observedAttributes].sort());
});

test("the page of the docs has the words as they are", () => {
  for (const [name, text] of Object.entries(TEXTS)) {
    assert.ok(section("Words").includes(`| \`label-${name}\` | ${text} |`), name);
  }
});

test("the page of the docs has every method and event, and no other", () => {
  const methods = rows("Methods and events").filter((name) => !name.startsWith("parley-"));
  for (const name of methods) assert.ok(name.replace(/\(.*/, "") in ParleyTalk.prototype, name);
  const source = readFileSync(new URL("../talk-element.js", import.meta.url), "utf8");
  const events = new Set([...source.matchAll(/#dispatch\("([^"]+)"/g)].map(([, name]) => name));
  const listed = rows("Methods and events").filter((name) => name.startsWith("parley-"));
  assert.deepEqual(listed.sort(), [...events].sort());
});

test("the page of the docs has every custom property and part, and no other", () => {
  const used = new Set([...STYLE.matchAll(/var\((--parley-[\w-]+)/g)].map(([, name]) => name));
  assert.deepEqual(rows("Look").sort(), [...used].sort());
  const parts = new Set([...PANEL.matchAll(/part: "([^"]+)"/g)].map(([, name]) => name).concat("button"));
  const sentence = /`::part` reaches the rest:(.*?)\. The button/s.exec(PAGE)?.[1] ?? "";
  const listed = [...sentence.matchAll(/`(\w+)`/g)].map(([, name]) => name);
  assert.deepEqual(listed.sort(), [...parts].sort());
});

test("on a server the module defines nothing", () => {
  assert.equal(globalThis.customElements, undefined);
  assert.equal(typeof ParleyTalk, "function");
});

/** @type {[string, Partial<Picture>, Partial<import("../talk-state.js").Use>, string][]} */
const STATES = [
  ["nothing", { state: "idle" }, {}, "idle"],
  ["connecting", { state: "connecting", handsFree: true }, {}, "connecting"],
  ["lost", { state: "reconnecting", turns: [turn({ status: "waiting" })] }, {}, "connecting"],
  ["no network", { state: "offline" }, {}, "offline"],
  ["given up", { state: "failed" }, {}, "error"],
  ["asking for the microphone", {}, { isOpening: true }, "connecting"],
  ["hands-free", { handsFree: true }, {}, "listening"],
  ["spoken to while a reply is heard", { isListening: true, sound: "playing" }, {}, "listening"],
  ["waiting for a reply", { handsFree: true, turns: [turn({ status: "waiting" })] }, {}, "thinking"],
  ["a reply without sound", { turns: [turn({ status: "replying" })] }, {}, "speaking"],
  ["a reply that sounds on after its end", { handsFree: true, sound: "playing", turns: [turn()] }, {}, "speaking"],
  ["a reply that sounds on without a connection", { state: "closed", sound: "playing" }, {}, "speaking"],
  ["a turn that nobody will answer", { state: "closed", turns: [turn({ status: "waiting" })] }, {}, "idle"],
  ["muted", {}, { isMuted: true }, "muted"],
  ["muted, and a reply is heard", { sound: "playing" }, { isMuted: true }, "speaking"],
  ["a problem, and it listens on", { handsFree: true }, { problem: /** @type {any} */ ({}) }, "listening"],
  ["a problem, and nothing goes on", {}, { problem: /** @type {any} */ ({}) }, "error"],
];

for (const [what, shown, use, state] of STATES) {
  test(`${what} is shown as ${state}`, () => {
    assert.equal(stateOf(picture(shown), { isOpening: false, isMuted: false, ...use }), state);
  });
}

test("a turn's own states are not read out, the connection's are", () => {
  assert.equal(announcement("listening", "thinking", TEXT_OF), undefined);
  assert.equal(announcement("speaking", "listening", TEXT_OF), undefined);
  assert.equal(announcement("connecting", "listening", TEXT_OF), "Listening");
  assert.equal(announcement("speaking", "muted", TEXT_OF), "Muted");
  assert.equal(announcement("offline", "offline", TEXT_OF), undefined);
});

test("the last three turns of this session are shown", () => {
  const ids = ["a", "b", "c", "d", "e", "f"];
  const turns = ids.map((id) => turn({ id, ...(id === "d" && { said: "", text: "" }) }));
  const [first] = turns;
  assert.ok(first);
  first.isForgotten = true;
  assert.deepEqual(shownTurns(picture({ turns })).map(({ id }) => id), ["c", "e", "f"]);
});

test("a turn is told when it goes a step further, and when less of it was heard", () => {
  const steps = new TurnSteps();
  assert.equal(steps.of([turn({ status: "replying", text: "Hel" })]).length, 1);
  assert.equal(steps.of([turn({ status: "replying", text: "Hello" })]).length, 0);
  assert.equal(steps.of([turn()]).length, 1);
  assert.equal(steps.of([turn({ heard: "Hel" })]).length, 1);
  assert.equal(steps.of([turn({ heard: "Hel" })]).length, 0);
});

/** A button that has begun or not. */
function pressed() {
  const told = /** @type {string[]} */ ([]);
  let isOn = false;
  const become = (/** @type {boolean} */ now) => {
    isOn = now;
    told.push(now ? "begin" : "end");
  };
  const press = new Press({ isOn: () => isOn, begin: () => become(true), end: () => become(false) });
  return { press, told };
}

test("a button that is held ends when it is let go", () => {
  const { press, told } = pressed();
  press.down(1_000);
  press.up(1_000 + HOLD_MS);
  assert.deepEqual(told, ["begin", "end"]);
});

test("a button that is pressed once goes on until it is pressed again", () => {
  const { press, told } = pressed();
  press.down(1_000);
  press.up(999 + HOLD_MS);
  assert.deepEqual(told, ["begin"]);
  press.down(5_000);
  assert.deepEqual(told, ["begin"]);
  press.up(5_001);
  assert.deepEqual(told, ["begin", "end"]);
});

test("a finger that is lost ends what it has begun, and nothing else", () => {
  const { press, told } = pressed();
  press.lost();
  assert.deepEqual(told, []);
  press.down(1_000);
  press.lost();
  assert.deepEqual(told, ["begin", "end"]);
});

test("a click without a pointer begins and ends", () => {
  const { press, told } = pressed();
  press.click();
  press.click();
  assert.deepEqual(told, ["begin", "end"]);
});

/** @type {[string, Response, string][]} */
const ANSWERS = [
  ["text", new Response("secret\n"), "secret"],
  ["JSON", Response.json({ token: "secret" }), "secret"],
  ["401", new Response("", { status: 401 }), "unauthorized: /token gives no token (401): sign in."],
  ["500", new Response("", { status: 500 }), "not_connected: No token from /token: it answers 500."],
  [
    "JSON without a token",
    Response.json({ jwt: "secret" }),
    "not_connected: No token from /token: its answer holds none: expected text, or JSON with `token`.",
  ],
];

for (const [what, answer, expected] of ANSWERS) {
  test(`a back end that answers with ${what}`, async (t) => {
    const fetch = t.mock.method(globalThis, "fetch", async () => answer);
    const given = await tokenFrom("/token").catch(({ code, message }) => `${code}: ${message}`);
    assert.equal(given, expected);
    assert.deepEqual(fetch.mock.calls[0]?.arguments, ["/token", { credentials: "include", cache: "no-store" }]);
  });
}
