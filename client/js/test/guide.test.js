/**
 * The examples of the guide, of the package's README and of client-behaviour.md, as they stand there,
 * with a scripted server. Those of "Five lines" run in tests/browser/test_five_lines.py.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import { Window } from "happy-dom";
import ts from "typescript";

import { Conversation, ConversationView } from "../index.js";
import { turnEnd } from "./connected.js";
import { FakePlayer, FakePresence, FakeSocket, NoticingMicrophone, SocketClass, settled } from "./fakes.js";

/** @typedef {Record<string, any>} Scope */
/** @typedef {{page: string, heading: string, language: string, code: string}} Example */
/** @typedef {(example: Example, t: import("node:test").TestContext) => Promise<void>} Check */

const ROOT = new URL("../../../", import.meta.url);
const PAGES = ["docs/client.md", "docs/client-behaviour.md", "docs/element.md", "client/js/README.md"];
const AsyncFunction = Object.getPrototypeOf(async () => undefined).constructor;

/** @param {string} page @returns {Example[]} what is JavaScript on it */
function examplesOf(page) {
  const text = readFileSync(new URL(page, ROOT), "utf8");
  const parts = text.matchAll(/^#+ (?<heading>[^\n]+)$|^```(?<language>jsx?|ts)\n(?<code>.*?)^```$/gms);
  let heading = "";
  const examples = [];
  for (const { groups = {} } of parts) {
    heading = groups["heading"] ?? heading;
    const { language = "", code = "" } = groups;
    if (code && heading !== "Five lines") examples.push({ page, heading, language, code });
  }
  return examples;
}

/** A conversation with a scripted server. */
class Scripted extends Conversation {
  /**
   * @param {import("../reconnector.js").Asked} url
   * @param {import("../conversation.js").ConversationOptions} [options]
   */
  constructor(url, options) {
    super(url, { WebSocket: SocketClass, presence: new FakePresence(), random: () => 1, ...options });
    Scripted.all.push(this);
  }
  /** @type {Scripted[]} */
  static all = [];
}

class Microphone extends NoticingMicrophone {
  /** @param {(pcm: Uint8Array) => void} onChunk */
  async start(onChunk) {
    this.onChunk = onChunk;
  }
}

class Player extends FakePlayer {
  unlocked = 0;
  isClosed = false;
  unlock() {
    this.unlocked += 1;
  }
  async close() {
    this.isClosed = true;
  }
  on() {
    return () => undefined;
  }
}

/** What stands for the elements of a page. */
function element() {
  return /** @type {Scope} */ ({ textContent: "", hidden: true, disabled: false, value: "" });
}

/**
 * Run an example; what it waits for, the check has to bring about.
 * @param {Example} example
 * @param {Scope} scope the names that it does not declare itself
 */
function run({ code }, scope) {
  const given = { Conversation: Scripted, ConversationView, Microphone, Player, url: "ws://test", ...scope };
  const body = code.replace(/^import .*$/gm, "").replace(/^export /gm, "");
  const names = Object.keys(given);
  // In a block: an example may declare what others are given.
  const done = new AsyncFunction(...names, `{\n${body}\n}`)(...Object.values(given));
  done.catch(() => undefined);
  return /** @type {Promise<void>} */ (done);
}

/** @param {import("node:test").TestContext} t */
function scripted(t) {
  FakeSocket.all = [];
  Scripted.all = [];
  t.after(() => Scripted.all.forEach((conversation) => conversation.close()));
}

/** @param {Scope} [more] of `ready` */
async function ready(more) {
  await settled();
  FakeSocket.last.becomesReady(more);
  await settled();
}

/** A conversation that is ready, for an example that is given one. @param {Scope} [more] of `ready` */
async function given(more) {
  const player = new Player();
  const microphone = new Microphone();
  const conversation = new Scripted("ws://test", { microphone, player });
  const connecting = conversation.connect();
  await ready(more);
  await connecting;
  return { conversation, microphone, player };
}

/** @param {string} type of a message that has been sent, the newest of it */
function sent(type) {
  return /** @type {Scope} */ (FakeSocket.last.ofType(type).at(-1));
}

/** @param {string} text of a reply to the newest turn, in two parts */
async function replies(text) {
  await settled();
  const { turn_id } = sent("user_message");
  const half = text.length / 2;
  FakeSocket.last.says({ type: "reply_text", turn_id, seq: 1, delta: text.slice(0, half) });
  FakeSocket.last.says({ type: "reply_text", turn_id, seq: 2, delta: text.slice(half) });
  FakeSocket.last.says(turnEnd(turn_id, 3, { text }));
  await settled();
}

/** By page and heading, in the order of the page.
 * @type {Record<string, Check[]>} */
const CHECKS = {
  "docs/client.md: Show a conversation": [
    async (example) => {
      const { conversation } = await given();
      const [form, input, reply] = [element(), { value: "Hi?" }, element()];
      await run(example, { conversation, form, input, reply });
      const shown = form["onsubmit"]({ preventDefault: () => undefined });
      await replies("Hello there.");
      await shown;
      assert.equal(sent("user_message")["text"], "Hi?");
      assert.equal(reply["textContent"], "Hello there.");
    },
    async (example) => {
      const { conversation } = await given();
      const [said, reply] = [element(), element()];
      await run(example, { conversation, said, reply });
      const turn = conversation.say("Hi?");
      await settled();
      FakeSocket.last.says({ type: "transcript", turn_id: turn.id, seq: 1, text: "Hi?", final: true });
      FakeSocket.last.says({ type: "reply_text", turn_id: turn.id, seq: 2, delta: "Hel" });
      assert.deepEqual([said["textContent"], reply["textContent"]], ["Hi?", "Hel"]);
      FakeSocket.last.says(turnEnd(turn.id, 3, { text: "Hello." }));
      assert.equal(reply["textContent"], "Hello.");
    },
  ],
  "docs/client.md: Hold to talk": [
    async (example) => {
      const button = element();
      const done = run(example, { button });
      await ready();
      await done;
      button["onpointerdown"]();
      await settled();
      assert.equal(sent("audio_start")["endpointing"], "manual");
      await button["onpointerup"]();
      assert.equal(sent("audio_end")["chunks"], 1);
    },
  ],
  "docs/client.md: Hands-free": [
    async (example) => {
      const { conversation, microphone, player } = await given();
      const toggle = element();
      await run(example, { conversation, player, toggle });
      await toggle["onclick"]();
      assert.equal(microphone.settings?.endMs, 900);
      assert.equal(toggle["textContent"], "Speak");
      microphone.notices("speaking");
      assert.equal(toggle["textContent"], "Listening …");
      await toggle["onclick"]();
      assert.equal(toggle["textContent"], "Hands-free");
      assert.equal(player.unlocked, 2);
    },
  ],
  "docs/client.md: Interrupt": [
    async (example) => {
      const { conversation } = await given();
      const [stop, note] = [element(), element()];
      await run(example, { conversation, stop, note });
      conversation.say("Hi?");
      await settled();
      await stop["onclick"]();
      assert.ok(sent("interrupt"));
      assert.match(note["textContent"], /^cut off after [\d.]+ ms$/);
    },
  ],
  "docs/client.md: Show the connection": [
    async (example, t) => {
      t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
      const [again, note] = [element(), element()];
      const counted = /** @type {(number | undefined)[]} */ ([]);
      await run(example, { again, note, countDown: (/** @type {number} */ ms) => counted.push(ms) });
      for (let attempt = 0; attempt <= 5; attempt += 1) {
        await settled();
        FakeSocket.last.ends(1006);
        await settled();
        if (attempt < 5) t.mock.timers.tick(15_000);
      }
      assert.equal(again["hidden"], false);
      assert.match(note["textContent"], /^No connection to ws:\/\/test/);
      assert.equal(counted.at(-1), 45_000);
      again["onclick"]();
      await ready();
      assert.deepEqual([again["hidden"], note["textContent"]], [true, "ready"]);
    },
  ],
  "docs/client.md: Survive a reload": [
    async (example) => {
      /** @type {Map<string, string>} */
      const kept = new Map([["session", '{"id": "s0", "token": "t0"}']]);
      const sessionStorage = {
        getItem: (/** @type {string} */ name) => kept.get(name) ?? null,
        setItem: (/** @type {string} */ name, /** @type {string} */ value) => kept.set(name, value),
      };
      const messages = /** @type {string[][]} */ ([]);
      const addMessage = (/** @type {string[]} */ ...message) => messages.push(message);
      const done = run(example, { sessionStorage, addMessage });
      const history = [{ role: "user", text: "Hi?", turn_id: "t" }];
      await ready({ session_id: "s0", resume_token: "t1", resumed: true, history });
      await done;
      const { session_id: id, resume_token: token } = /** @type {Scope} */ (FakeSocket.last.sent[0]);
      assert.deepEqual([id, token], ["s0", "t0"]);
      assert.deepEqual(JSON.parse(kept.get("session") ?? ""), { id: "s0", token: "t1" });
      assert.deepEqual(messages, [["user", "Hi?"]]);
    },
  ],
  "docs/client.md: Authenticate": [
    async (example) => {
      const asked = /** @type {string[]} */ ([]);
      const fetch = async (/** @type {string} */ path) => {
        asked.push(path);
        return { text: async () => "secret" };
      };
      const done = run(example, { fetch });
      await settled();
      await ready();
      await done;
      assert.deepEqual(asked, ["/token"]);
      assert.deepEqual(FakeSocket.last.protocols, ["parley", "secret"]);
    },
  ],
  "docs/client.md: Work where WebSockets are blocked": [
    async (example, t) => {
      const replies = [{ session_id: "s", resume_token: "t1", settings: {}, limits: {} }];
      t.mock.method(globalThis, "fetch", async () => Response.json(replies[0]));
      t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
      const note = element();
      const done = run(example, { httpUrl: "https://test", note });
      for (let handshake = 0; handshake < 2; handshake += 1) {
        await settled();
        FakeSocket.last.ends(1006);
        await settled();
        t.mock.timers.tick(15_000);
      }
      await done;
      assert.equal(note["textContent"], "http");
    },
  ],
  "docs/client.md: Let the user choose": [
    async (example) => {
      const choices = { settings: ["voice"], voices: [{ id: "v1", name: "Vera" }], languages: [] };
      const { conversation } = await given({ choices });
      const added = /** @type {string[][]} */ ([]);
      const voices = { ...element(), add: (/** @type {string[]} */ option) => added.push(option) };
      /** @param {string[]} parts */
      function Option(...parts) {
        return parts;
      }
      await run(example, { conversation, voices, Option });
      assert.deepEqual(added, [["Vera", "v1"]]);
      Object.assign(voices, { value: "v1" });
      /** @type {Scope} */ (voices)["onchange"]();
      assert.deepEqual(sent("config")["settings"], { voice: "v1" });
      FakeSocket.last.says({ type: "config_updated", settings: { voice: "v2" } });
      assert.equal(/** @type {Scope} */ (voices)["value"], "v2");
    },
  ],
  "docs/client.md: Give the agent functions": [
    async (example) => {
      const fetch = async (/** @type {string} */ path) => ({ json: async () => ({ path }) });
      const menu = element();
      const done = run(example, { fetch, menu });
      await ready();
      await done;
      const [conversation] = Scripted.all;
      const turn = conversation?.say("Hi?");
      await settled();
      const call = { type: "client_call", turn_id: turn?.id, timeout_ms: 1_000 };
      FakeSocket.last.says({ ...call, seq: 1, call_id: "a", name: "find_tables", arguments: { people: 2 } });
      FakeSocket.last.says({ ...call, seq: 2, call_id: "b", name: "show_menu", arguments: {} });
      await settled();
      const results = FakeSocket.last.ofType("tool_result").map(({ result }) => result);
      assert.deepEqual(results.sort(), ["done", '{"path":"/tables?people=2"}']);
      assert.equal(menu["hidden"], false);
    },
    async (example) => {
      const { conversation } = await given();
      const [note, count, reply] = [element(), element(), element()];
      await run(example, { conversation, note, count, reply });
      const { id: turn_id } = conversation.say("Hi?");
      await settled();
      const call = { call_id: "c", name: "book", title: "Book a table", state: "running" };
      FakeSocket.last.says({ type: "tool", turn_id, seq: 1, ...call });
      FakeSocket.last.says({ type: "reply_text", turn_id, seq: 2, delta: "One moment. ", filler: true });
      FakeSocket.last.says({ type: "custom", turn_id, seq: 3, name: "cart", data: { items: 2 } });
      FakeSocket.last.says({ type: "reply_text", turn_id, seq: 4, delta: "Done." });
      assert.equal(note["textContent"], "Book a table: running");
      assert.deepEqual([count["textContent"], reply["textContent"]], [2, "Done."]);
    },
  ],
  "docs/client.md: Let the agent begin and end": [
    async (example) => {
      const { conversation } = await given();
      const note = element();
      await run(example, { conversation, note });
      FakeSocket.last.says({ type: "agent_turn", turn_id: "a", seq: 1, cause: "greeting" });
      assert.equal(note["textContent"], "The agent speaks.");
      FakeSocket.last.says({ type: "session_ended", session_id: "s", reason: "silence" });
      assert.equal(note["textContent"], "Ended: silence");
    },
    async (example) => {
      const done = run(example, {});
      await ready({ choices: { context: true } });
      await done;
      assert.equal(FakeSocket.last.sent[0]?.["agent"], "waiter");
      assert.equal(sent("context")["text"], "The user looks at table 4.");
    },
  ],
  "docs/client.md: Handle errors": [
    async (example, t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const { conversation } = await given();
      const [again, note] = [element(), element()];
      await run(example, { conversation, again, note });
      const turn = conversation.say("Hi?");
      turn.catch(() => undefined);
      await settled();
      const code = "rate_limited";
      const more = { retryable: true, retry_after_ms: 2_000 };
      FakeSocket.last.says({ type: "error", turn_id: turn.id, seq: 1, code, message: "Wait.", ...more });
      FakeSocket.last.says(turnEnd(turn.id, 2, { reason: "failed", code, retryable: true }));
      await settled();
      assert.deepEqual([note["textContent"], again["disabled"]], ["Wait.", true]);
      t.mock.timers.tick(2_000);
      assert.equal(again["disabled"], false);
      again["onclick"]();
      await settled();
      assert.deepEqual([sent("user_message")["turn_id"], sent("user_message")["attempt"]], [turn.id, 2]);
    },
  ],
  "docs/client.md: Leave": [
    async (example) => {
      const { conversation, player } = await given();
      const done = run(example, { conversation, player });
      await settled();
      FakeSocket.last.says({ type: "session_ended", session_id: "s", reason: "ended" });
      await done;
      assert.deepEqual([conversation.state, player.isClosed], ["closed", true]);
    },
  ],
  "docs/client.md: Use React": [reactComponent],
  "docs/client.md: Use Vue or Svelte": [
    async (example) => {
      const { conversation, player } = await given();
      const pictures = /** @type {Scope[]} */ ([]);
      const render = (/** @type {Scope} */ picture) => pictures.push(picture);
      await run(example, { conversation, player, render });
      conversation.say("Hi?");
      await replies("Hello.");
      assert.equal(pictures.at(-1)?.["turns"][0].text, "Hello.");
    },
  ],
  "docs/client-behaviour.md: Another detector of speech": [
    async (example) => {
      let isDestroyed = false;
      /** @type {(probability: {isSpeech: number}, frame: Float32Array) => void} */
      let hear = () => undefined;
      const MicVAD = {
        new: async (/** @type {Scope} */ { onFrameProcessed }) => {
          hear = onFrameProcessed;
          return { start: async () => undefined, destroy: () => (isDestroyed = true) };
        },
      };
      const told = /** @type {string[]} */ ([]);
      const code = `${example.code}\nmade(silero("/assets/"));`;
      /** @type {Scope} */
      let detector = {};
      await run({ ...example, code }, { MicVAD, made: (/** @type {Scope} */ it) => (detector = it) });
      const settings = { startMs: 60, endMs: 90, pauseMs: 60 };
      await detector["start"](settings, (/** @type {string} */ voice) => told.push(voice));
      // 30 ms each.
      for (const isSpeech of [0, 1, 1, 0, 0, 1, 0, 0, 0]) hear({ isSpeech }, new Float32Array(480));
      assert.deepEqual(told, ["speaking", "pausing", "speaking", "pausing", "silent"]);
      detector["stop"]();
      assert.ok(isDestroyed);
    },
  ],
  "docs/element.md: Attributes": [
    async (example) => {
      const talk = element();
      const asked = /** @type {unknown[]} */ ([]);
      const fetch = async (/** @type {unknown[]} */ ...given) => {
        asked.push(given);
        return { text: async () => "secret" };
      };
      const document = { querySelector: (/** @type {string} */ name) => name === "parley-talk" && talk };
      const menu = element();
      await run(example, { document, fetch, menu });
      assert.equal(await talk["getToken"](), "secret");
      assert.deepEqual(asked, [["/token", { method: "POST" }]]);
      talk["tools"].show_menu();
      assert.equal(menu["hidden"], false);
    },
  ],
  "docs/element.md: Methods and events": [
    async (example) => {
      const document = new EventTarget();
      const [log, count] = [element(), element()];
      await run(example, { document, log, count });
      const tell = (/** @type {string} */ name, /** @type {object} */ detail) =>
        document.dispatchEvent(new CustomEvent(name, { detail }));
      tell("parley-turn", { status: "replying", said: "Hi?", text: "Hel" });
      tell("parley-turn", { status: "done", said: "Hi?", text: "Hello." });
      tell("parley-custom", { name: "cart", data: { items: 2 } });
      assert.deepEqual([log["textContent"], count["textContent"]], ["Hi? → Hello.\n", 2]);
    },
  ],
  "client/js/README.md: Parley in a browser": [
    async (example, t) => {
      t.mock.method(console, "log", () => undefined);
      const button = element();
      const done = run(example, { button });
      await ready();
      await replies("Nine.");
      await done;
      button["onpointerdown"]();
      await settled();
      assert.ok(sent("audio_start"));
      await button["onpointerup"]();
      assert.ok(sent("audio_end"));
    },
  ],
};

/** @type {Check} */
async function reactComponent({ code }, t) {
  const window = new Window();
  Object.defineProperty(globalThis, "navigator", { value: window.navigator, configurable: true });
  Object.assign(globalThis, { window, document: window.document, HTMLElement: window.HTMLElement });
  const listening = { addEventListener: () => undefined, removeEventListener: () => undefined };
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true, ...listening });
  // Node.js has one from version 22 on.
  const own = globalThis.WebSocket;
  Object.assign(globalThis, { WebSocket: SocketClass });
  t.after(() => Object.assign(globalThis, { WebSocket: own }));
  const { act, createElement } = await import("react");
  const { createRoot } = await import("react-dom/client");
  const folder = await mkdtemp(join(tmpdir(), "guide-"));
  t.after(() => rm(folder, { recursive: true }));
  const jsx = ts.JsxEmit.ReactJSX;
  const module = ts.ModuleKind.ESNext;
  const { outputText } = ts.transpileModule(code, { compilerOptions: { jsx, module } });
  const places = {
    "parley-client/react": new URL("../react.js", import.meta.url).href,
    "react/jsx-runtime": import.meta.resolve("react/jsx-runtime"),
  };
  let source = outputText;
  for (const [name, place] of Object.entries(places)) {
    source = source.replaceAll(`"${name}"`, `"${place}"`);
  }
  await writeFile(join(folder, "chat.mjs"), source);
  const { Chat } = await import(pathToFileURL(join(folder, "chat.mjs")).href);
  const root = createRoot(/** @type {any} */ (window.document.body));
  await act(async () => root.render(createElement(Chat)));
  await act(() => ready());
  const [ask] = window.document.querySelectorAll("button");
  await act(async () => ask?.click());
  await act(() => replies("Nine."));
  assert.equal(window.document.querySelector("[role=status]")?.textContent, "ready");
  assert.match(window.document.body.textContent, /What time is it\? Nine\./);
  await act(async () => root.unmount());
  after(() => window.close());
}

const examples = PAGES.flatMap(examplesOf);

for (const [place, checks] of Object.entries(CHECKS)) {
  const found = examples.filter(({ page, heading }) => `${page}: ${heading}` === place);
  checks.forEach((check, index) => {
    test(`${place}, example ${index + 1}`, async (t) => {
      scripted(t);
      assert.ok(found[index], "the example is there");
      await check(found[index], t);
    });
  });
}

test("every example is tried", () => {
  const places = examples.map(({ page, heading }) => `${page}: ${heading}`);
  const tried = Object.entries(CHECKS).flatMap(([place, checks]) => checks.map(() => place));
  assert.deepEqual(places.sort(), tried.sort());
});
