import assert from "node:assert/strict";
import { test } from "node:test";

import { fromBase64, toBase64 } from "../base64.js";
import { Conversation } from "../conversation.js";
import { Chunker, CHUNK_SAMPLES } from "../microphone.js";
import { decodePcm, encodePcm, sampleRateOf } from "../pcm.js";
import { Resampler } from "../resampler.js";
import { TurnEvents } from "../turn-events.js";

/**
 * @param {number} hz
 * @param {number} rateHz
 * @param {number} count
 */
function tone(hz, rateHz, count) {
  return Float32Array.from({ length: count }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rateHz));
}

/** @param {Float32Array} samples */
function rms(samples) {
  return Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
}

/**
 * @param {number} from
 * @param {number} to
 * @param {Float32Array} samples
 * @param {number} piece
 */
function resampled(from, to, samples, piece) {
  const resampler = new Resampler(from, to);
  const out = [];
  for (let i = 0; i < samples.length; i += piece) {
    out.push(...resampler.push(samples.subarray(i, i + piece)));
  }
  return Float32Array.from(out);
}

test("base64 survives any length", () => {
  for (const length of [0, 1, 2, 3, 4095, 100_000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31) & 255);
    assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  }
});

test("PCM survives the way there and back, and clips", () => {
  const samples = Float32Array.from([0, 0.5, -0.5, 1, -1, 2, -2]);
  const back = decodePcm(encodePcm(samples));
  samples.forEach((sample, i) => {
    const clipped = Math.max(-1, Math.min(1, sample));
    assert.ok(Math.abs((back[i] ?? 9) - clipped) < 1e-4);
  });
  assert.equal(sampleRateOf("pcm_24000"), 24_000);
});

for (const from of [44_100, 48_000, 16_000, 8_000]) {
  test(`a tone in the passband keeps its level from ${from} Hz`, () => {
    const out = resampled(from, 16_000, tone(1_000, from, from), 1024);
    assert.ok(Math.abs(out.length - 16_000) < 60, `${out.length} samples`);
    assert.ok(Math.abs(rms(out.subarray(200, -200)) - Math.SQRT1_2) < 0.01);
  });
}

test("what lies above half the new rate does not fold back", () => {
  const out = resampled(48_000, 16_000, tone(11_000, 48_000, 48_000), 1024);
  assert.ok(rms(out.subarray(200, -200)) < 0.01);
});

test("the size of the pieces makes no difference", () => {
  const input = tone(440, 44_100, 20_000);
  const whole = resampled(44_100, 16_000, input, 20_000);
  const small = resampled(44_100, 16_000, input, 128);
  assert.equal(small.length, whole.length);
  whole.forEach((sample, i) => assert.ok(Math.abs(sample - (small[i] ?? 9)) < 1e-5));
});

test("chunks are 100 ms, and nothing is lost at the end", () => {
  /** @type {Uint8Array[]} */
  const chunks = [];
  const chunker = new Chunker((pcm) => chunks.push(pcm));
  chunker.push(new Float32Array(CHUNK_SAMPLES * 2 + 7));
  chunker.flush();
  assert.deepEqual(
    chunks.map((chunk) => chunk.length),
    [3200, 3200, 14],
  );
});

test("events of a turn come in order, once", () => {
  const turn = new TurnEvents();
  /** @param {number} seq */
  const event = (seq) => /** @type {const} */ ({ type: "reply_text", turn_id: "t", seq, delta: "" });
  const delivered = [3, 1, 1, 2, 3, 5, 4].flatMap((seq) => turn.take(event(seq)));
  assert.deepEqual(
    delivered.map((e) => ("seq" in e ? e.seq : 0)),
    [1, 2, 3, 4, 5],
  );
});

class Socket {
  /** @type {Socket | undefined} */
  static last;
  readyState = 1;
  /** @type {Record<string, unknown>[]} */
  sent = [];
  /** @type {(() => void) | undefined} */
  onopen;
  /** @type {((frame: {data: string}) => void) | undefined} */
  onmessage;
  /** @type {(() => void) | undefined} */
  onclose;
  constructor() {
    Socket.last = this;
  }
  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
    this.onclose?.();
  }
}

async function connected() {
  const conversation = new Conversation("ws://test", {
    WebSocket: /** @type {typeof WebSocket} */ (/** @type {unknown} */ (Socket)),
  });
  const connecting = conversation.connect();
  const socket = /** @type {Socket} */ (Socket.last);
  socket.onopen?.();
  assert.deepEqual(socket.sent[0], { type: "init", protocol: 1, settings: {} });
  socket.onmessage?.({ data: JSON.stringify({ type: "ready", session_id: "s", settings: {} }) });
  await connecting;
  return { conversation, socket };
}

test("a conversation is ready after init and ready", async () => {
  const { conversation, socket } = await connected();
  assert.equal(conversation.state, "ready");
  assert.equal(conversation.sessionId, "s");
  socket.close();
  assert.equal(conversation.state, "closed");
});

test("a spoken turn numbers its chunks and says how many there were", async () => {
  const { conversation, socket } = await connected();
  const turn = conversation.startSpeech();
  turn.chunk(new Uint8Array(2));
  turn.chunk(new Uint8Array(2));
  turn.end();
  assert.deepEqual(
    socket.sent.slice(1).map((m) => [m["type"], m["seq"] ?? m["chunks"] ?? null]),
    [
      ["audio_start", null],
      ["audio_chunk", 1],
      ["audio_chunk", 2],
      ["audio_end", 2],
    ],
  );
  socket.close();
});

test("an error before ready is the reason why connecting failed", async () => {
  const conversation = new Conversation("ws://test", {
    WebSocket: /** @type {typeof WebSocket} */ (/** @type {unknown} */ (Socket)),
  });
  const connecting = conversation.connect();
  Socket.last?.onmessage?.({
    data: JSON.stringify({ type: "error", code: "internal", message: "No.", retryable: true }),
  });
  await assert.rejects(connecting, { code: "internal", message: "No.", retryable: true });
  Socket.last?.close();
});

test("API Gateway's own error frame becomes an error event", async () => {
  const { conversation, socket } = await connected();
  /** @type {string[]} */
  const seen = [];
  conversation.addEventListener("error", (e) =>
    seen.push(/** @type {CustomEvent} */ (e).detail.message),
  );
  socket.onmessage?.({ data: '{"message": "Internal server error", "connectionId":"x"}' });
  assert.deepEqual(seen, ["Internal server error"]);
  socket.close();
});

test("sending without a connection is an error that says so", () => {
  const conversation = new Conversation("ws://test");
  assert.throws(() => conversation.say("hello"), { code: "not_connected" });
});
