/** What a problem is to the person who meets it. The event log has it as the program does. */

/** @typedef {import("parley-client").Problem} Problem */

/** `config.settings.language: expected …`, `$.audio[3]: …` */
const FIELD_ERROR = /^[$a-z_][\w$]*(\.[\w$]+|\[[^\]]*\])*:\s/;
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
  const { code, message, field = FIELD_ERROR.exec(message)?.[0].slice(0, -2) } = problem;
  if (field !== undefined) {
    if (UNASKED.test(field)) return "";
    if (isAboutSettings(problem)) {
      const what = SETTINGS[SETTING.exec(field)?.[1] ?? ""] ?? "That setting is not available here.";
      return `${what} It stays as it was.`;
    }
    if (field.startsWith("user_message")) {
      return code === "too_large" ? "That message is too long." : "That message cannot be sent like this.";
    }
    return "The server does not understand this page. Reload it: one of the two may be newer.";
  }
  return message;
}

/**
 * Whether a setting is refused.
 * @param {Problem} problem
 */
export function isAboutSettings({ field, message }) {
  return /^(?:(?:config|init)\.)?settings\b/.test(field ?? message);
}
