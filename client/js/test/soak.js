/**
 * A long conversation in little time, to see whether the client's memory stays flat:
 *
 *     node --expose-gc test/soak.js [turns] [measure every so many turns] [keep]
 *
 * The conversation, the player and what runs on its audio thread are the real ones; the server
 * and the sound card are here, and have no clock, so an hour takes seconds. Every third turn is
 * spoken, every seventh is interrupted, every tenth loses its connection in the middle. Prints
 * a line of JSON for each measurement: `{turns, minutes, bytes}`, with the minutes that were
 * spoken by both sides, and the bytes that live after garbage collection; without compiled code,
 * of which V8 makes more for as long as it learns. `keep` holds on to
 * every turn, as a client that leaks would.
 */
import { getHeapSpaceStatistics } from "node:v8";

import { toBase64 } from "../base64.js";
import { Conversation } from "../conversation.js";
import { Player } from "../player.js";
import { READY, settled } from "./fakes.js";

const [TURNS = 2_000, EVERY = 200] = process.argv.slice(2, 4).map(Number);
const KEEPS = process.argv[4] === "keep";
const RATE_HZ = 24_000;
const CHUNK_MS = 100;
const REPLY_CHUNKS = 40;
const SPOKEN_CHUNKS = 20;
const REPLY_AUDIO = toBase64(new Uint8Array((2 * RATE_HZ * CHUNK_MS) / 1000).fill(1));
const SPEECH = new Uint8Array((2 * 16_000 * CHUNK_MS) / 1000).fill(1);
const ENDLESS = "Talk on.";
const LOST = "Speak as the line breaks.";
const CLOSED = 3;

/** Answers everything at once; of a reply to `LOST` it gives half, and the connection is gone. */
class ScriptedSocket {
  static lost = "";
  readyState = 1;
  onopen = () => {};
  /** @param {{data: string}} _frame */
  onmessage = (_frame) => {};
  /** @param {{code: number}} _event */
  onclose = (_event) => {};

  constructor() {
    setImmediate(() => this.onopen());
  }

  /** @param {string} text */
  send(text) {
    const message = JSON.parse(text);
    setImmediate(() => this.#answer(message));
  }

  close() {
    this.readyState = CLOSED;
  }

  /** @param {Record<string, any>} message */
  #answer(message) {
    const { type, turn_id, text = "" } = message;
    if (type === "init") this.#says({ ...READY, resumed: "session_id" in message });
    else if (type === "user_message" && text === ENDLESS) this.#reply(turn_id, REPLY_CHUNKS);
    else if (type === "user_message" && text === LOST && ScriptedSocket.lost !== turn_id) {
      ScriptedSocket.lost = turn_id;
      this.#reply(turn_id, REPLY_CHUNKS / 2);
      this.close();
      this.onclose({ code: 1006 });
    } else if (type === "user_message" || type === "audio_end") {
      this.#reply(turn_id, REPLY_CHUNKS);
      this.#end(turn_id, "completed");
    } else if (type === "interrupt") this.#end(turn_id, "interrupted");
  }

  /**
   * @param {string} turn_id
   * @param {number} chunks of audio
   */
  #reply(turn_id, chunks) {
    this.#says({ type: "reply_text", turn_id, seq: 1, delta: "So it is." });
    const audio = { type: "audio", turn_id, audio: REPLY_AUDIO, format: `pcm_${RATE_HZ}` };
    for (let seq = 2; seq < chunks + 2; seq += 1) this.#says({ ...audio, seq });
  }

  /**
   * @param {string} turn_id
   * @param {string} reason
   */
  #end(turn_id, reason) {
    const seq = REPLY_CHUNKS + 2;
    this.#says({ type: "turn_end", turn_id, seq, reason, text: "So it is.", metrics: {} });
  }

  /** @param {object} event */
  #says(event) {
    if (this.readyState !== CLOSED) this.onmessage({ data: JSON.stringify(event) });
  }
}

/** A sound card that asks for the next block when it is told to, and throws it away. */
class SilentCard {
  static samples = 0;
  /** @type {{onaudioprocess?: (event: object) => void, connect: () => void} | undefined} */
  static node;
  sampleRate = RATE_HZ;
  state = "running";
  destination = {};

  /** @param {number} size in samples */
  createScriptProcessor(size) {
    SilentCard.block = new Float32Array(size);
    return (SilentCard.node = { connect: () => undefined });
  }

  static block = new Float32Array(0);

  static next() {
    const { block } = this;
    const buffer = { getChannelData: () => block };
    this.node?.onaudioprocess?.({ inputBuffer: buffer, outputBuffer: buffer });
    this.samples += block.length;
  }
}

const microphone = {
  /** @type {(pcm: Uint8Array) => void} */
  hear: () => {},
  /** @param {(pcm: Uint8Array) => void} onChunk */
  async start(onChunk) {
    this.hear = onChunk;
  },
  async stop() {},
};

Object.assign(globalThis, { AudioContext: SilentCard });
const player = new Player();
const conversation = new Conversation("ws://scripted", {
  WebSocket: /** @type {any} */ (ScriptedSocket),
  microphone,
  player,
  random: () => 0,
  stableAfterMs: 0,
});
let spokenChunks = 0;
/** @type {unknown[]} */
const kept = [];

/** @param {number} number */
function begun(number) {
  if (number % 10 === 0) return conversation.say(LOST);
  if (number % 7 === 0) return conversation.say(ENDLESS);
  return number % 3 === 0 ? conversation.startSpeaking() : conversation.say(`Turn ${number}.`);
}

/** @param {number} number */
async function hold(number) {
  const turn = begun(number);
  if (turn.spoken) {
    while (!turn.begun) await settled();
    for (let chunk = 0; chunk < SPOKEN_CHUNKS; chunk += 1) microphone.hear(SPEECH);
    spokenChunks += SPOKEN_CHUNKS;
    await conversation.stopSpeaking();
  }
  if (turn.said === ENDLESS) {
    while (!player.isPlaying(turn.id)) await settled();
    while (player.playedMs < 1_000 || player.turn !== turn.id) {
      SilentCard.next();
      await settled();
    }
    await conversation.interrupt();
  }
  const { reason } = await turn;
  if (reason !== (turn.said === ENDLESS ? "interrupted" : "completed")) {
    throw new Error(`turn ${number} was ${reason}`);
  }
  while (player.state !== "idle") {
    SilentCard.next();
    await settled();
  }
  if (KEEPS) kept.push(turn);
}

async function livingBytes() {
  await settled();
  globalThis.gc?.();
  globalThis.gc?.();
  const spaces = getHeapSpaceStatistics().filter(({ space_name }) => !space_name.includes("code"));
  const living = spaces.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
  return living + process.memoryUsage().arrayBuffers;
}

if (!globalThis.gc) throw new Error("start node with --expose-gc");
await conversation.connect();
for (let number = 1; number <= TURNS; number += 1) {
  await hold(number);
  if (number % EVERY === 0) {
    const seconds = SilentCard.samples / RATE_HZ + (spokenChunks * CHUNK_MS) / 1000;
    const minutes = Math.round(seconds / 6) / 10;
    console.log(JSON.stringify({ turns: number, minutes, bytes: await livingBytes() }));
  }
}
conversation.close();
