/** A conversation with a scripted socket, microphone, player and network, as most tests need one. */
import { mock } from "node:test";

import { Conversation } from "../conversation.js";
import { FakeMicrophone, FakePlayer, FakePresence, FakeSocket, SocketClass, settled } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */
/** @typedef {import("../conversation.js").ConversationOptions} Options */

/**
 * One that is connecting, and closed when the test is over.
 * @param {Context} t
 * @param {Options} [options]
 * @param {string | (() => string)} [url]
 */
export function begun(t, options = {}, url = "ws://test") {
  FakeSocket.all = [];
  const presence = new FakePresence();
  const microphone = new FakeMicrophone();
  const player = new FakePlayer();
  const conversation = new Conversation(url, {
    WebSocket: SocketClass,
    presence,
    microphone,
    player,
    random: () => 1,
    ...options,
  });
  /** @type {import("../reconnector.js").StateChange[]} */
  const changes = [];
  conversation.on("state", (change) => changes.push(change));
  const connecting = conversation.connect();
  connecting.catch(() => undefined);
  t.after(() => conversation.close());
  return { conversation, presence, microphone, player, changes, connecting };
}

/**
 * One that is ready.
 * @param {Context} t
 * @param {Options} [options]
 */
export async function connected(t, options = {}) {
  const made = begun(t, options);
  await settled();
  await ready();
  await made.connecting;
  return { ...made, socket: FakeSocket.last };
}

/** @param {Record<string, unknown>} [more] that the server's `ready` says */
export async function ready(more) {
  FakeSocket.last.becomesReady(more);
  await settled();
}

/** The newest socket ends, before it was ready. */
export async function refused() {
  FakeSocket.last.ends(1006);
  await settled();
}

/**
 * Time passes; for tests whose timers are mocked.
 * @param {number} ms
 */
export async function after(ms) {
  // A timer that a timer sets counts from the end of the tick.
  for (let left = ms; left > 0; left -= 1_000) mock.timers.tick(Math.min(1_000, left));
  await settled();
}

/**
 * A typed turn that has been sent.
 * @param {Conversation} conversation
 */
export async function said(conversation, text = "hello") {
  const turn = conversation.say(text);
  await settled();
  return { turn }; // by itself it would be awaited
}

/**
 * A spoken turn that has been announced.
 * @param {Conversation} conversation
 * @param {FakeMicrophone} microphone
 * @param {import("../utterances.js").Speaking} [options]
 */
export async function speaking(conversation, microphone, options) {
  const turn = conversation.startSpeaking(options);
  microphone.open();
  await settled();
  return { turn };
}

/**
 * The last event of a turn.
 * @param {string} turn_id
 * @param {number} seq
 * @param {Record<string, unknown>} [more]
 */
export function turnEnd(turn_id, seq, more) {
  return { type: "turn_end", turn_id, seq, reason: "completed", text: "", metrics: {}, ...more };
}
