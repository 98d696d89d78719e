/**
 * Plays replies: gapless from chunk to chunk, silent at once when told to, and exact about how
 * much of a turn has been played.
 *
 * Browsers let a page make sound only after a gesture. Until then the state is `blocked` and
 * what is to be played waits; `unlock()`, called from a gesture, lets it be heard.
 */
import { audioThreadNode } from "./audio-thread.js";
import { Emitter } from "./emitter.js";
import { decodePcm } from "./pcm.js";
import { Playback } from "./playback.js";
import { Problem } from "./problem.js";
import { Resampler } from "./resampler.js";

/** @typedef {"idle" | "playing" | "paused" | "blocked"} PlayerState What a player does. */
/** @typedef {import("./audio-thread.js").AudioThreadNode} AudioThreadNode */

/**
 * @typedef {object} Report what the worklet says, every 20 ms and when something changes
 * @property {string} turn
 * @property {number} played samples of that turn
 * @property {number} level the loudest sample since the last report
 * @property {number} gaps
 * @property {number} [flushed]
 */

/** The rate of the replies by default; others are converted. */
const RATE_HZ = 24_000;
/** A worklet answers within a block; a context that does not run may not answer at all. */
const FLUSH_TIMEOUT_MS = 100;
/** How many silenced turns are remembered: of older ones nothing comes any more. */
const SILENCED_KEPT = 100;

/**
 * @typedef {object} PlayerEvents
 * @property {PlayerState} state The state has changed. `blocked`: call `unlock` in a gesture.
 * @property {Problem} error `player_failed`: there will be no sound.
 * @property {Problem} warning `worklet_missing`: sound is processed in the page.
 * @property {{turnId: string, playedMs: number, level: number}} progress About every 20 ms.
 */

/** @extends {Emitter<PlayerEvents>} */
export class Player extends Emitter {
  /** `blocked`: the browser allows no sound before a gesture; call `unlock` in one.
   * @type {PlayerState} */
  state = "idle";
  /** The turn that was played last, or is being played. */
  turn = "";
  /** How much of that turn's audio has been played. */
  playedMs = 0;
  /** The loudest sample of the last 20 ms, from 0 to 1. */
  level = 0;
  /** How often a reply paused because its audio came late. */
  gaps = 0;
  /** Whether nothing is heard, because the user wants it so; it counts as played all the same. */
  isMuted = false;
  /** Where it sounds, as `enumerateDevices` names it; empty for the system's choice. */
  deviceId = "";
  /** @type {AudioContext | undefined} */
  #context;
  /** Settles with nothing where there can be no sound.
   * @type {Promise<AudioThreadNode | undefined> | undefined} */
  #opening;
  #hasFailed = false;
  /** Whether this context has been allowed to sound. */
  #hasRun = false;
  /** @type {{turn: string, rateHz: number, resampler: Resampler} | undefined} */
  #converting;
  /** The newest turn's audio: how many samples of it have been queued in all, how many chunks are
   * yet to be, and whether everything so far has been heard. It is void when the turn begins again.
   * @type {{turn: string, samples: number, waiting: number, isOver: boolean, isVoid: boolean} |
   *   undefined} */
  #queued;
  /** @type {Set<string>} */
  #silenced = new Set();
  /** @type {Map<number, (report: Report | undefined) => void>} */
  #flushes = new Map();
  #flushCount = 0;
  #paused = false;

  /** @param {URL} [worklet] where `player-worklet.js` is */
  constructor(worklet = new URL("./player-worklet.js", import.meta.url)) {
    super();
    /** @internal */
    this.worklet = worklet;
  }

  /** Make sound possible. Call it from a user's gesture; it does not wait for anything. */
  unlock() {
    // Replies do not try again by themselves: each of their chunks would fail anew.
    if (this.#hasFailed) this.#opening = undefined;
    void this.#open();
    const context = this.#context;
    // Settles only when sound is allowed, which may be never: `statechange` tells.
    if (context && context.state !== "running") context.resume().catch(() => undefined);
  }

  /**
   * A turn begins, or begins again: what came of it before is neither heard any longer nor counted.
   * @param {string} turn
   */
  begin(turn) {
    if (this.isPlaying(turn)) void this.stop(turn);
    this.#silenced.delete(turn);
    if (this.#converting?.turn === turn) this.#converting = undefined;
    if (this.#queued?.turn === turn) {
      this.#queued.isVoid = true;
      this.#queued = undefined;
    }
    void this.#opening?.then((node) => node?.post({ begin: turn }));
    this.#update();
  }

  /**
   * Queue audio of a turn.
   * @param {string} turn
   * @param {Uint8Array} pcm 16-bit, mono
   * @param {number} rateHz
   */
  play(turn, pcm, rateHz) {
    if (this.#silenced.has(turn)) return;
    if (this.#queued?.turn !== turn) {
      this.#queued = { turn, samples: 0, waiting: 0, isOver: false, isVoid: false };
    }
    const queued = this.#queued;
    queued.isOver = false;
    queued.waiting += 1;
    void this.#open().then((node) => {
      if (!node) {
        queued.isOver = true;
        this.#update();
      }
      // It may have been silenced while the sound was being opened.
      if (!node || this.#silenced.has(turn) || queued.isVoid) return;
      const samples = this.#converted(turn, decodePcm(pcm), rateHz);
      queued.waiting -= 1;
      queued.samples += samples.length;
      node.post({ turn, samples }, [samples.buffer]);
      this.#update();
    });
  }

  /**
   * Whether audio of this turn is still to be heard.
   * @param {string} turn
   */
  isPlaying(turn) {
    return this.#queued?.turn === turn && !this.#queued.isOver;
  }

  /**
   * Fall silent; what is still to come of this turn is not played either.
   * @param {string} turn
   * @returns {Promise<number>} how much of the turn was heard, in ms
   */
  async stop(turn) {
    this.#silence(turn);
    this.#paused = false;
    if (this.#queued?.turn === turn) this.#queued.isOver = true;
    const node = await this.#opening;
    if (!node) return 0;
    const flush = (this.#flushCount += 1);
    const report = await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), FLUSH_TIMEOUT_MS);
      this.#flushes.set(flush, (report) => {
        clearTimeout(timer);
        resolve(report);
      });
      // A fade would stay in the queue of a context that does not run.
      node.post({ flush, fade: this.#context?.state === "running" });
    });
    this.#flushes.delete(flush);
    if (report) this.#take(report);
    this.#update();
    return this.turn === turn ? this.playedMs : 0;
  }

  /**
   * Nothing more will come of this turn.
   * @param {string} turn
   */
  finish(turn) {
    void this.#opening?.then((node) => node?.post({ finish: turn }));
  }

  /** Fall silent for a moment; `resume` goes on where it was. */
  pause() {
    this.#pause(true);
  }

  /** Go on where it was. */
  resume() {
    this.#pause(false);
  }

  /**
   * Let nothing be heard, or let it be heard again. What is played goes on, and counts as played.
   * @param {boolean} isMuted
   */
  setMuted(isMuted) {
    this.isMuted = isMuted;
    void this.#opening?.then((node) => node?.post({ muted: isMuted }));
  }

  /** Whether the browser lets a page choose where it sounds. */
  get canSetDevice() {
    return "setSinkId" in (globalThis.AudioContext?.prototype ?? {});
  }

  /**
   * Sound elsewhere.
   * @param {string} deviceId as `enumerateDevices` names it; empty for the system's choice
   * @throws {Problem} `output_failed`: it is not there, or not allowed; what is heard goes on
   */
  async setDevice(deviceId) {
    if (this.#context) await setSink(this.#context, deviceId);
    this.deviceId = deviceId;
  }

  /** Fall silent and let go of the sound; `unlock` or `play` opens it again. */
  async close() {
    const [context, opening] = [this.#context, this.#opening];
    if (this.#queued) this.#queued.isVoid = true;
    this.#opening = this.#context = this.#queued = undefined;
    this.#paused = false;
    this.#update();
    await context?.close();
    // Chromium keeps a worklet's node until the page is left: it shall keep nothing else.
    if (context) context.onstatechange = () => {};
    (await opening)?.listen(() => {});
  }

  /**
   * How much of a turn's audio has been played.
   * @param {string} turn
   * @returns {number | undefined} ms; unknown unless it was played last
   */
  playedMsOf(turn) {
    return turn === this.turn ? this.playedMs : undefined;
  }

  /** @param {string} turn */
  #silence(turn) {
    this.#silenced.add(turn);
    for (const oldest of this.#silenced) {
      if (this.#silenced.size <= SILENCED_KEPT) break;
      this.#silenced.delete(oldest);
    }
  }

  /** @param {boolean} paused */
  #pause(paused) {
    if (this.#paused === paused) return;
    this.#paused = paused;
    void this.#opening?.then((node) => node?.post({ paused: this.#paused }));
    this.#update();
  }

  #open() {
    this.#opening ??= this.#made();
    return this.#opening;
  }

  async #made() {
    this.#hasFailed = this.#hasRun = false;
    /** @type {AudioContext | undefined} */
    let context;
    try {
      context = this.#context = newContext();
      // One that is not there any more is the system's choice instead.
      if (this.deviceId) await setSink(context, this.deviceId).catch(() => undefined);
      return await this.#playback(context);
    } catch (cause) {
      if (context !== this.#context) return undefined; // closed meanwhile
      this.#hasFailed = true;
      void context?.close();
      this.#context = undefined;
      const why = cause instanceof Problem ? ` ${cause.message}` : "";
      const text = `The sound could not be opened. Replies are shown as text.${why}`;
      this.emit("error", new Problem("player_failed", text, { cause }));
      return undefined;
    }
  }

  /** @param {AudioContext} context */
  async #playback(context) {
    context.onstatechange = () => this.#goOn(context);
    const playback = await audioThreadNode(context, {
      module: this.worklet,
      name: "parley-player",
      options: { numberOfInputs: 0, outputChannelCount: [1] },
      instead: (post) => {
        const work = new Playback(context.sampleRate, post);
        return {
          take: (message) => work.take(message),
          process: (_input, output) => work.render(output.fill(0)),
        };
      },
    });
    playback.node.connect(context.destination);
    if (playback.warning) this.emit("warning", playback.warning);
    if (this.isMuted) playback.post({ muted: true });
    playback.listen((report) => {
      if (context === this.#context) this.#heard(report);
    });
    return playback;
  }

  /**
   * A call or another program may stop a context that was allowed to sound; nobody presses anything
   * for it to go on.
   * @param {AudioContext} context whose state has changed
   */
  #goOn(context) {
    if (context !== this.#context) return;
    if (context.state === "running") this.#hasRun = true;
    else if (this.#hasRun) context.resume().catch(() => undefined);
    this.#update();
  }

  /** @param {Report} report */
  #heard(report) {
    const waiting = this.#flushes.get(report.flushed ?? 0);
    if (waiting) waiting(report);
    else this.#take(report);
    this.#update();
    const { turn: turnId, playedMs, level } = this;
    this.emit("progress", { turnId, playedMs, level });
  }

  /**
   * @param {string} turn
   * @param {Float32Array<ArrayBuffer>} samples
   * @param {number} rateHz
   */
  #converted(turn, samples, rateHz) {
    const toHz = this.#context?.sampleRate ?? RATE_HZ;
    if (rateHz === toHz) return samples;
    if (this.#converting?.turn !== turn || this.#converting.rateHz !== rateHz) {
      this.#converting = { turn, rateHz, resampler: new Resampler(rateHz, toHz) };
    }
    return this.#converting.resampler.push(samples);
  }

  /** @param {Report} report */
  #take(report) {
    this.turn = report.turn;
    this.playedMs = (report.played * 1000) / (this.#context?.sampleRate ?? RATE_HZ);
    this.level = report.level;
    this.gaps = report.gaps;
    const queued = this.#queued;
    const all = queued?.waiting === 0 && report.played >= queued.samples;
    if (all && report.turn === queued.turn) queued.isOver = true;
  }

  #update() {
    const running = this.#context?.state === "running";
    const sounding = this.#paused ? "paused" : "playing";
    const next = (this.#queued?.isOver ?? true) ? "idle" : running ? sounding : "blocked";
    if (next === this.state) return;
    this.state = next;
    if (next !== "playing") this.level = 0;
    this.emit("state", next);
  }
}

/** At the replies' own rate, so that their samples are played as they are. */
function newContext() {
  try {
    return new AudioContext({ sampleRate: RATE_HZ });
  } catch {
    return new AudioContext();
  }
}

/**
 * @param {AudioContext} context
 * @param {string} deviceId
 */
async function setSink(context, deviceId) {
  const { setSinkId } = /** @type {{setSinkId?: (id: string) => Promise<void>}} */ (context);
  try {
    if (!setSinkId) throw new DOMException("This browser has no setSinkId.", "NotSupportedError");
    await setSinkId.call(context, deviceId);
  } catch (cause) {
    const text = "That loudspeaker cannot be used: it is not there, or the browser does not allow it.";
    throw new Problem("output_failed", text, { cause });
  }
}
