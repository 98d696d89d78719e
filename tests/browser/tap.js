// Keeps a copy of what reaches the speakers, sample by sample, from the audio graph itself, and
// what the page asked of the microphone.
const TAP = `
registerProcessor("tap", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.parts = [];
    this.soundUntilS = 0;
    this.port.onmessage = ({ data }) => { this.hand(); this.port.postMessage(data); };
  }
  hand() {
    this.port.postMessage({ parts: this.parts, soundUntilS: this.soundUntilS });
    this.parts = [];
  }
  process([input], [output]) {
    const block = input[0] ?? new Float32Array(128);
    output[0].set(block);
    this.parts.push(block.slice());
    const last = block.findLastIndex((sample) => sample !== 0);
    if (last >= 0) this.soundUntilS = currentTime + (last + 1) / sampleRate;
    if (this.parts.length === 8) this.hand();
    return true;
  }
});`;
const module = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
const addModule = AudioWorklet.prototype.addModule;
AudioWorklet.prototype.addModule = async function (url, ...rest) {
  // First: the page's own may be missing.
  await addModule.call(this, module);
  await addModule.call(this, url, ...rest);
};

window.heard = [];
const taps = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  const untapped = !(target instanceof AudioDestinationNode) || !this.context.audioWorklet;
  if (untapped) return connect.call(this, target, ...rest);
  const tap = new AudioWorkletNode(this.context, "tap", { outputChannelCount: [1] });
  tap.port.addEventListener("message", ({ data }) => {
    if (!data.parts) return;
    window.heard.push(...data.parts);
    window.soundUntilS = data.soundUntilS;
  });
  tap.port.start();
  taps.push(tap);
  connect.call(this, tap);
  return connect.call(tap, target, ...rest);
};

/** Settles when the audio thread has handed over everything that has left so far. */
async function handedOver() {
  const running = taps.filter((tap) => tap.context.state === "running");
  const answers = running.map(
    ({ port }) =>
      new Promise((resolve) => {
        const answered = ({ data }) => {
          if (data !== "hand over") return;
          port.removeEventListener("message", answered);
          resolve();
        };
        port.addEventListener("message", answered);
        port.postMessage("hand over");
      }),
  );
  await Promise.all(answers);
}

/** What the speakers' clock says now, in seconds. */
window.soundNowS = () => taps.at(-1).context.currentTime;

/** When the last sound was, by that clock. */
window.lastSoundS = async () => {
  await handedOver();
  return window.soundUntilS;
};

window.forgetHeard = async () => {
  await handedOver();
  window.heard = [];
};

/** Everything since the start or `forgetHeard`, without the silence before and after. */
window.heardSamples = async () => {
  await handedOver();
  const all = window.heard.flatMap((block) => Array.from(block, (s) => Math.round(s * 32768)));
  const first = all.findIndex((sample) => sample !== 0);
  const last = all.findLastIndex((sample) => sample !== 0);
  return first < 0 ? [] : all.slice(first, last + 1);
};

window.asked = [];
const getUserMedia = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (getUserMedia) {
  navigator.mediaDevices.getUserMedia = (constraints) => {
    window.asked.push(constraints.audio);
    // A steady tone is noise to the browser's noise suppression, so the tests hear without it.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    return getUserMedia({ audio: { ...constraints.audio, ...plain } });
  };
}
