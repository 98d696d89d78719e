/** What a problem is to the person who meets it. The event log has it as the program does. */
import { isOwn } from "./address.js";

/** @typedef {import("parley-client").Problem} Problem */

/** `config.settings.language: expected …`, `$.audio[3]: …` */
const PLACE = /^[$_\p{L}][\p{L}\p{N}_$-]*(?:\.[\p{L}\p{N}_$-]+|\[[^\]]*\])*(?=:\s)/u;
/** What the page has done wrong, and nobody else. */
const PROTOCOL = ["bad_request", "unknown_type"];
export const NOT_UNDERSTOOD =
  "The server does not understand this page. Reload it: one of the two may be newer.";
/** Nobody has asked for what these answer. */
const UNASKED = /^(interrupt|ack|ping|resume|received|audio_end)\b/;
const SETTING = /^(?:(?:config|init)\.)?settings\.(\w+)/;
/** @type {Record<string, string>} */
const SETTINGS = {
  voice: "That voice is not available here.",
  language: "That language is not available here.",
  speed: "The speed cannot be set to that here.",
  stability: "The stability cannot be set to that here.",
  style: "The style cannot be set to that here.",
  record: "Recording cannot be changed here.",
};

/**
 * @param {Problem} problem
 * @returns {string} empty if it is of no concern to a person
 */
export function sentenceOf(problem) {
  const { code, message } = problem;
  const field = fieldOf(problem);
  if (field !== undefined) {
    if (UNASKED.test(field)) return "";
    if (field === "init.agent") return "That agent is not available here.";
    if (isAboutSettings(problem)) {
      const what = SETTINGS[SETTING.exec(field)?.[1] ?? ""] ?? "That setting is not available here.";
      return `${what} It stays as it was.`;
    }
    if (field.startsWith("user_message")) {
      return code === "too_large" ? "That message is too long." : "That message cannot be sent like this.";
    }
    return NOT_UNDERSTOOD;
  }
  if (PROTOCOL.includes(code) && !problem.turnId) return NOT_UNDERSTOOD;
  // The name of a template's parameter is a deployer's.
  return message.replace(" (AllowedOrigins)", "");
}

/**
 * With the address that the user knows, and not with what has been made of it.
 * @param {Problem} problem
 * @param {import("./address.js").Address} address that the page talks to
 */
export function explained(problem, address) {
  const where = isOwn(address) ? `this page's server, ${location.host},` : address.url;
  if (problem.code === "unreachable") {
    const isKept = problem.message.includes(" answers, but ");
    const why = isKept
      ? `It answers, but not to this page: it may not allow pages of ${location.origin}.`
      : "Is the address right, and the server up?";
    return `No connection to ${where} could be opened. ${why}`;
  }
  if (problem.code === "redirected") {
    return `No connection to ${where} could be opened. It leads to another address, which is not followed.`;
  }
  const sentence = sentenceOf(problem);
  return problem.code.startsWith("microphone_") ? `${sentence} You can go on typing.` : sentence;
}

/**
 * What of a message is wrong. A server need not name it but in its text, where a single word before
 * a colon may be any.
 * @param {Problem} problem
 */
function fieldOf({ code, field, message, turnId }) {
  if (field !== undefined) return field;
  const [place] = PLACE.exec(message) ?? [];
  const isProtocol = PROTOCOL.includes(code) && !turnId;
  return isProtocol || /[.$[]/.test(place ?? "") ? place : undefined;
}

/**
 * Which setting is refused.
 * @param {Problem} problem
 * @returns {string} empty if none is named
 */
export function settingOf(problem) {
  return SETTING.exec(fieldOf(problem) ?? "")?.[1] ?? "";
}

/**
 * Whether a setting is refused.
 * @param {Problem} problem
 */
export function isAboutSettings({ field, message }) {
  return /^(?:(?:config|init)\.)?settings\b/.test(field ?? message);
}
