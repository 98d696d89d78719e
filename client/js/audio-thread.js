/**
 * A node whose work is done on the audio thread (AudioWorklet). Where it cannot be, the same work is
 * done in the page (ScriptProcessorNode: old, deprecated, and everywhere). AudioWorklet is missing on
 * pages that are neither https nor localhost, and in browsers from before 2021; its file may be missing
 * anywhere.
 */
import { Problem } from "./problem.js";

/**
 * @typedef {object} AudioThreadNode
 * @property {AudioNode} node
 * @property {(message: object, transfer?: Transferable[]) => void} post
 * @property {(listener: (message: any) => void) => void} listen
 * @property {Problem} [warning] why it works in the page, although the browser has AudioWorklet
 */

/**
 * @typedef {object} Work what a ScriptProcessorNode does instead of the worklet
 * @property {(message: any) => void} take a message of the page
 * @property {(input: Float32Array, output: Float32Array) => void} process
 */

/**
 * @typedef {object} Processor
 * @property {URL} module with the worklet
 * @property {string} name it registers
 * @property {AudioWorkletNodeOptions} options
 * @property {(post: (message: object) => void) => Work} instead
 */

/** In samples: 43 ms at 48 kHz. */
const SCRIPT_BLOCK = 2048;
/** A file that is there comes much sooner; a host that answers nothing must not keep the sound. */
const LOAD_TIMEOUT_MS = 5_000;

/**
 * @param {AudioContext} context
 * @param {Processor} processor
 * @returns {Promise<AudioThreadNode>}
 * @throws {Problem} `worklet_missing`: neither the file nor ScriptProcessorNode is there
 */
export async function audioThreadNode(context, processor) {
  if (!context.audioWorklet || !globalThis.AudioWorkletNode) return scriptNode(context, processor);
  try {
    await loaded(context, processor.module);
    return workletNode(context, processor);
  } catch (cause) {
    return { ...replaced(context, processor, cause), warning: missing(processor.module, cause) };
  }
}

/**
 * @param {AudioContext} context
 * @param {URL} module
 */
async function loaded(context, module) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    const text = `It did not come within ${LOAD_TIMEOUT_MS} ms.`;
    timer = setTimeout(() => reject(new Error(text)), LOAD_TIMEOUT_MS);
  });
  try {
    await Promise.race([context.audioWorklet.addModule(module), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {AudioContext} context
 * @param {Processor} processor
 * @returns {AudioThreadNode}
 */
function workletNode(context, { name, options }) {
  const node = new AudioWorkletNode(context, name, options);
  return {
    node,
    post: (message, transfer = []) => node.port.postMessage(message, transfer),
    listen: (listener) => (node.port.onmessage = ({ data }) => listener(data)),
  };
}

/**
 * @param {AudioContext} context
 * @param {Processor} processor whose worklet cannot be used
 * @param {unknown} why
 */
function replaced(context, processor, why) {
  try {
    return scriptNode(context, processor);
  } catch {
    throw missing(processor.module, why);
  }
}

/**
 * @param {AudioContext} context
 * @param {Processor} processor
 * @returns {AudioThreadNode}
 */
function scriptNode(context, { instead }) {
  /** @type {(message: any) => void} */
  let heard = () => undefined;
  const work = instead((message) => heard(message));
  const node = context.createScriptProcessor(SCRIPT_BLOCK, 1, 1);
  node.onaudioprocess = ({ inputBuffer, outputBuffer }) =>
    work.process(inputBuffer.getChannelData(0), outputBuffer.getChannelData(0));
  return {
    node,
    post: (message) => work.take(message),
    listen: (listener) => (heard = listener),
  };
}

/**
 * @param {URL} module
 * @param {unknown} cause
 */
function missing(module, cause) {
  const text =
    `The sound worklet ${module} could not be loaded: the file is not there, is not served as ` +
    "JavaScript, or the page's content security policy (script-src) forbids it. Sound is processed " +
    "in the page, where it may stutter.";
  return new Problem("worklet_missing", text, { cause });
}
