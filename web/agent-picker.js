/** Which of the deployment's agents one talks to, where a client may choose. */
import { element } from "./elements.js";

export class AgentPicker {
  #group;
  #list;
  /** @type {string[]} */
  #offered = [];

  /**
   * @param {HTMLElement} group shown where there is a choice
   * @param {HTMLSelectElement} list
   * @param {() => void} onChange another is wanted, in a new conversation
   */
  constructor(group, list, onChange) {
    this.#group = group;
    this.#list = list;
    list.addEventListener("change", onChange);
  }

  /** Who is wanted for a new conversation.
   * @returns {string | undefined} the deployment's choice */
  get wanted() {
    return this.#offered.find((name) => name === this.#list.value);
  }

  /**
   * @param {import("parley-client/messages.js").Choices | undefined} choices as far as the server says
   * @param {string | undefined} current who it is; nothing for the deployment's own
   */
  open(choices, current = "") {
    const said = /** @type {unknown} */ (choices?.agents);
    // A server need not be this project's.
    const agents = Array.isArray(said) ? said.filter((name) => typeof name === "string" && name) : [];
    this.#offered = agents;
    this.#group.hidden = agents.length === 0;
    const names = agents.includes(current) ? agents : [current, ...agents];
    this.#list.replaceChildren(
      ...names.map((name) => {
        const option = element("option", "", name || "The deployment's own");
        option.value = name;
        return option;
      }),
    );
    this.#list.value = current;
  }
}
