/** The settings of the page: what may be chosen, and nothing that is not in force. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { SettingsForm } from "../../../web/settings-form.js";
import { openPage } from "./page.js";

/** @typedef {import("../messages.js").Choices} Choices */

const CHOICES = {
  settings: ["language", "record", "speed", "stability", "style", "voice"],
  voices: [
    { id: "r", name: "Rachel" },
    { id: "b", name: "Bill" },
  ],
  languages: ["en", "de", "fr"],
};
const SETTINGS = { voice: "r", language: "en", speed: 1, stability: 0.5, style: "", record: false };
const NAMES = ["voice", "language", "style", "speed", "stability", "record"];

/**
 * The form as a session that has just been opened shows it.
 * @param {import("node:test").TestContext} t
 * @param {unknown} choices
 * @param {import("../messages.js").Settings} [settings]
 */
function opened(t, choices, settings = SETTINGS) {
  openPage(t);
  const element = /** @type {HTMLFormElement} */ (document.querySelector("#settings"));
  /** @type {import("../messages.js").Settings[]} */
  const changes = [];
  const form = new SettingsForm(element, { onChange: (change) => changes.push(change), onHandsFree: () => {} });
  form.open(settings, /** @type {Choices} */ (choices));
  return { form, changes };
}

/** @param {string} name */
const field = (name) => /** @type {HTMLInputElement} */ (document.querySelector(`#${name}`));

/** @param {string} name */
function isShown(name) {
  const row = /** @type {HTMLElement} */ (field(name).closest(".field"));
  return !row.hidden;
}

/** @param {string} name */
function options(name) {
  return [...document.querySelectorAll(`#${name} option`)].map(({ textContent }) => textContent);
}

for (const allowed of [[], ["language"], ["speed", "voice"], NAMES]) {
  test(`only ${allowed.join(", ") || "nothing"} is shown if no more may be set`, (t) => {
    opened(t, { ...CHOICES, settings: allowed });
    assert.deepEqual(NAMES.filter(isShown), NAMES.filter((name) => allowed.includes(name)));
    const replies = /** @type {HTMLElement} */ (document.querySelector("#reply-settings"));
    assert.equal(replies.hidden, allowed.length === 0);
  });
}

test("what is in force is shown also if it may not be chosen", (t) => {
  opened(t, CHOICES, { ...SETTINGS, voice: "of-the-deployment", language: "it" });
  assert.equal(field("voice").value, "of-the-deployment");
  assert.deepEqual(options("voice"), ["As it is", "Rachel", "Bill"]);
  assert.deepEqual(options("language"), ["Italian", "English", "French", "German"]);
});

for (const choices of [undefined, {}]) {
  test(`of a server that lists ${choices ? "nothing" : "no choices"} every language is offered`, (t) => {
    opened(t, choices, {});
    assert.ok(!isShown("voice"));
    assert.ok(!isShown("record"));
    assert.ok(options("language").includes("German"));
  });
}

for (const choices of [
  { settings: null },
  { settings: ["voice"], voices: null, languages: null },
  { settings: "voice", voices: "Rachel", languages: {} },
  { settings: [null, 7], voices: [null, 7, "Rachel", {}], languages: [null, 7, ""] },
  { settings: ["voice", "language"], voices: [{ id: "" }], languages: [""] },
  [],
  "everything",
]) {
  test(`choices that make no sense leave the form whole: ${JSON.stringify(choices)}`, (t) => {
    opened(t, choices, { speed: 1.1 });
    assert.ok(!isShown("voice"));
    assert.equal(field("speed").value, "1.1");
  });
}

for (const voice of [{ id: "a" }, { id: "a", name: "" }, { id: "a", name: null }]) {
  test(`a voice without a name is called what it is: ${JSON.stringify(voice)}`, (t) => {
    opened(t, { settings: ["voice"], voices: [voice], languages: [] }, { voice: "a" });
    assert.deepEqual(options("voice"), ["a"]);
  });
}

for (const [name, wrong] of /** @type {const} */ ([
  ["voice", "b"],
  ["language", "de"],
  ["style", "Like a pirate"],
])) {
  test(`a ${name} that is refused does not stay`, (t) => {
    const { form, changes } = opened(t, CHOICES);
    const before = field(name).value;
    field(name).value = wrong;
    field(name).dispatchEvent(new (/** @type {any} */ (document.defaultView).Event)("change", { bubbles: true }));
    assert.deepEqual(changes, [{ [name]: wrong }]);
    assert.equal(field(name).value, wrong);
    form.refused();
    assert.equal(field(name).value, before);
  });
}
