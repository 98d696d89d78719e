/**
 * Hold to talk, with mouse, finger or space bar; Enter or an assistive technology's click, which
 * cannot hold, begins and ends instead.
 */

/** What uses the space bar itself. */
const OWN_SPACE = "input, textarea, select, button, summary, a, [contenteditable]";

/**
 * @param {HTMLButtonElement} button
 * @param {{onPress: () => void, onRelease: () => void}} hooks
 */
export function holdToTalk(button, { onPress, onRelease }) {
  let held = false;
  const press = () => {
    if (held || button.disabled) return;
    held = true;
    onPress();
  };
  const release = () => {
    if (!held) return;
    held = false;
    onRelease();
  };

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (event.isTrusted) button.setPointerCapture(event.pointerId);
    press();
  });
  for (const kind of ["pointerup", "pointercancel"]) button.addEventListener(kind, release);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("click", (event) => {
    if (event.detail !== 0) return; // a pointer's, which has been pressed and let go already
    if (held) release();
    else press();
  });

  /** @param {KeyboardEvent} event */
  const isOurs = (event) => {
    if (event.code !== "Space" || event.ctrlKey || event.metaKey || event.altKey) return false;
    const target = /** @type {Element} */ (event.target);
    return target === button || !target.closest(OWN_SPACE);
  };
  document.addEventListener("keydown", (event) => {
    if (!isOurs(event)) return;
    event.preventDefault(); // neither scrolls nor clicks
    if (!event.repeat) press();
  });
  document.addEventListener("keyup", (event) => {
    if (event.code !== "Space" || !held) return;
    event.preventDefault();
    release();
  });
  // The key or the finger may be let go elsewhere, unseen.
  window.addEventListener("blur", release);
  document.addEventListener("visibilitychange", () => document.hidden && release());
}
