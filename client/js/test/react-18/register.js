/** `node --import` this: whoever imports React gets the one of this folder. */
import { register } from "node:module";

register("./resolve.js", import.meta.url);

const { version } = await import("react");
if (!version.startsWith("18.")) {
  throw new Error(`React 18 is not installed here, but ${version}: run \`npm ci\` in client/js.`);
}
