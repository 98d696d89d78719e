// What `document.querySelector("parley-talk")` gives.
import type { ParleyTalk } from "./talk-element.js";

declare global {
  interface HTMLElementTagNameMap {
    "parley-talk": ParleyTalk;
  }
}
