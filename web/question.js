/** A question that comes before everything else on the page. */
import { byId, element } from "./elements.js";

/**
 * Ask it. Closing it, or Escape, means no.
 * @param {{title: string, text: string, hosts?: [what: string, host: string, warning: string][],
 *   yes: string, no: string}} question
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, hosts = [], yes, no }) {
  const dialog = byId("question", HTMLDialogElement);
  byId("question-title", HTMLElement).textContent = title;
  byId("question-text", HTMLElement).textContent = text;
  byId("question-hosts", HTMLElement).replaceChildren(
    ...hosts.map(([what, host, warning]) =>
      element(
        "div",
        "",
        element("dt", "", what),
        element("dd", "", element("b", "host", host), element("small", "warning", warning)),
      ),
    ),
  );
  const agree = byId("question-yes", HTMLButtonElement);
  const refuse = byId("question-no", HTMLButtonElement);
  agree.textContent = yes;
  refuse.textContent = no;
  agree.onclick = () => dialog.close("yes");
  refuse.onclick = () => dialog.close("");
  dialog.returnValue = "";
  dialog.showModal();
  // What is pressed without looking must not be the answer that gives something away.
  refuse.focus({ preventScroll: true });
  dialog.scrollTop = 0;
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
