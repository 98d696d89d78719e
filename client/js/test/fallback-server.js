/**
 * An API on real sockets, over WebSocket and over HTTP, whose WebSockets can be blocked. Resume
 * tokens rotate as the server's do: the one that was shown stays good until the next is shown.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";

import { WebSocket, WebSocketServer } from "ws";

import { Conversation } from "../conversation.js";
import { FakeMicrophone, FakePlayer, FakePresence } from "./fakes.js";

/** @typedef {import("node:test").TestContext} Context */
/** @typedef {Record<string, any>} Fields */
/** @typedef {{path: string, body: Fields, token: string | undefined}} Asked */
/** @typedef {{status: number, body: Fields, headers?: Record<string, string>}} Answer */
/** How an upgrade is met: `reset` and `hang` are networks', `refuse` is a proxy's 403; `swallow`
 * opens, and nothing gets through; `busy` answers with an error; a number is the server's own status.
 * @typedef {"reset" | "refuse" | "hang" | "swallow" | "busy" | "open" | number} Upgrades */

const BUSY = JSON.stringify({ type: "error", code: "internal", message: "Busy.", retryable: true });

/** As a browser's: an error that nobody listens to is no exception. */
class QuietSocket extends WebSocket {
  /**
   * @param {string} url
   * @param {string[]} [protocols]
   */
  constructor(url, protocols) {
    super(url, protocols);
    this.on("error", () => undefined);
  }
}

export class Api {
  /** @type {Upgrades} */
  upgrades = "open";
  handshakes = 0;
  /** What every handshake and every request has shown, in order.
   * @type {string[]} */
  tokens = [];
  /** Every HTTP request, in order.
   * @type {Asked[]} */
  asked = [];
  /** Every message over WebSockets, in order.
   * @type {Fields[]} */
  said = [];
  /** Which turns have run, in order. @type {string[]} */
  ran = [];
  /** What is done instead of answering, once each; `lose` runs the turn and answers nobody.
   * @type {("lose" | Answer)[]} */
  instead = [];
  /** What every request is answered with.
   * @type {Answer | undefined} */
  refusal;
  /** Whether speech over a WebSocket is understood at its first chunk, and then nothing comes. */
  understands = false;
  /** Who may find the end of an utterance.
   * @type {import("../messages.js").Endpointing[] | undefined} */
  endpointing;
  /** How speech may be coded.
   * @type {import("../messages.js").SpeechFormat[] | undefined} */
  speechFormats;
  /** Turns wait for this. @type {Promise<unknown>} */
  gate = Promise.resolve();
  /** @type {{latest: string, shown: string} | undefined} */
  #tokens;
  #tokensMade = 0;
  /** @type {Map<string, Fields[]>} */
  #answers = new Map();
  #http = createServer((request, response) => void this.#answer(request, response));
  /** As API Gateway, it answers what is no handshake. */
  #ws = createServer((_request, response) => response.writeHead(426).end());
  #sockets = new WebSocketServer({ noServer: true });
  /** @type {Set<import("node:stream").Duplex>} */
  #hanging = new Set();

  constructor() {
    this.#ws.on("upgrade", (request, socket, head) => {
      this.handshakes += 1;
      socket.on("error", () => undefined); // a client may reset what was refused: nobody else listens
      const [, token] = (request.headers["sec-websocket-protocol"] ?? "").split(",");
      if (token) this.tokens.push(token);
      const { upgrades } = this;
      if (upgrades === "reset") socket.destroy();
      else if (upgrades === "hang") this.#hanging.add(socket);
      else if (upgrades === "refuse") refuse(socket, 403);
      else if (typeof upgrades === "number") refuse(socket, upgrades);
      else {
        this.#sockets.handleUpgrade(request, socket, head, (opened) => {
          if (upgrades === "open") this.#serve(opened);
          else if (upgrades === "busy") opened.once("message", () => opened.send(BUSY));
        });
      }
    });
  }

  /** @param {Context} t */
  static async running(t) {
    const api = new Api();
    for (const server of [api.#http, api.#ws]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    t.after(() => {
      for (const socket of [...api.#sockets.clients]) socket.terminate();
      for (const socket of api.#hanging) socket.destroy();
      for (const server of [api.#http, api.#ws]) {
        server.closeAllConnections();
        server.close();
      }
    });
    return api;
  }

  get url() {
    return `ws://127.0.0.1:${portOf(this.#ws)}`;
  }

  get httpUrl() {
    return `http://127.0.0.1:${portOf(this.#http)}`;
  }

  /** The WebSockets that are open break, and upgrades are met like this from now on.
   * @param {Upgrades} upgrades */
  block(upgrades) {
    this.upgrades = upgrades;
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  /** @param {string} path */
  of(path) {
    return this.asked.filter((asked) => asked.path === path).map(({ body }) => body);
  }

  /** The history's texts. */
  get history() {
    return this.ran.map((turn_id) => ({ role: "user", text: `said in ${turn_id}`, turn_id }));
  }

  /** @param {string | undefined} shown whether it is good; it is the shown one from now on */
  #shows(shown) {
    const tokens = this.#tokens;
    return tokens !== undefined && (shown === tokens.latest || shown === tokens.shown);
  }

  /** @param {string} shown */
  #rotated(shown = "") {
    this.#tokensMade += 1;
    this.#tokens = { latest: `token-${this.#tokensMade}`, shown };
    return this.#tokens.latest;
  }

  /**
   * @param {import("node:http").IncomingMessage} request
   * @param {import("node:http").ServerResponse} response
   */
  async #answer(request, response) {
    let text = "";
    for await (const piece of request) text += String(piece);
    const { authorization } = request.headers;
    const path = request.url ?? "";
    const body = text ? JSON.parse(text) : { resume_token: request.headers["x-resume-token"] };
    this.asked.push({ path, body, token: authorization });
    if (authorization) this.tokens.push(authorization.replace("Bearer ", ""));
    if (this.refusal) return reply(response, this.refusal);
    const instead = path === "/turns" ? this.instead.shift() : undefined;
    if (instead && instead !== "lose") return reply(response, instead);
    const answer = await this.#answerTo(path, body);
    if (instead === "lose") response.destroy();
    else reply(response, answer);
  }

  /**
   * @param {string} path
   * @param {Fields} body
   * @returns {Promise<Answer>}
   */
  async #answerTo(path, body) {
    if (path === "/sessions") {
      const opened = { session_id: "s", resume_token: this.#rotated(), settings: { speed: 1 } };
      return { status: 201, body: opened };
    }
    if (!this.#shows(body["resume_token"])) return problem(403, "resume_denied");
    if (path === "/sessions/s") {
      return { status: 200, body: { id: "s", status: "active", messages: this.history } };
    }
    if (path !== "/turns") {
      const turnId = path.split("/")[4] ?? "";
      const state = this.ran.includes(turnId) ? "ended" : "pending";
      return { status: 200, body: { turn_id: turnId, state } };
    }
    const turnId = body["turn_id"];
    const said = body["text"] ?? `${body["audio"].length} of base64`;
    const events = this.#run(turnId, said, body["attempt"]);
    await this.gate;
    const resume_token = this.#rotated(body["resume_token"]);
    return { status: 200, body: { session_id: "s", turn_id: turnId, resume_token, events } };
  }

  /**
   * @param {string} turn_id
   * @param {string} said
   * @param {number} [attempt]
   */
  #run(turn_id, said, attempt = 1) {
    const known = this.#answers.get(turn_id);
    if (known) return known;
    this.ran.push(turn_id);
    const text = `You said: ${said}`;
    const audio = { audio: "AAAA", format: "pcm_24000", start_ms: 0, duration_ms: 1 };
    const about = { turn_id, ...(attempt > 1 && { attempt }) };
    const events = [
      { type: "transcript", ...about, seq: 1, text: said, final: true },
      { type: "reply_text", ...about, seq: 2, delta: text },
      { type: "audio", ...about, seq: 3, ...audio },
      { type: "turn_end", ...about, seq: 4, reason: "completed", text, metrics: {} },
    ];
    this.#answers.set(turn_id, events);
    return events;
  }

  /** @param {WebSocket} socket */
  #serve(socket) {
    const say = (/** @type {Fields} */ event) => socket.send(JSON.stringify(event));
    socket.on("message", (data) => {
      const message = JSON.parse(String(data));
      this.said.push(message);
      if (message.type === "init") say(this.#ready(message));
      else if (message.type === "ping") say({ type: "pong", sent_at: 0 });
      else if (message.type === "user_message") {
        for (const event of this.#run(message.turn_id, message.text)) say(event);
      } else if (message.type === "audio_chunk" && this.understands) {
        say({ type: "transcript", turn_id: message.turn_id, seq: 1, text: "Hm.", final: true });
      }
    });
  }

  /** @param {Fields} init */
  #ready({ session_id, resume_token: shown }) {
    const isBack = session_id !== undefined;
    if (isBack && !this.#shows(shown)) {
      const message = "The resume token is not the session's latest.";
      return { type: "error", code: "resume_denied", message, retryable: false };
    }
    const resume_token = this.#rotated(shown);
    const session = { session_id: "s", resume_token, resumed: isBack };
    const history = isBack ? this.history : [];
    const speech = { endpointing: this.endpointing, speech_formats: this.speechFormats };
    const choices = { settings: [], voices: [], languages: [], ...speech };
    const rest = { settings: { speed: 1 }, limits: {}, choices, history };
    return { type: "ready", protocol: 1, ...session, ...rest };
  }
}

/**
 * A problem document, as an answer.
 * @param {number} status
 * @param {string} code
 * @param {Fields} [more]
 * @returns {Answer}
 */
export function problem(status, code, more) {
  const body = { title: "", status, code, detail: `It is ${code}.`, retryable: false, ...more };
  return { status, body, headers: { "Content-Type": "application/problem+json" } };
}

/**
 * A conversation with it, that is connecting.
 * @param {Context} t
 * @param {Api} api
 * @param {import("../conversation.js").ConversationOptions} [options]
 */
export function conversing(t, api, options = {}) {
  const presence = new FakePresence();
  const microphone = new FakeMicrophone();
  const player = new FakePlayer();
  const conversation = new Conversation(api.url, {
    WebSocket: /** @type {typeof globalThis.WebSocket} */ (/** @type {unknown} */ (QuietSocket)),
    httpUrl: api.httpUrl,
    baseDelayMs: 1,
    presence,
    microphone,
    player,
    ...options,
  });
  t.after(() => conversation.close());
  const connecting = conversation.connect();
  connecting.catch(() => undefined);
  return { conversation, presence, microphone, player, connecting };
}

/**
 * A conversation over HTTP, because WebSockets are blocked.
 * @param {Context} t
 * @param {import("../conversation.js").ConversationOptions} [options]
 */
export async function overHttp(t, options) {
  const api = await Api.running(t);
  api.upgrades = "reset";
  const made = conversing(t, api, options);
  await made.connecting;
  assert.equal(made.conversation.transport, "http");
  return { api, ...made };
}

/**
 * The next time that it is told so.
 * @template {keyof import("../conversation.js").Events & string} Name
 * @param {Conversation} conversation
 * @param {Name} name
 * @param {(detail: import("../conversation.js").Events[Name]) => boolean} [isIt]
 */
export function told(conversation, name, isIt = () => true) {
  /** @type {Promise<import("../conversation.js").Events[Name]>} */
  const happened = new Promise((resolve) => {
    const stop = conversation.on(name, (detail) => {
      if (!isIt(detail)) return;
      stop();
      resolve(detail);
    });
  });
  return happened;
}

/**
 * @param {import("node:http").ServerResponse} response
 * @param {Answer} answer
 */
function reply(response, { status, body, headers }) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

/**
 * @param {import("node:stream").Duplex} socket that asks for an upgrade
 * @param {number} status
 */
function refuse(socket, status) {
  socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
}

/** @param {import("node:http").Server} server */
function portOf(server) {
  return /** @type {import("node:net").AddressInfo} */ (server.address()).port;
}
