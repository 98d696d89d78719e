/**
 * A button that is held, or pressed once to begin and once more to end: who cannot hold one, by
 * keyboard, by switch or by a screen reader's click, can talk too.
 */

/** Who lets go sooner has pressed once. */
export const HOLD_MS = 300;

export class Press {
  /** When it was pressed; undefined when it is up.
   * @type {number | undefined} */
  #at;

  /**
   * @param {object} parts
   * @param {() => boolean} parts.isOn whether it has begun, by whatever way
   * @param {() => void} parts.begin
   * @param {() => void} parts.end
   */
  constructor(parts) {
    this.parts = parts;
  }

  /** @param {number} ms now */
  down(ms) {
    if (this.#at !== undefined) return;
    const { isOn, begin } = this.parts;
    // The second press ends when it is let go, however short it is.
    this.#at = isOn() ? -Infinity : ms;
    if (this.#at === ms) begin();
  }

  /** @param {number} ms now */
  up(ms) {
    if (this.#at === undefined) return;
    const heldMs = ms - this.#at;
    this.#at = undefined;
    if (heldMs >= HOLD_MS) this.parts.end();
  }

  /** The finger or the key is let go elsewhere, unseen. */
  lost() {
    this.up(Infinity);
  }

  /** A click without pointer or key. */
  click() {
    const { isOn, begin, end } = this.parts;
    if (isOn()) end();
    else begin();
  }
}

/**
 * @param {HTMLElement} button
 * @param {Press} press
 * @param {() => boolean} isHeld whether it is held at all, or an ordinary button now
 */
export function watchPress(button, press, isHeld) {
  /** @param {string} name @param {(event: any) => void} listener */
  const on = (name, listener) =>
    button.addEventListener(name, (event) => {
      if (isHeld()) listener(event);
    });
  /** @param {KeyboardEvent} event */
  const isOurs = ({ key }) => key === " " || key === "Enter";
  on("pointerdown", (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return;
    if (event.isTrusted) button.setPointerCapture(event.pointerId);
    press.down(event.timeStamp);
  });
  on("pointerup", ({ timeStamp }) => press.up(timeStamp));
  on("pointercancel", () => press.lost());
  on("lostpointercapture", () => press.lost());
  // A long press on a phone.
  on("contextmenu", (event) => event.preventDefault());
  on("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (!isOurs(event)) return;
    event.preventDefault(); // neither scrolls nor clicks
    if (!event.repeat) press.down(event.timeStamp);
  });
  on("keyup", (/** @type {KeyboardEvent} */ event) => {
    if (!isOurs(event)) return;
    event.preventDefault();
    press.up(event.timeStamp);
  });
  button.addEventListener("blur", () => press.lost());
  on("click", ({ detail }) => {
    if (detail === 0) press.click();
  });
}
