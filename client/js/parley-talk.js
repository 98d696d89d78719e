/// <reference path="./element-names.d.ts" preserve="true" />
/** The one module that a page loads for `<parley-talk>`. */
import { ParleyTalk } from "./talk-element.js";

export { ParleyTalk };

// A server has no elements, and a page may load this from two places.
if (globalThis.customElements && !customElements.get("parley-talk")) {
  customElements.define("parley-talk", ParleyTalk);
}
