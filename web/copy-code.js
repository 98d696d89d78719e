/** The code that a page of one's own needs for what is chosen here. */
import { setText } from "./elements.js";

/** @typedef {import("parley-client/messages.js").Settings} Settings */

/**
 * @typedef {object} Chosen
 * @property {string} url
 * @property {string} [agent]
 * @property {Settings} settings
 * @property {boolean} hasToken whether the server wants one
 * @property {import("parley-client/hands-free.js").HandsFreeSettings | undefined} handsFree if it is on
 */

const NAMES = /** @type {const} */ (["voice", "language", "style", "speed", "stability"]);

/**
 * Five lines of JavaScript.
 * @param {Chosen} chosen
 */
export function codeFor({ url, agent, settings, hasToken, handsFree }) {
  const wanted = Object.fromEntries(
    NAMES.flatMap((name) => {
      const value = settings[name];
      return value === undefined || value === "" ? [] : [[name, value]];
    }),
  );
  const options = [
    ...(agent ? [`agent: ${literal(agent)}`] : []),
    ...(Object.keys(wanted).length ? [`settings: ${literal(wanted)}`] : []),
    // A token in a page is everybody's: who serves the page gives one to each user.
    ...(hasToken ? [`token: async () => (await fetch("/token")).text()`] : []),
    "microphone",
    "player",
  ];
  // Sound is allowed from a gesture on: see docs/client.md.
  const talk = handsFree
    ? [`button.onclick = () => { player.unlock(); conversation.startHandsFree(${literal(handsFree)}); };`]
    : [
        "button.onpointerdown = () => { player.unlock(); conversation.startSpeaking(); };",
        "button.onpointerup = () => conversation.stopSpeaking();",
      ];
  return [
    `import { Conversation, Microphone, Player } from "parley-client";`,
    `const [button, microphone, player] = [document.querySelector("button"), new Microphone(), new Player()];`,
    `const conversation = new Conversation(${literal(url)}, { ${options.join(", ")} });`,
    "await conversation.connect();",
    ...talk,
    "",
  ].join("\n");
}

/**
 * As JavaScript, and as people write it.
 * @param {unknown} value
 * @returns {string}
 */
function literal(value) {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([name, each]) => `${name}: ${literal(each)}`);
  return fields.length ? `{ ${fields.join(", ")} }` : "{}";
}

/**
 * Copy what an element shows when a button is pressed.
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} shown
 * @param {HTMLElement} told what has become of it
 */
export function copyOnClick(button, shown, told) {
  button.addEventListener("click", async () => {
    setText(told, "");
    try {
      await navigator.clipboard.writeText(shown.textContent ?? "");
      setText(told, "Copied.");
    } catch {
      // On a page that is not secure there is no clipboard: then it is one key away.
      getSelection()?.selectAllChildren(shown);
      setText(told, "Selected: copy it with your keyboard.");
    }
  });
}
