/** The moving bars: the loudness of who is speaking, newest at the right. */

const BAR_PX = 3;
const GAP_PX = 3;
const STEP_MS = 50;

export class Waveform {
  /** @type {{level: number, source: string}[]} */
  #bars = [];
  #due = 0;
  #drawing = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => {level: number, source: "mine" | "reply" | "room"} | undefined} current who speaks now,
   *   and how loud
   */
  constructor(canvas, current) {
    this.canvas = canvas;
    this.current = current;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  /** Someone speaks: move until the bars have run out. */
  wake() {
    if (this.#drawing) return;
    this.#drawing = true;
    this.#due = performance.now();
    requestAnimationFrame((now) => this.#frame(now));
  }

  /** @param {number} now */
  #frame(now) {
    const speaker = this.current();
    for (; this.#due <= now; this.#due += STEP_MS) {
      this.#bars.push(speaker ?? { level: 0, source: "" });
    }
    const room = Math.ceil(this.canvas.clientWidth / (BAR_PX + GAP_PX)) + 1;
    this.#bars = this.#bars.slice(-room);
    this.#draw();
    this.#drawing = speaker !== undefined || this.#bars.some((bar) => bar.source);
    if (!this.#drawing) return;
    // Between two bars nothing moves: a frame for each of the screen's would be drawn in vain.
    setTimeout(() => requestAnimationFrame((next) => this.#frame(next)), this.#due - now);
  }

  #draw() {
    const { canvas } = this;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    if (!pen || !width) return;
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const colours = {
      mine: style.getPropertyValue("--accent"),
      reply: style.getPropertyValue("--ink"),
      room: style.getPropertyValue("--soft"),
      "": style.getPropertyValue("--line-strong"),
    };
    for (let i = 0, x = width - BAR_PX; x > 0; i += 1, x -= BAR_PX + GAP_PX) {
      const bar = this.#bars[this.#bars.length - 1 - i] ?? { level: 0, source: "" };
      // Loudness is heard as a ratio; the root brings quiet speech into sight.
      const tall = Math.max(BAR_PX, Math.sqrt(Math.min(1, bar.level)) * height);
      pen.fillStyle = colours[/** @type {keyof typeof colours} */ (bar.source)];
      pen.globalAlpha = Math.min(1, x / 60);
      pen.beginPath();
      pen.roundRect(x, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
      pen.fill();
    }
  }
}
