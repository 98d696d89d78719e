/** `node --import` this: whoever imports React gets the one of this folder. */
import { register } from "node:module";

register("./resolve.js", import.meta.url);
