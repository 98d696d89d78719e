/**
 * What the user says, typed or spoken: each becomes a turn, once what is running is silent. It
 * decides when a turn begins and what is sent of it; the conversation does the rest.
 */
import { CHUNK_MS } from "./chunker.js";
import { MAX_SPEECH_S } from "./collected-speech.js";
import { Problem } from "./problem.js";
import { SpeechEnd } from "./speech-end.js";
import { Speech } from "./speech.js";
import { Turn } from "./turn.js";
import { checkText } from "./message-checks.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./conversation-types.js").AudioInput} AudioInput */
/** @typedef {import("./hands-free.js").Detection} Detection */
/** @typedef {{turnId: string, attempt: number, messages: ClientMessage[]}} Failed */

/**
 * @typedef {object} Speaking
 * @property {number} [prerollMs] How much from before belongs to it, if the microphone was open.
 *   Default 300.
 * @property {"manual" | "server_vad"} [endpointing] Who finds the end. `manual`, the default: the
 *   caller of `stopSpeaking`. `server_vad`: speech recognition; the microphone is let go with the
 *   final transcript. The microphone's detector takes its place over HTTP, and where the server's
 *   speech recognition finds no end (`choices.endpointing`).
 * @property {boolean} [pauses] Whether you tell of pauses (`pauseSpeaking`, `resumeSpeaking`), as
 *   hands-free does by itself. The reply may then begin at one. Default false.
 */

/**
 * @typedef {object} Stage what utterances need of the conversation
 * @property {() => Problem | undefined} unable why nothing can be said now
 * @property {() => boolean} isHttp speech recognition hears nothing before the end
 * @property {() => boolean} findsEnds the server's speech recognition notices where speech ends
 * @property {() => import("./speech.js").Coding} coding what the server takes
 * @property {() => boolean} takesPauses a reply may begin where the user pauses
 * @property {() => boolean} isHandsFree the microphone's detector of speech is in use
 * @property {(turnId: string) => Promise<void>} silence interrupt everything that is running; the
 *   turn is about to begin
 * @property {(message: ClientMessage) => void} send throws a `Problem` when there is no room
 * @property {(turn: Turn) => void} begin
 * @property {(turn: Turn) => void} listened
 * @property {(turn: Turn, problem: unknown) => void} refuse the turn cannot be, or not go on
 */

/** Two chunks may be on their way from the microphone. */
const MAX_HTTP_MS = MAX_SPEECH_S * 1000 - 2 * CHUNK_MS;

export class Utterances {
  maxTextChars = 8_000;
  maxChunks = 9_000;
  maxChunkBytes = 20_480;
  /** What is being said right now.
   * @type {Speech | undefined} */
  #speech;
  /** What has been said, the last of which is on its way from the microphone.
   * @type {Speech | undefined} */
  #finishing;
  /** One begins after the other, so that each silences the one before.
   * @type {Promise<void>} */
  #last = Promise.resolve();
  #speechEnd;

  /**
   * @param {Stage} stage
   * @param {AudioInput | (AudioInput & Detection)} [microphone]
   */
  constructor(stage, microphone) {
    this.stage = stage;
    this.microphone = microphone;
    this.#speechEnd = new SpeechEnd(microphone, {
      onEnd: () => void this.finish(),
      onFailed: (problem) => this.#cannotEnd(problem),
      isTaken: () => stage.isHandsFree(),
    });
  }

  /** The turn that is being spoken right now.
   * @returns {Turn | undefined} */
  get turn() {
    return this.#speech?.turn;
  }

  /** Settles when everything that was said has begun, or cannot. */
  get begun() {
    return this.#last;
  }

  /** Whether the user is being listened to, in a turn that has begun. */
  get isListening() {
    return this.#speech?.turn.begun ?? false;
  }

  /**
   * @param {string} text
   * @returns {Turn}
   */
  type(text) {
    const turn = new Turn(newTurnId(), { spoken: false, said: text });
    try {
      const problem = this.stage.unable();
      if (problem) throw problem;
      checkText(text, this.maxTextChars);
      const { id: turn_id, attempt } = turn;
      const message = /** @type {const} */ ({ type: "user_message", turn_id, text, attempt });
      void this.#begin(turn, () => this.#send(turn, [message]));
    } catch (problem) {
      this.stage.refuse(turn, problem);
    }
    return turn;
  }

  /**
   * @param {Failed} failed
   * @returns {Turn} the next attempt
   */
  repeat({ turnId, attempt: before, messages }) {
    const attempt = before + 1;
    const typed = messages.find((message) => message.type === "user_message");
    const turn = new Turn(turnId, { spoken: !typed, said: typed?.text ?? "", attempt });
    void this.#begin(turn, () => {
      this.#send(turn, again(messages, attempt));
      this.#of(turnId)?.goOn(turn, this.stage.send);
    });
    return turn;
  }

  /**
   * @param {Turn} turn
   * @param {ClientMessage[]} messages
   */
  #send(turn, messages) {
    for (const message of messages) this.stage.send(message);
    this.stage.begin(turn);
  }

  /**
   * @param {Turn} turn
   * @param {() => void} begin as soon as it is silent
   */
  #begin(turn, begin) {
    this.#last = this.#last.then(async () => {
      try {
        await this.stage.silence(turn.id);
        const problem = this.stage.unable();
        if (problem) throw problem;
        // What is said now counts, and not what has failed.
        if (this.#speech?.isKept && this.turn?.id !== turn.id) this.#drop(this.#speech);
        begin();
      } catch (problem) {
        this.takeBack(turn.id);
        this.stage.refuse(turn, problem);
      }
    });
    return this.#last;
  }

  /**
   * @param {Required<Speaking>} options
   * @returns {Turn}
   */
  speak(options) {
    if (this.#speech?.isKept) this.#drop(this.#speech);
    if (this.#speech) return this.#speech.turn;
    const turn = new Turn(newTurnId(), { spoken: true });
    const missing = new Problem("microphone_missing", "There is no microphone.");
    const problem = this.stage.unable() ?? (this.microphone ? undefined : missing);
    if (problem) this.stage.refuse(turn, problem);
    else void this.#listen(turn, options);
    return turn;
  }

  /**
   * @param {Turn} turn
   * @param {Required<Speaking>} options
   */
  async #listen(turn, { prerollMs, endpointing, pauses }) {
    const { stage, microphone } = this;
    const send = (/** @type {ClientMessage} */ message) => stage.send(message);
    const speech = (this.#speech = new Speech(turn, endpointing, pauses, send));
    speech.maxChunkBytes = this.maxChunkBytes;
    try {
      // Listening starts at once; the old reply falls silent meanwhile.
      const hear = (/** @type {Uint8Array} */ pcm) => this.#hear(speech, pcm);
      await Promise.all([
        microphone?.start(hear, { prerollMs, endpointing }).then(() => this.#opened(speech)),
        stage.silence(turn.id),
      ]);
    } catch (problem) {
      // The turn has been told when it was given up.
      if (speech.over) return;
      this.#drop(speech);
      stage.refuse(turn, problem);
      return;
    }
    if (speech.over) return;
    await this.#begin(turn, () => {
      if (speech.over) return;
      stage.begin(turn);
      speech.start(stage.findsEnds(), stage.coding(), stage.takesPauses());
      this.look();
    });
  }

  /** @param {Speech} speech for which the microphone has opened */
  #opened(speech) {
    speech.isOpen = true;
    // It could not be kept from opening, for nobody.
    if (speech.over && !this.#speech) void this.microphone?.stop();
  }

  /** The user pauses. */
  pause() {
    // All that was said has to be there when the server is told.
    this.microphone?.flush?.();
    this.#tell((speech) => speech.pause());
  }

  /** The user goes on after a pause. */
  resume() {
    this.#tell((speech) => speech.resume());
  }

  /** @param {(speech: Speech) => void} tell */
  #tell(tell) {
    const speech = this.#speech;
    if (!speech) return;
    try {
      tell(speech);
    } catch (problem) {
      this.#drop(speech);
      this.stage.refuse(speech.turn, problem);
    }
  }

  /** The user has finished speaking. */
  async finish() {
    const speech = this.#speech;
    if (!speech) return;
    if (!speech.started) {
      this.#drop(speech);
      speech.turn.cancel();
      return;
    }
    this.#speech = undefined;
    this.#finishing = speech;
    speech.isFinished = true;
    this.look();
    await this.microphone?.stop();
    if (this.#finishing === speech) this.#finishing = undefined;
    if (!speech.over) this.#end(speech);
  }

  /** @param {Speech} speech all of which has been handed over */
  #end(speech) {
    if (this.#speech === speech) this.#speech = undefined;
    try {
      speech.end();
      this.stage.listened(speech.turn);
    } catch (problem) {
      this.stage.refuse(speech.turn, problem);
    }
  }

  /**
   * The final transcript has come: who left the end to the server has finished.
   * @param {string} turnId
   */
  understood(turnId) {
    const speech = this.#speech;
    if (speech?.turn.id !== turnId || speech.endpointing !== "server_vad") return;
    // The server needs no end; but the turn may yet move to HTTP, where nothing is heard before.
    this.#end(speech);
    this.#leave(speech);
  }

  /**
   * Take back what is being said.
   * @param {string} [turnId] if it is this
   */
  takeBack(turnId = this.#speech?.turn.id) {
    const speech = this.#of(turnId);
    if (speech) this.#drop(speech);
  }

  /** Nobody is there any more who could be listened to. */
  abandon() {
    const speech = this.#speech;
    if (!speech) return;
    this.#drop(speech);
    if (speech.turn.begun) return;
    const problem = this.stage.unable();
    if (problem) speech.turn.fail(problem);
    else speech.turn.cancel();
  }

  /** The microphone hears nothing for now, so speech recognition will not find an end. */
  endUnheard() {
    if (this.#speech?.endpointing === "server_vad") void this.finish();
  }

  /**
   * A turn has failed, perhaps while it is spoken. Then the user is listened to until the end, so
   * that all of it can be tried again; nobody else would find that end with `server_vad`.
   * @param {string} turnId
   * @param {ClientMessage[]} messages what was said in it; the rest is added
   */
  keep(turnId, messages) {
    const speech = this.#of(turnId);
    speech?.keep(messages);
    if (this.#speech === speech && speech?.endpointing === "server_vad") void this.finish();
  }

  /** What is still listened to of a turn that has failed is finished. */
  finishKept() {
    if (this.#speech?.isKept) void this.finish();
  }

  /** @param {string | undefined} turnId */
  #of(turnId) {
    return [this.#speech, this.#finishing].find((speech) => speech?.turn.id === turnId);
  }

  /**
   * @param {Speech} speech
   * @param {Uint8Array} pcm
   */
  #hear(speech, pcm) {
    try {
      speech.add(pcm);
      const isTooLong = this.stage.isHttp() && speech.heardMs >= MAX_HTTP_MS;
      if (isTooLong || speech.chunks >= this.maxChunks) void this.finish();
    } catch (problem) {
      this.#drop(speech);
      this.stage.refuse(speech.turn, problem);
    }
  }

  /** @param {Speech} speech nothing more is sent of it */
  #drop(speech) {
    // What has been kept of it can be tried again, so it has an end.
    if (speech.isKept) this.#end(speech);
    speech.cancel();
    this.#leave(speech);
  }

  /** @param {Speech} speech that is listened to no longer */
  #leave(speech) {
    if (this.#speech === speech) this.#speech = undefined;
    if (this.#finishing === speech) this.#finishing = undefined;
    this.look();
    // The microphone may be open for what was begun after this was finished.
    if (speech.isFinished) return;
    if (speech.isOpen) void this.microphone?.stop();
    else this.microphone?.withdraw?.();
  }

  /** See who finds the end of what is spoken now: what messages go over may have changed. */
  look() {
    const { started, endpointing } = this.#speech ?? {};
    const isOurs = started === true && endpointing === "server_vad";
    this.#speechEnd.attend(isOurs && (this.stage.isHttp() || !this.stage.findsEnds()));
  }

  /** @param {unknown} problem why the end of what is spoken cannot be noticed */
  #cannotEnd(problem) {
    const speech = this.#speech;
    if (!speech) return;
    this.#drop(speech);
    this.stage.refuse(speech.turn, problem);
  }
}

let turnsBegun = 0;

/**
 * Unique within a session, and sorts after those before it: of two turns that arrive in the same
 * millisecond, the server takes the one that sorts last for the newer.
 */
function newTurnId() {
  const random = crypto.getRandomValues(new Uint32Array(2));
  turnsBegun += 1;
  const parts = [Date.now().toString(16).padStart(12, "0"), turnsBegun, ...random];
  return `t-${parts.map((part) => part.toString(16).padStart(8, "0")).join("")}`;
}

/**
 * What was said in a turn, as another attempt at it.
 * @param {ClientMessage[]} messages
 * @param {number} attempt
 */
function again(messages, attempt) {
  const isFirst = (/** @type {ClientMessage} */ { type }) =>
    type === "user_message" || type === "audio_start";
  return messages
    .filter((message) => message.type !== "interrupt")
    .map((message) => (isFirst(message) ? { ...message, attempt } : message));
}
