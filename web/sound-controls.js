/** Which microphone and loudspeaker are used, how loud they are, and whether they are muted. */
import { Problem } from "parley-client";
import { element } from "./elements.js";

/** @typedef {"audioinput" | "audiooutput"} Kind */

const KEY = "parley-devices";

/**
 * @typedef {object} Parts of the page
 * @property {HTMLSelectElement} microphones
 * @property {HTMLSelectElement} outputs
 * @property {HTMLMeterElement} microphoneLevel
 * @property {HTMLMeterElement} voiceLevel
 * @property {HTMLButtonElement} mute
 * @property {HTMLButtonElement} muteVoice
 * @property {HTMLButtonElement} test
 */

/**
 * @typedef {object} Hooks
 * @property {() => void} onChange something is muted, or not any more
 * @property {(problem: Problem) => void} report
 */

export class SoundControls {
  #parts;
  #microphone;
  #player;
  #hooks;

  /**
   * @param {Parts} parts
   * @param {{player: import("parley-client").Player, microphone: import("parley-client").Microphone}} devices
   * @param {Hooks} hooks
   */
  constructor(parts, { player, microphone }, hooks) {
    this.#parts = parts;
    this.#player = player;
    this.#microphone = microphone;
    this.#hooks = hooks;
    const { microphones, outputs, mute, muteVoice, test } = parts;
    mute.addEventListener("click", () => this.#mute(mute, microphone));
    muteVoice.addEventListener("click", () => this.#mute(muteVoice, player));
    microphones.addEventListener("change", () => void this.#choose("audioinput", microphones.value));
    outputs.addEventListener("change", () => void this.#choose("audiooutput", outputs.value));
    test.addEventListener("click", () => void this.#try(() => microphone.open()));
    const kept = keptDevices();
    microphone.deviceId = kept.audioinput ?? "";
    if (player.canSetDevice) player.deviceId = kept.audiooutput ?? "";
    microphone.on("level", ({ level }) => (parts.microphoneLevel.value = Math.sqrt(level)));
    player.on("progress", ({ level }) => (parts.voiceLevel.value = Math.sqrt(level)));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => void this.list());
    void this.list();
  }

  /** Show the devices that are there; their names are known once the microphone was allowed. */
  async list() {
    const { microphones, outputs } = this.#parts;
    const found = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
    offer(microphones, named(found, "audioinput"), this.#microphone.deviceId);
    const outlets = this.#player.canSetDevice ? named(found, "audiooutput") : [];
    offer(outputs, outlets, this.#player.deviceId);
  }

  /** The microphone is not open any more, or the reply is over. */
  rest() {
    if (!this.#microphone.isOpen) this.#parts.microphoneLevel.value = 0;
    if (this.#player.state !== "playing") this.#parts.voiceLevel.value = 0;
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {{isMuted: boolean, setMuted: (isMuted: boolean) => void}} device
   */
  #mute(button, device) {
    device.setMuted(!device.isMuted);
    button.setAttribute("aria-pressed", String(device.isMuted));
    this.#hooks.onChange();
  }

  /**
   * @param {Kind} kind
   * @param {string} deviceId
   */
  async #choose(kind, deviceId) {
    keepDevices({ ...keptDevices(), [kind]: deviceId });
    const device = kind === "audioinput" ? this.#microphone : this.#player;
    await this.#try(() => device.setDevice(deviceId));
  }

  /** @param {() => Promise<void>} act */
  async #try(act) {
    try {
      await act();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#hooks.report(problem);
    }
    // Now they may have names, or the choice did not hold.
    await this.list();
  }
}

/**
 * @param {readonly MediaDeviceInfo[]} found
 * @param {Kind} kind
 * @returns {(readonly [id: string, name: string])[]} those that can be told apart
 */
function named(found, kind) {
  return found
    .filter((device) => device.kind === kind && device.label && device.deviceId !== "default")
    .map(({ deviceId, label }) => [deviceId, label]);
}

/**
 * @param {HTMLSelectElement} list
 * @param {(readonly [id: string, name: string])[]} devices
 * @param {string} chosen
 */
function offer(list, devices, chosen) {
  const options = [/** @type {const} */ (["", "The system's choice"]), ...devices];
  list.replaceChildren(
    ...options.map(([value, label]) => {
      const option = element("option", "", label);
      option.value = value;
      return option;
    }),
  );
  list.value = options.some(([value]) => value === chosen) ? chosen : "";
}

/** @returns {Partial<Record<Kind, string>>} */
function keptDevices() {
  try {
    return Object(JSON.parse(localStorage.getItem(KEY) ?? "{}"));
  } catch {
    return {}; // storage is switched off, or has something else in it
  }
}

/** @param {Partial<Record<Kind, string>>} devices */
function keepDevices(devices) {
  try {
    localStorage.setItem(KEY, JSON.stringify(devices));
  } catch {
    // Storage is switched off: then it is not remembered.
  }
}
