// Keeps a copy of what reaches the speakers, sample by sample, from the audio graph itself, and
// what the page asked of the microphone.
const TAP = `
registerProcessor("tap", class extends AudioWorkletProcessor {
  constructor() { super(); this.parts = []; }
  process([input], [output]) {
    const block = input[0] ?? new Float32Array(128);
    output[0].set(block);
    this.parts.push(block.slice());
    if (this.parts.length === 8) { this.port.postMessage(this.parts); this.parts = []; }
    return true;
  }
});`;
const module = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
const addModule = AudioWorklet.prototype.addModule;
AudioWorklet.prototype.addModule = async function (url, ...rest) {
  await addModule.call(this, url, ...rest);
  await addModule.call(this, module);
};

window.heard = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (!(target instanceof AudioDestinationNode)) return connect.call(this, target, ...rest);
  const tap = new AudioWorkletNode(this.context, "tap", { outputChannelCount: [1] });
  tap.port.onmessage = ({ data }) => window.heard.push(...data);
  connect.call(this, tap);
  return connect.call(tap, target, ...rest);
};
/** Everything since the start, without the silence before and after. */
window.heardSamples = () => {
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
