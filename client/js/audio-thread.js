/**
 * A node whose work is done on the audio thread (AudioWorklet); where there is none, in the page
 * (ScriptProcessorNode: old, deprecated, and everywhere). AudioWorklet is missing on pages that
 * are neither https nor localhost, and in browsers from before 2021.
 */

/**
 * @typedef {object} AudioThreadNode
 * @property {AudioNode} node
 * @property {(message: object, transfer?: Transferable[]) => void} post
 * @property {(listener: (message: any) => void) => void} listen
 */

/**
 * @typedef {object} Work what a ScriptProcessorNode does instead of the worklet
 * @property {(message: any) => void} take a message of the page
 * @property {(input: Float32Array, output: Float32Array) => void} process
 */

/** In samples: 43 ms at 48 kHz. */
const SCRIPT_BLOCK = 2048;

/**
 * @param {AudioContext} context
 * @param {object} what
 * @param {URL} what.module with the worklet
 * @param {string} what.name it registers
 * @param {AudioWorkletNodeOptions} what.options
 * @param {(post: (message: object) => void) => Promise<Work>} what.instead
 * @returns {Promise<AudioThreadNode>}
 */
export async function audioThreadNode(context, { module, name, options, instead }) {
  if (context.audioWorklet && globalThis.AudioWorkletNode) {
    await context.audioWorklet.addModule(module);
    const node = new AudioWorkletNode(context, name, options);
    return {
      node,
      post: (message, transfer = []) => node.port.postMessage(message, transfer),
      listen: (listener) => (node.port.onmessage = ({ data }) => listener(data)),
    };
  }
  /** @type {(message: any) => void} */
  let heard = () => undefined;
  const work = await instead((message) => heard(message));
  const node = context.createScriptProcessor(SCRIPT_BLOCK, 1, 1);
  node.onaudioprocess = ({ inputBuffer, outputBuffer }) =>
    work.process(inputBuffer.getChannelData(0), outputBuffer.getChannelData(0));
  return {
    node,
    post: (message) => work.take(message),
    listen: (listener) => (heard = listener),
  };
}
