/** Whoever started the microphone being gone, nothing stays open: all ways to go, at all times. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Microphone } from "../microphone.js";
import { FakeAudioContext, withSound } from "./audio.js";
import { connected } from "./connected.js";
import { Api, conversing } from "./fallback-server.js";
import { FakeSocket, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */
/** @typedef {import("../conversation.js").Conversation} Conversation */
/** @typedef {ReturnType<typeof withSound>} Sound */

const HOUR_MS = 3_600_000;
const ENDED = { type: "session_ended", session_id: "s" };

/** Everything that needs no timer has happened, however long its chain. */
async function rest() {
  for (let step = 0; step < 30; step += 1) await settled();
}

/** How somebody goes.
 * @type {Record<string, (conversation: Conversation) => unknown>} */
const WAYS = {
  "close()": (conversation) => conversation.close(),
  "end()": (conversation) => void conversation.end(),
  "end(), which the server answers": async (conversation) => {
    void conversation.end();
    await rest();
    FakeSocket.last.says({ ...ENDED, reason: "ended" });
  },
  "a final close code": () => FakeSocket.last.ends(1008),
  "a session that has ended": () => FakeSocket.last.says({ ...ENDED, reason: "ended" }),
  "a session that was taken over": () => FakeSocket.last.says({ ...ENDED, reason: "replaced" }),
  "attempts that are used up": async () => {
    FakeSocket.last.ends(1006);
    for (let attempt = 0; attempt < 6; attempt += 1) {
      await rest();
      mock.timers.tick(20_000);
      await rest();
      FakeSocket.last.ends(1006);
    }
  },
};

/** What is begun, and how it is ended by hand.
 * @type {Record<string, [begin: (conversation: Conversation) => unknown,
 *   end: (conversation: Conversation) => unknown]>} */
const USES = {
  speaking: [
    (conversation) => conversation.startSpeaking().catch(() => undefined),
    (conversation) => void conversation.stopSpeaking(),
  ],
  "server_vad": [
    (conversation) =>
      conversation.startSpeaking({ endpointing: "server_vad" }).catch(() => undefined),
    (conversation) => void conversation.stopSpeaking(),
  ],
  "hands-free": [
    (conversation) => conversation.startHandsFree().catch(() => undefined),
    (conversation) => void conversation.stopHandsFree(),
  ],
};

/** What it waits for when somebody goes, and what happens afterwards.
 * @type {Record<string, (sound: Sound) => {begin: () => unknown, goOn: () => unknown}>} */
const TIMES = {
  "while the browser asks": (sound) => ({
    begin: () => undefined,
    goOn: () => sound.asked.forEach(({ allow }) => allow()),
  }),
  "while the worklet loads": (sound) => {
    /** @type {() => void} */
    let load = () => undefined;
    FakeAudioContext.loads = () => new Promise((resolve) => (load = resolve));
    return { begin: () => sound.asked[0]?.allow(), goOn: () => load() };
  },
  "while its sound is resumed": (sound) => {
    /** @type {() => void} */
    let resume = () => undefined;
    FakeAudioContext.resumes = () => new Promise((resolve) => (resume = () => resolve()));
    return { begin: () => sound.asked[0]?.allow(), goOn: () => resume() };
  },
  "when it is open": (sound) => ({
    begin: () => sound.asked[0]?.allow(),
    goOn: () => undefined,
  }),
};

/**
 * @param {Context} t
 * @param {string} use
 * @param {string} time
 */
async function begun(t, use, time) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const sound = withSound(t);
  const microphone = new Microphone();
  const when = TIMES[time]?.(sound);
  const made = await connected(t, { microphone });
  void USES[use]?.[0](made.conversation);
  await rest();
  assert.equal(sound.asked.length, 1);
  when?.begin();
  await rest();
  return { ...made, sound, microphone, goOn: when?.goOn };
}

for (const time of Object.keys(TIMES)) {
  for (const [use, [, stop]] of Object.entries(USES)) {
    const opening = time !== "when it is open";
    const ways = { ...WAYS, ...(opening && { "ending it by hand": stop }) };
    for (const [way, goes] of Object.entries(ways)) {
      test(`${use}: ${way} ${time} leaves nothing open`, async (t) => {
        const { sound, microphone, conversation, goOn } = await begun(t, use, time);
        await goes(conversation);
        await rest();
        if (time !== "while the browser asks") assert.deepEqual(sound.live(), [], "at once");
        goOn?.();
        await rest();
        assert.deepEqual(sound.live(), [], "as soon as it is allowed");
        assert.equal(microphone.isOpen, false);
        const states = FakeAudioContext.all.map(({ state }) => state);
        assert.deepEqual(new Set(states), new Set(["closed"]));
        mock.timers.tick(HOUR_MS);
        await rest();
        assert.deepEqual(sound.live(), [], "for good");
      });
    }
  }
}

test("a turn that nobody waits for any more is cancelled, and says nothing", async (t) => {
  const { conversation, socket, sound, goOn } = await begun(t, "hands-free", "while the browser asks");
  await conversation.stopHandsFree();
  const turn = conversation.startSpeaking();
  await conversation.stopSpeaking();
  assert.equal((await turn).reason, "cancelled");
  goOn?.();
  await rest();
  assert.deepEqual([socket.types(), sound.live()], [[], []]);
});

test("speaking that begins again while the browser asks is heard, and asked for once", async (t) => {
  const { conversation, socket, sound, goOn } = await begun(t, "speaking", "while the browser asks");
  await conversation.stopSpeaking();
  const turn = conversation.startSpeaking();
  assert.equal(conversation.startSpeaking(), turn, "the same while it lasts");
  goOn?.();
  await rest();
  assert.deepEqual([sound.asked.length, sound.live().length], [1, 1]);
  assert.deepEqual(socket.ofType("audio_start").map(({ turn_id }) => turn_id), [turn.id]);
});

test("a conversation that is closed cannot open it any more", async (t) => {
  const { conversation, sound } = await begun(t, "speaking", "when it is open");
  conversation.close();
  await assert.rejects(conversation.startHandsFree(), { code: "not_connected" });
  await assert.rejects(conversation.startSpeaking(), { code: "not_connected" });
  assert.deepEqual([sound.asked.length, sound.live()], [1, []]);
});

test("hands-free before the first connection is let go when it is closed", async (t) => {
  const sound = withSound(t);
  const { Conversation } = await import("../conversation.js");
  const conversation = new Conversation("ws://test", { microphone: new Microphone() });
  const starting = conversation.startHandsFree();
  await settled();
  sound.asked[0]?.allow();
  await starting;
  assert.equal(sound.live().length, 1);
  conversation.close();
  assert.deepEqual(sound.live(), []);
});

test("a device that goes while the worklet loads is not waited for", async (t) => {
  const { conversation, sound, goOn } = await begun(t, "speaking", "while the worklet loads");
  /** @type {string[]} */
  const seen = [];
  conversation.on("error", ({ code }) => seen.push(code));
  const [track] = sound.tracks;
  assert.ok(track);
  track.readyState = "ended";
  track.onended();
  await rest();
  assert.deepEqual(seen, ["microphone_lost"]);
  assert.equal(FakeAudioContext.last.state, "closed");
  goOn?.();
  const turn = conversation.startSpeaking();
  sound.asked[1]?.allow();
  await rest();
  assert.deepEqual([sound.live().length, turn.ended], [1, false]);
});

test("what was said is kept warm for the next utterance, and let go after a minute", async (t) => {
  const { conversation, sound } = await begun(t, "speaking", "when it is open");
  const stopping = conversation.stopSpeaking();
  await rest();
  mock.timers.tick(200);
  await stopping;
  mock.timers.tick(59_000);
  assert.equal(sound.live().length, 1);
  mock.timers.tick(1_000);
  assert.equal(sound.live().length, 0);
});

/**
 * Two conversations with one microphone, which both use.
 * @param {Context} t
 * @param {[string, string]} uses
 */
async function two(t, uses) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const sound = withSound(t);
  const microphone = new Microphone();
  const first = await connected(t, { microphone });
  const second = await connected(t, { microphone });
  void USES[uses[0]]?.[0](first.conversation);
  void USES[uses[1]]?.[0](second.conversation);
  await rest();
  return { sound, microphone, first, second };
}

for (const uses of /** @type {[string, string][]} */ ([
  ["speaking", "speaking"],
  ["speaking", "hands-free"],
  ["hands-free", "speaking"],
  ["hands-free", "hands-free"],
])) {
  for (const time of ["while the browser asks", "when it is open"]) {
    test(`${uses.join(" beside ")}: one that goes ${time} does not take it from the other`, async (t) => {
      const { sound, first, second } = await two(t, uses);
      if (time === "when it is open") sound.asked[0]?.allow();
      await rest();
      first.conversation.close();
      await rest();
      if (time !== "when it is open") sound.asked[0]?.allow();
      await rest();
      assert.deepEqual([sound.asked.length, sound.live().length], [1, 1]);
      if (uses[1] === "speaking") {
        for (let block = 0; block < 4; block += 1) FakeAudioContext.last.passes(0.3);
        assert.ok(second.socket.ofType("audio_chunk").length > 0, "and is heard");
        assert.equal(first.socket.ofType("audio_end").length, 0);
      }
      second.conversation.close();
      await rest();
      assert.deepEqual(sound.live(), []);
    });
  }
}

test("one that ends what it says does not end what the other says", async (t) => {
  const { sound, first, second } = await two(t, ["speaking", "speaking"]);
  sound.asked[0]?.allow();
  await rest();
  const stopping = first.conversation.stopSpeaking();
  await rest();
  mock.timers.tick(200);
  await stopping;
  const before = second.socket.ofType("audio_chunk").length;
  for (let block = 0; block < 4; block += 1) FakeAudioContext.last.passes(0.3);
  assert.equal(first.socket.ofType("audio_end").length, 1);
  assert.ok(second.socket.ofType("audio_chunk").length > before);
  assert.equal(second.socket.ofType("audio_end").length, 0);
});

test("a microphone that its page lets go of ends what everybody says with it", async (t) => {
  const { sound, microphone, first, second } = await two(t, ["speaking", "hands-free"]);
  sound.asked[0]?.allow();
  await rest();
  /** @type {string[]} */
  const seen = [];
  for (const { conversation } of [first, second]) {
    conversation.on("error", ({ code }) => seen.push(code));
  }
  microphone.release();
  await rest();
  mock.timers.tick(200);
  await rest();
  assert.deepEqual([sound.live(), seen], [[], ["microphone_lost", "microphone_lost"]]);
  assert.equal(first.socket.ofType("audio_end").length, 1);
});

for (const [way, goes] of /** @type {[string, (conversation: Conversation) => unknown][]} */ ([
  ["close()", (conversation) => conversation.close()],
  ["end()", (conversation) => conversation.end()],
])) {
  for (const time of ["while the browser asks", "when it is open"]) {
    test(`over HTTP: ${way} ${time} leaves nothing open`, async (t) => {
      const sound = withSound(t);
      const api = await Api.running(t);
      api.upgrades = "reset";
      const { conversation, connecting } = conversing(t, api, { microphone: new Microphone() });
      await connecting;
      assert.equal(conversation.transport, "http");
      conversation.startSpeaking().catch(() => undefined);
      await settled();
      if (time === "when it is open") {
        sound.asked[0]?.allow();
        while (!conversation.isListening) await settled();
      }
      const gone = goes(conversation);
      if (time !== "when it is open") sound.asked[0]?.allow();
      for (let step = 0; step < 5; step += 1) await settled();
      assert.deepEqual(sound.live(), []);
      await gone;
    });
  }
}

test("a turn that fails just after its end does not stop what is said next", async (t) => {
  const { conversation, socket } = await begun(t, "speaking", "when it is open");
  FakeAudioContext.last.passes(0.3);
  const [{ turn_id } = {}] = socket.ofType("audio_start");
  void conversation.stopSpeaking(); // its last chunk is on its way
  const next = conversation.startSpeaking();
  await rest();
  const failed = { reason: "failed", code: "no_speech", text: "", metrics: {} };
  socket.says({ type: "turn_end", turn_id, seq: 1, ...failed });
  await rest();
  mock.timers.tick(200);
  await rest();
  for (let block = 0; block < 4; block += 1) FakeAudioContext.last.passes(0.3);
  const chunks = socket.ofType("audio_chunk").filter(({ turn_id: id }) => id === next.id);
  assert.ok(chunks.length > 0);
});
