// How the comments look. Everything that a site may want to change is a custom property with a default; dark or light
// follows the `color-scheme` of the page around. The element is as high as what is in it, up to a limit. Fields are written
// in 16 px at least: below that phones zoom into a focused one.

const CSS = `
:host {
  --page: var(--repartee-page, light-dark(#faf9f7, #161513));
  --surface: var(--repartee-surface, light-dark(#fff, #1e1c1a));
  --tint: var(--repartee-tint, light-dark(#f4f1ec, #272421));
  --line: var(--repartee-line, light-dark(#e6e1d9, #35312c));
  --edge: var(--repartee-edge, light-dark(#938c81, #7d766c));
  --ink: var(--repartee-ink, light-dark(#23201c, #ece7df));
  --soft: var(--repartee-soft, light-dark(#6a635a, #a59d92));
  --brand: var(--repartee-brand, light-dark(#a9502d, #e08a62));
  --on-brand: var(--repartee-on-brand, light-dark(#fff, #1d120c));
  --brand-tint: color-mix(in srgb, var(--brand) 16%, transparent);
  --focus: var(--repartee-focus, light-dark(#1f6feb, #7db3ff));
  --good: light-dark(#2f7d4a, #74c690);
  --busy: light-dark(#8a5d06, #e3b34f);
  --bad: light-dark(#b3261e, #ff9a90);
  --radius: var(--repartee-radius, 0.75rem);
  --column: var(--repartee-column, 46rem);
  --accent: light-dark(#7a7267, #8d857a);
  --on-accent: light-dark(#fff, #000);
  position: relative;
  display: flex;
  flex-direction: column;
  box-sizing: border-box;
  max-height: var(--repartee-height, 36rem);
  border: var(--repartee-border, 1px solid var(--line));
  border-radius: var(--radius);
  overflow: hidden;
  background: var(--surface);
  color: var(--ink);
  font: 1rem/1.5 var(--repartee-font, system-ui, "Liberation Sans", sans-serif);
  text-align: start;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.foot { padding: 0 1.25rem max(0.5rem, env(safe-area-inset-bottom)); background: var(--page); color: var(--soft); font-size: 0.75rem; }
.foot > div { display: flex; flex-wrap: wrap; gap: 0.125rem 1rem; max-width: calc(var(--column) - 2.5rem); margin-inline: auto; }
.hint { margin: 0; }
.connection { min-width: 0; margin: 0 0 0 auto; overflow-wrap: anywhere; }
.connection::before, .status::before {
  display: inline-block; width: 0.5em; height: 0.5em; margin-inline-end: 0.5em; border-radius: 50%;
  background: currentColor; vertical-align: 0.08em; content: "";
}
.connection[data-state="live"]::before { background: var(--good); }
.connection:not([data-state="live"], [data-state="connecting"]) { color: var(--bad); font-weight: 600; }

.view { position: relative; display: flex; flex: 1 1 auto; flex-direction: column; min-height: 7rem; }
.composer, .foot { flex: none; }
.log { flex: 1 1 auto; min-height: 0; overflow-y: auto; overflow-anchor: none; overscroll-behavior: contain; scrollbar-gutter: stable both-edges; }
.log:focus-visible { outline-offset: -2px; }
.messages { max-width: var(--column); margin: 0 auto; padding: 1.25rem 0 0.75rem; list-style: none; }
.empty { max-width: 24rem; margin: 0 auto; padding: clamp(2rem, 16vh, 8rem) 1rem 2rem; color: var(--soft); text-align: center; }

.message { display: grid; grid-template-columns: 2.25rem minmax(0, 1fr); gap: 0 0.75rem; padding: 0.5rem 1.25rem; }
.message[data-day]::before {
  grid-column: 1 / -1; margin: 0.75rem 0 0.875rem; padding-top: 0.75rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: 0.75rem; font-weight: 600; text-align: center; content: attr(data-day);
}
.message[data-day]:first-child::before { margin-top: 0; padding-top: 0; border: 0; }
.message[data-state="sending"] { opacity: 0.6; }
.avatar {
  display: grid; place-items: center; width: 2.25rem; height: 2.25rem; border-radius: 50%; overflow: hidden;
  background: var(--accent); color: var(--on-accent); font-weight: 600; line-height: 1; text-transform: uppercase;
}
.ai .avatar { border-radius: 0.625rem; }
article { position: relative; min-width: 0; }
article header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.125rem 0.5rem; line-height: 1.35; }
.name { min-width: 0; font-weight: 650; overflow-wrap: anywhere; }
.badge { padding: 0 0.4em; border-radius: 0.35rem; background: var(--brand-tint); color: var(--brand); font-size: 0.6875rem; font-weight: 700; letter-spacing: 0.04em; }
.reply { min-width: 1.5rem; min-height: 1.5rem; padding: 0; border: 0; background: none; color: var(--soft); cursor: pointer; font: inherit; font-size: 0.8125rem; overflow-wrap: anywhere; text-align: start; }
.reply:hover { text-decoration: underline; }
time { margin-inline-start: auto; color: var(--soft); font-size: 0.75rem; font-variant-numeric: tabular-nums; }
.text { margin: 0.125rem 0 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.ai .text { margin-top: 0.375rem; padding: 0.5rem 0.875rem; border-radius: 0.25rem var(--radius) var(--radius) var(--radius); background: var(--tint); }
[data-state="writing"] :is(.text:not(.prose), .prose > :last-child)::after { display: inline-block; width: 0.45em; height: 1em; margin-inline-start: 0.15em; border-radius: 1px; background: var(--brand); vertical-align: -0.15em; content: ""; }
.deleted .text { color: var(--soft); font-style: italic; }
.status { margin: 0.25rem 0 0; color: var(--soft); font-size: 0.8125rem; overflow-wrap: anywhere; }
.status[data-state="pending"]::before { border: 1.5px solid currentColor; background: none; }
.status:is([data-state="processing"], [data-state="writing"]) { color: var(--busy); }
.status[data-state="complete"]::before { background: var(--good); }
.status[data-state="failed"] { color: var(--bad); }

.acts { position: absolute; inset-block-start: -0.375rem; inset-inline-end: -0.25rem; display: flex; border: 1px solid var(--line); border-radius: 0.5rem; background: var(--surface); opacity: 0; pointer-events: none; }
.acts:is(.on, :focus-within) { opacity: 1; pointer-events: auto; }
.acts button, .act, .about button { min-height: 1.75rem; padding: 0 0.625rem; border: 0; background: none; color: var(--soft); cursor: pointer; font: inherit; font-size: 0.8125rem; }
.act, .about button { border: 1px solid var(--line); border-radius: 2rem; color: var(--ink); }

.older { display: block; min-height: 1.5rem; margin: 1rem auto 0; padding: 0.25rem 0.875rem; border: 1px solid var(--line); border-radius: 2rem; background: none; color: var(--soft); cursor: pointer; font: inherit; font-size: 0.8125rem; }
.older[data-state="failed"] { border-color: var(--bad); color: var(--bad); }
.newest {
  position: absolute; inset-block-end: 0.75rem; inset-inline: 0; width: fit-content; margin: 0 auto;
  padding: 0.375rem 1rem; border: 0; border-radius: 2rem; background: var(--brand); color: var(--on-brand);
  cursor: pointer; font: inherit; font-size: 0.875rem; font-weight: 600;
}

.composer { width: 100%; padding: 0.625rem 1.25rem 0.375rem; border-top: 1px solid var(--line); background: var(--page); }
.composer > * { max-width: calc(var(--column) - 2.5rem); margin-inline: auto; }
.who { margin-bottom: 0.375rem; color: var(--soft); font-size: 0.8125rem; }
summary { display: flex; align-items: center; gap: 0.375rem; width: fit-content; max-width: 100%; min-height: 1.75rem; cursor: pointer; list-style: none; overflow-wrap: anywhere; }
summary::-webkit-details-marker { display: none; }
summary::after { content: "▾"; }
[open] > summary::after { content: "▴"; }
.dot { flex: none; width: 0.75rem; height: 0.75rem; border-radius: 50%; background: var(--accent); }
.about { display: flex; align-items: center; gap: 0.625rem; margin-block: 0 0.375rem; color: var(--soft); font-size: 0.8125rem; }
.about span { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.fields { display: flex; align-items: center; gap: 0.625rem; padding-block: 0.125rem; }
.field { display: flex; flex: 0 1 15rem; align-items: center; gap: 0.375rem; min-width: 0; color: var(--soft); font-size: 0.8125rem; white-space: nowrap; }
.field-color { flex: none; }
input, textarea {
  width: 100%; min-width: 0; padding: 0.25rem 0.625rem; border: 1px solid var(--edge); border-radius: calc(var(--radius) * 0.75);
  background: var(--surface); color: var(--ink); font: inherit; font-size: 1rem;
}
input { height: 2.125rem; }
input[type="color"] { width: 2.125rem; padding: 0.125rem; border-radius: 50%; cursor: pointer; }
input[type="color"]::-webkit-color-swatch-wrapper { padding: 2px; }
input[type="color"]::-webkit-color-swatch { border: 0; border-radius: 50%; }
::placeholder { color: var(--soft); opacity: 1; }
[aria-invalid="true"] { border-color: var(--bad); }
.write { display: flex; align-items: flex-end; gap: 0.625rem; }
textarea { flex: 1; min-height: 2.75rem; max-height: 30vh; padding: 0.5625rem 0.875rem; resize: none; }
textarea:read-only { color: var(--soft); }
#send { flex: none; height: 2.75rem; padding: 0 1.375rem; border: 0; border-radius: calc(var(--radius) * 0.75); background: var(--brand); color: var(--on-brand); cursor: pointer; font: inherit; font-weight: 600; }
button:hover { filter: brightness(1.07); }
button:disabled { cursor: default; filter: saturate(0.4); }
.error { margin-block: 0; color: var(--bad); font-size: 0.875rem; overflow-wrap: anywhere; white-space: pre-wrap; }
.error:not(:empty) { margin-top: 0.5rem; padding: 0.5rem 0.75rem; border-radius: 0.5rem; background: color-mix(in srgb, var(--bad) 12%, transparent); }

:host { container-type: inline-size; }
@container (max-width: 34rem) {
  .message { grid-template-columns: 1.875rem minmax(0, 1fr); gap: 0 0.625rem; padding-inline: 0.875rem; }
  .avatar { width: 1.875rem; height: 1.875rem; font-size: 0.875rem; }
  .composer, .foot { padding-inline: 0.875rem; }
  .field { flex: 1 1 0; }
  .field-color { flex: none; }
  .hint { display: none; }
  #send { padding-inline: 1rem; }
}
@media (prefers-reduced-motion: no-preference) {
  .status:is([data-state="processing"], [data-state="sending"], [data-state="writing"])::before,
  [data-state="writing"] :is(.text:not(.prose), .prose > :last-child)::after { animation: breathe 1.2s ease-in-out infinite alternate; }
  @keyframes breathe { from { opacity: 1; } to { opacity: 0.25; } }
}
`;

let made = null;

/** The style sheet, one for all elements of a page. */
export function sheet() {
  if (made === null) {
    made = new CSSStyleSheet();
    made.replaceSync(CSS);
  }
  return made;
}
