/**
 * Hold to talk, with mouse, finger or space bar; Enter or an assistive technology's click, which
 * cannot hold, begins and ends instead.
 */

/** What uses the space bar itself. */
const OWN_SPACE = "input, textarea, select, button, summary, a, dialog, [contenteditable]";
/** Nobody says a word in less: a user who lets go so soon did not know that it is to be held. */
export const TAP_MS = 250;

/**
 * @param {HTMLButtonElement} button
 * @param {{onPress: () => void, onTalk: (heldMs: number) => void, onRelease: () => void,
 *   onTap: () => void}} hooks `onPress` at once; `onTalk` as soon as it is no tap, with how long it
 *   has been held; then `onRelease`. A tap has `onTap` instead of both
 */
export function holdToTalk(button, { onPress, onTalk, onRelease, onTap }) {
  /** @type {"up" | "pressed" | "talking"} */
  let state = "up";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {number} tapMs */
  const press = (tapMs) => {
    if (state !== "up" || button.disabled) return;
    state = "pressed";
    onPress();
    const talk = () => {
      state = "talking";
      onTalk(tapMs);
    };
    if (tapMs) timer = setTimeout(talk, tapMs);
    else talk();
  };
  const release = () => {
    clearTimeout(timer);
    const before = state;
    state = "up";
    if (before === "talking") onRelease();
    else if (before === "pressed") onTap();
  };

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (event.isTrusted) button.setPointerCapture(event.pointerId);
    press(TAP_MS);
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(kind, release);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("click", (event) => {
    if (event.detail !== 0) return; // a pointer's, which has been pressed and let go already
    if (state === "up") press(0);
    else release();
  });
  button.addEventListener("keydown", (event) => {
    // A key that is kept down would begin and end again and again.
    if (event.key === "Enter" && event.repeat) event.preventDefault();
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
    if (!event.repeat) press(TAP_MS);
  });
  document.addEventListener("keyup", (event) => {
    if (event.code !== "Space" || state === "up") return;
    event.preventDefault();
    release();
  });
  // The key or the finger may be let go elsewhere, unseen.
  window.addEventListener("blur", release);
  document.addEventListener("visibilitychange", () => document.hidden && release());
}
