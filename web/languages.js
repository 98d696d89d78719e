/** Languages, as a person knows them. */

/** What is offered where the server does not say: those of ElevenLabs' multilingual models. */
export const LANGUAGES = (
  "ar bg cs da de el en es fi fil fr hi hr hu id it ja ko ms nl no pl pt ro ru sk sv ta tr uk vi zh"
).split(" ");

const names = new Intl.DisplayNames(["en"], { type: "language" });

/** @param {string} code of ISO 639 */
export function languageName(code) {
  try {
    return names.of(code) ?? code;
  } catch {
    return code; // none
  }
}
