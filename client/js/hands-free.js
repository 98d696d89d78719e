/**
 * Hands-free: decides what a sound is. Speech begins a turn, silence ends it. While a reply is
 * running, speech first pauses it; what goes on interrupts it, what does not was a cough, and
 * the reply goes on by itself.
 */

/** @typedef {import("./capture.js").VoiceSettings} VoiceSettings */
/** @typedef {import("./capture.js").Voice} Voice */

/**
 * @typedef {object} HandsFreeSettings
 * @property {number} [sensitivity] From 0 (only loud speech) to 1 (whispers, and noise). Default 0.5.
 * @property {number} [startMs] How much speech begins a turn. Default 90.
 * @property {number} [endMs] How much silence ends it. Default 700.
 * @property {number} [interruptMs] How much speech interrupts a reply. Default 450.
 * @property {number} [prerollMs] How much from before the speech was noticed belongs to the turn.
 *   Default 500: in a loud room a short first word may not be noticed by itself.
 * @property {number} [echoDb] How much louder speech must be while a reply is heard. Default 6.
 */

/**
 * @typedef {object} Detection A `Microphone`, or what notices speech like one.
 * @property {(settings: VoiceSettings) => Promise<void>} watch
 * @property {() => Promise<void>} unwatch
 * @property {(extraDb: number) => Promise<void>} expectEcho
 * @property {(name: "speech", listener: (speech: {voice: Voice}) => void) => () => void} on
 */

/**
 * @typedef {object} Parts
 * @property {{readonly canInterrupt: boolean, readonly canSpeak: boolean,
 *   startSpeaking: (options: {prerollMs: number, pauses: boolean}) => unknown,
 *   pauseSpeaking?: () => void, resumeSpeaking?: () => void,
 *   stopSpeaking: () => Promise<void>}} conversation
 * @property {Detection} detection
 * @property {{pause?: () => void, resume?: () => void,
 *   on?: (name: "state", listener: (state: string) => void) => () => void}} [player]
 */

/** So much quiet is a pause: words are closer to each other. */
export const PAUSE_MS = 200;
export const DEFAULTS = {
  sensitivity: 0.5,
  startMs: 90,
  endMs: 700,
  interruptMs: 450,
  prerollMs: 500,
  echoDb: 6,
};

export class HandsFree {
  /** @type {(speaking: boolean) => void} */
  onSpeaking = () => undefined;
  /** Speech during a reply, that may turn out to be a cough.
   * @type {ReturnType<typeof setTimeout> | undefined} */
  #doubt;
  #speaking = false;
  /** @type {() => void} */
  #unlisten = () => undefined;

  /**
   * @param {Parts} parts
   * @param {HandsFreeSettings} [settings]
   */
  constructor(parts, settings = {}) {
    this.parts = parts;
    this.settings = { ...DEFAULTS, ...settings };
  }

  /** @throws {import("./problem.js").Problem} why there is no microphone */
  async start() {
    const { detection, player } = this.parts;
    const { sensitivity, startMs, endMs, echoDb } = this.settings;
    const stops = [
      detection.on("speech", ({ voice }) => this.#heard(voice)),
      player?.on?.("state", (state) => {
        void detection.expectEcho(state === "playing" ? echoDb : 0);
      }),
    ];
    this.#unlisten = () => stops.forEach((stop) => stop?.());
    try {
      await detection.watch({ sensitivity, startMs, endMs, pauseMs: PAUSE_MS });
    } catch (problem) {
      this.#unlisten();
      throw problem;
    }
  }

  /** What is being said is finished. */
  async stop() {
    this.#unlisten();
    this.#heard("silent");
    await this.parts.detection.unwatch();
  }

  /** The microphone has gone deaf: the end of the speech cannot be waited for. */
  endUnheard() {
    this.#heard("silent");
  }

  /** It is not wanted any more, and waits for the microphone. */
  async withdraw() {
    this.#unlisten();
    await this.parts.detection.unwatch();
  }

  /** @param {Voice} voice */
  #heard(voice) {
    const { conversation } = this.parts;
    if (this.#speaking && voice === "speaking") conversation.resumeSpeaking?.();
    if (this.#speaking && voice === "pausing") conversation.pauseSpeaking?.();
    if (voice === "speaking") this.#began();
    else if (this.#doubt !== undefined) this.#goOn();
    else if (voice === "silent" && this.#speaking) this.#ceased();
  }

  #began() {
    const { conversation, player } = this.parts;
    if (this.#speaking || this.#doubt !== undefined || !conversation.canSpeak) return;
    if (!conversation.canInterrupt) {
      this.#speak(0);
      return;
    }
    player?.pause?.();
    const { interruptMs, startMs } = this.settings;
    // That it has ended is known only after a pause. The reply is silent meanwhile.
    const doubtMs = Math.max(0, interruptMs - startMs) + PAUSE_MS;
    this.#doubt = setTimeout(() => {
      this.#doubt = undefined;
      // What the turn would interrupt may have ended unheard: then nothing else ends the pause.
      if (!conversation.canInterrupt) player?.resume?.();
      this.#speak(doubtMs);
    }, doubtMs);
  }

  #ceased() {
    this.#speaking = false;
    this.onSpeaking(false);
    void this.parts.conversation.stopSpeaking();
  }

  /** @param {number} sinceMs how long ago the speech was noticed */
  #speak(sinceMs) {
    const { startMs, prerollMs } = this.settings;
    this.#speaking = true;
    this.onSpeaking(true);
    this.parts.conversation.startSpeaking({
      prerollMs: sinceMs + startMs + prerollMs,
      pauses: true,
    });
  }

  /** It was a cough. */
  #goOn() {
    clearTimeout(this.#doubt);
    this.#doubt = undefined;
    this.parts.player?.resume?.();
  }
}
