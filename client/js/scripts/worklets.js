/**
 * Writes the worklets' files. Each is a copy of a module that the page imports too: a worklet must be a
 * file of its own that imports nothing, so that a bundler may copy it as it is, and where that file
 * cannot be loaded the page does its work with its own copy.
 */
import { readFile, writeFile } from "node:fs/promises";

const FOLDER = new URL("../", import.meta.url);
/** @type {[from: string, to: string][]} */
export const WORKLETS = [
  ["capture.js", "capture-worklet.js"],
  ["playback.js", "player-worklet.js"],
];

/**
 * @param {string} name of a file of the client's
 * @returns {Promise<string>}
 */
export function sourceOf(name) {
  return readFile(new URL(name, FOLDER), "utf8");
}

/**
 * What a worklet's file holds.
 * @param {string} from the module that it is a copy of
 */
export async function workletOf(from) {
  return `// A copy of ${from}: change that one, and run \`npm run build:worklets\`.\n\n${await sourceOf(from)}`;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const [from, to] of WORKLETS) await writeFile(new URL(to, FOLDER), await workletOf(from));
}
