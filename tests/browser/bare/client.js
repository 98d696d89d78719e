// The client without a page around it, and what the browser really has open.
import * as client from "/client/index.js";

/** What the browser gives is given when the test says so; until then nothing waits. */
const gates = {};
function gate(name) {
  let open;
  gates[name] = { passed: new Promise((resolve) => (open = resolve)), open, reached: false };
}
async function through(name) {
  if (!gates[name]) return;
  gates[name].reached = true;
  await gates[name].passed;
}

const tracks = [];
const contexts = [];
const { mediaDevices } = navigator;
if (mediaDevices) {
  const ask = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (wanted) => {
    await through("permission");
    // A steady tone is noise to the browser's noise suppression, so the tests hear without it.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await ask({ audio: { ...wanted.audio, ...plain } });
    tracks.push(...stream.getTracks());
    return stream;
  };
}
const { addModule } = globalThis.AudioWorklet?.prototype ?? {};
if (addModule) AudioWorklet.prototype.addModule = async function (...given) {
  await through("worklet");
  return addModule.apply(this, given);
};
const { resume } = AudioContext.prototype;
AudioContext.prototype.resume = async function () {
  await through("resume");
  return resume.call(this);
};
globalThis.AudioContext = class extends AudioContext {
  constructor(...given) {
    super(...given);
    contexts.push(this);
  }
};

const states = (all, name) => all.map((one) => one[name]);
Object.assign(window, {
  client,
  gate,
  open: (name) => gates[name].open(),
  reached: (name) => gates[name]?.reached ?? false,
  tracks,
  contexts,
  live: () => states(tracks, "readyState").filter((state) => state === "live").length,
  openContexts: () => states(contexts, "state").filter((state) => state !== "closed").length,
  isLoaded: true,
});
