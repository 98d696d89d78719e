/** The look of `<parley-talk>`. Custom properties and `::part` change it from outside. */

/** A constructed sheet is no inline style, so `style-src 'self'` lets it pass. */
export const STYLE = `
:host {
  --accent: var(--parley-accent, #0b57d0);
  --on-accent: var(--parley-on-accent, #fff);
  --background: var(--parley-background, #fff);
  --text: var(--parley-text, #1f1f1f);
  --quiet: var(--parley-quiet, #5a5a5a);
  --border: var(--parley-border, #8a8a8a);
  --error: var(--parley-error, #b3261e);
  --size: var(--parley-size, 3.5rem);
  display: inline-block;
  inline-size: var(--parley-width, 20rem);
  max-inline-size: 100%;
  color: var(--text);
  font: var(--parley-font, 1rem/1.4 system-ui, sans-serif);
  text-align: start;
}
@supports (color: light-dark(red, red)) {
  /* The page's own color-scheme decides, not the system alone. */
  :host {
    --accent: var(--parley-accent, light-dark(#0b57d0, #a8c7fa));
    --on-accent: var(--parley-on-accent, light-dark(#fff, #062e6f));
    --background: var(--parley-background, light-dark(#fff, #1e1f20));
    --text: var(--parley-text, light-dark(#1f1f1f, #e3e3e3));
    --quiet: var(--parley-quiet, light-dark(#5a5a5a, #c4c7c5));
    --border: var(--parley-border, light-dark(#8a8a8a, #8e918f));
    --error: var(--parley-error, light-dark(#b3261e, #f2b8b5));
  }
}
:host([hidden]), [hidden] { display: none !important; }
:host([position="floating"]) {
  position: fixed;
  inset-block-end: var(--parley-offset, 1rem);
  inset-inline-end: var(--parley-offset, 1rem);
  max-inline-size: calc(100vw - 2 * var(--parley-offset, 1rem));
  z-index: var(--parley-z-index, 1000);
}
* { box-sizing: border-box; }
.box {
  display: flex;
  flex-direction: column;
  gap: .75rem;
  padding: .75rem;
  border: 1px solid var(--border);
  border-radius: var(--parley-radius, 1rem);
  background: var(--background);
}
:host([position="floating"]) .box { box-shadow: 0 .25rem 1rem rgb(0 0 0 / 25%); }
.turns {
  max-block-size: min(16rem, 40vh);
  margin: 0;
  padding: 0;
  overflow: auto;
  list-style: none;
  overflow-wrap: anywhere;
}
.turns li + li { margin-block-start: .5rem; }
.turns p { margin: 0; }
.who { color: var(--quiet); font-size: .875em; }
del { color: var(--quiet); }
.problem { margin: 0; color: var(--error); font-size: .875em; }
.row { display: flex; align-items: center; gap: .75rem; }
.state { flex: 1; min-inline-size: 0; }
button {
  border: 1px solid transparent;
  border-radius: 2rem;
  font: inherit;
  cursor: pointer;
  touch-action: manipulation;
}
.talk {
  position: relative;
  flex: none;
  inline-size: var(--size);
  block-size: var(--size);
  padding: 0;
  border-radius: 50%;
  background: var(--accent);
  color: var(--on-accent);
  user-select: none;
  -webkit-touch-callout: none;
}
.talk[data-held] { touch-action: none; }
.talk svg { inline-size: 45%; block-size: 45%; vertical-align: middle; fill: currentcolor; }
.talk::before {
  content: "";
  position: absolute;
  inset: -4px;
  border: 3px solid transparent;
  border-radius: 50%;
}
.talk[data-state="listening"]::before, .talk[data-state="speaking"]::before {
  border-color: var(--accent);
  transform: scale(calc(1 + var(--level, 0) * .25));
}
.talk[data-state="speaking"]::before { border-style: double; }
.talk[data-state="connecting"]::before, .talk[data-state="thinking"]::before {
  border-color: var(--accent) transparent;
  animation: turn 1.2s linear infinite;
}
.talk[data-state="muted"], .talk[data-state="offline"] {
  border-color: var(--border);
  background: var(--background);
  color: var(--quiet);
}
.talk[data-state="error"] { background: var(--error); color: var(--background); }
.small {
  flex: none;
  min-block-size: 2rem;
  padding: .25rem .75rem;
  border-color: var(--border);
  background: none;
  color: inherit;
  font-size: .875em;
}
.small[aria-pressed="true"] { border-color: var(--text); background: var(--text); color: var(--background); }
form { display: flex; gap: .5rem; margin: 0; }
input {
  flex: 1;
  min-inline-size: 0;
  padding: .375rem .75rem;
  border: 1px solid var(--border);
  border-radius: 2rem;
  background: var(--background);
  color: inherit;
  font: inherit;
}
input::placeholder { color: var(--quiet); opacity: 1; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.told {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
@keyframes turn { to { rotate: 1turn; } }
@media (prefers-reduced-motion: reduce) {
  .talk::before { animation: none !important; transform: none !important; }
}
@media (forced-colors: active) {
  .talk, .small { border-color: ButtonText; }
  .talk svg { fill: ButtonText; }
  .small[aria-pressed="true"] { border-width: 3px; }
}
`;
