/** The attributes of `<parley-talk>`, and the properties of the same meaning, which frameworks set. */
import { TEXT_ATTRIBUTES } from "./talk-texts.js";

/** Another one of these is another conversation. */
export const WITH_WHOM = ["url", "http-url", "agent"];
export const SETTINGS = /** @type {const} */ (["voice", "language"]);
const LOOK = ["mode", "position", "text", ...TEXT_ATTRIBUTES];

/** A server has no elements; the module can be loaded there all the same. */
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {});

/** The properties that may be set before the element has its class. */
const SETTABLE = [
  "url", "httpUrl", "token", "tokenUrl", "getToken", "tools", "agent", "voice", "language", "mode", "text", "position",
];

export class TalkAttributes extends Base {
  static observedAttributes = [...WITH_WHOM, "token", "token-url", ...SETTINGS, ...LOOK];

  /** @type {string | undefined} */
  #token;
  /** @type {(() => string | Promise<string>) | undefined} */
  #getToken;
  /** @type {Record<string, import("./page-tools.js").PageTool> | undefined} */
  #tools;

  /** The deployment's WebSocket address. */
  get url() {
    return this.#read("url");
  }
  set url(value) {
    this.#write("url", value);
  }

  /** Its HTTP API, for networks that block WebSockets. */
  get httpUrl() {
    return this.#read("http-url");
  }
  set httpUrl(value) {
    this.#write("http-url", value);
  }

  /** What lets the user in. Set as a property, it is not written into the page. */
  get token() {
    return this.#token ?? this.#read("token");
  }
  set token(value) {
    this.#token = value || undefined;
  }

  /** Where the page's own back end gives a token to whoever is signed in. */
  get tokenUrl() {
    return this.#read("token-url");
  }
  set tokenUrl(value) {
    this.#write("token-url", value);
  }

  /** Gives a token at each attempt to connect, in place of `token` and `token-url`. */
  get getToken() {
    return this.#getToken;
  }
  set getToken(value) {
    this.#getToken = value;
  }

  /** The functions of the page that the agent may call. The names count from the next start on, the
   * functions at once. */
  get tools() {
    return this.#tools;
  }
  set tools(value) {
    this.#tools = value;
  }

  /** Which of the deployment's agents. */
  get agent() {
    return this.#read("agent");
  }
  set agent(value) {
    this.#write("agent", value);
  }

  /** The voice, by its id. */
  get voice() {
    return this.#read("voice");
  }
  set voice(value) {
    this.#write("voice", value);
  }

  /** The language of the conversation, by its ISO 639 code. */
  get language() {
    return this.#read("language");
  }
  set language(value) {
    this.#write("language", value);
  }

  /** `hands-free`, or `push-to-talk`. */
  get mode() {
    return this.getAttribute("mode") === "push-to-talk" ? "push-to-talk" : "hands-free";
  }
  set mode(value) {
    this.#write("mode", value);
  }

  /** Whether there is a field to type in. */
  get text() {
    return this.hasAttribute("text");
  }
  set text(value) {
    this.toggleAttribute("text", value);
  }

  /** `inline`, or `floating` in the corner of the window. */
  get position() {
    return this.getAttribute("position") === "floating" ? "floating" : "inline";
  }
  set position(value) {
    this.#write("position", value);
  }

  /** What was set before the element had its class hides the class's own properties: set it again.
   * @protected */
  takeEarly() {
    const self = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (this));
    for (const name of SETTABLE) {
      if (!Object.hasOwn(this, name)) continue;
      const value = self[name];
      delete self[name];
      self[name] = value;
    }
  }

  /** @param {string} attribute */
  #read(attribute) {
    return this.getAttribute(attribute) ?? "";
  }

  /** @param {string} attribute @param {string | null | undefined} value */
  #write(attribute, value) {
    if (value) this.setAttribute(attribute, value);
    else this.removeAttribute(attribute);
  }
}
