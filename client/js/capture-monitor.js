/**
 * Notices that an open microphone has gone deaf, and has it hear again: browsers suspend a page's
 * sound by themselves (a phone call, another program, a machine that slept), mute a track, and not all
 * of them go on afterwards.
 */

/** @typedef {"suspended" | "muted" | "stalled"} Deafness */

/** So often it is looked, and tried to go on. */
const LOOK_MS = 1_000;
/** What passes sooner is not told. */
const TOLD_AFTER_MS = 1_000;
/** Sound comes every 20 to 50 ms; without any for so long, the device or its thread has stopped. */
const STALLED_MS = 3_000;
/** iOS lets a page go on only in a gesture, or when it is looked at again. */
const OCCASIONS = ["visibilitychange", "pointerdown", "touchend", "keydown"];

export class CaptureMonitor {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #heardAt = Date.now();
  /** Since when it has been deaf.
   * @type {number | undefined} */
  #since;
  #isTold = false;

  /**
   * @param {AudioContext} context
   * @param {readonly MediaStreamTrack[]} tracks
   * @param {(why: Deafness | undefined) => void} onChange it has gone deaf; without a reason, it hears
   *   again
   */
  constructor(context, tracks, onChange) {
    this.context = context;
    this.tracks = tracks;
    this.onChange = onChange;
    context.onstatechange = this.#check;
    for (const track of tracks) track.onmute = track.onunmute = this.#check;
    for (const name of OCCASIONS) globalThis.document?.addEventListener(name, this.#check);
    this.#wait();
  }

  /** Sound has come. */
  heard() {
    this.#heardAt = Date.now();
    if (this.#isTold) this.#check();
  }

  stop() {
    clearTimeout(this.#timer);
    this.context.onstatechange = ignored;
    for (const track of this.tracks) track.onmute = track.onunmute = ignored;
    for (const name of OCCASIONS) globalThis.document?.removeEventListener(name, this.#check);
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#check();
      this.#wait();
    }, LOOK_MS);
  }

  #check = () => {
    const why = this.#why();
    // Refused, or without an answer, while the call goes on: it is tried again.
    if (this.context.state !== "running") this.context.resume().catch(() => undefined);
    if (!why) {
      this.#since = undefined;
      if (this.#isTold) this.onChange(undefined);
      this.#isTold = false;
      return;
    }
    this.#since ??= Date.now();
    if (this.#isTold || Date.now() - this.#since < TOLD_AFTER_MS) return;
    this.#isTold = true;
    this.onChange(why);
  };

  /** @returns {Deafness | undefined} */
  #why() {
    if (this.context.state !== "running") return "suspended";
    if (this.tracks.some((track) => track.muted)) return "muted";
    return Date.now() - this.#heardAt > STALLED_MS ? "stalled" : undefined;
  }
}

function ignored() {}
