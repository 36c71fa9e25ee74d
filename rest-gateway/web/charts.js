// The charts of the operator's page: pictures that the server draws, and beside them the values of one point, under the
// pointer or by the arrow keys.

import { call } from "./calls.js";
import { at } from "./parts.js";
import { age, described, values } from "./tables.js";

const NAMES = ["throughput", "latency", "answers", "depth", "storage"];
/** Where the pictures begin and end to show points, in px from their edges: as `admin/chart.rs` lays them out. */
const LEFT = 52;
const RIGHT = 24;
/** How far the arrow keys, and those for a page, go. */
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

const dark = matchMedia("(prefers-color-scheme: dark)");
let history = null;
let drawn = "";
/** Of each chart, the point whose values are shown: the newest is the last of `most`. */
const shown = new Map();

/** Fetches the pictures anew if there is a new point, another span or another theme. */
export async function draw(now, span) {
  history = now;
  const { points, intervalMs } = history;
  const theme = dark.matches ? "dark" : "light";
  const state = `${points.at(-1)?.time} ${theme} ${span}`;
  for (const name of shown.keys()) tell(name);
  if (state === drawn) return;
  for (const image of document.querySelectorAll("[data-chart]")) {
    const name = image.dataset.chart;
    const width = Math.round(Math.min(2_000, Math.max(200, image.clientWidth)));
    const picture = await (await call(`api/admin/chart/${name}?span=${span}&theme=${theme}&width=${width}`)).blob();
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(picture);
    image.alt = described(name, points, intervalMs);
    if (!shown.has(name)) at(`plot-${name}`).setAttribute("aria-valuetext", image.alt);
  }
  // Only now: charts of which one failed are fetched again with the next look.
  drawn = state;
}

/** Lets the charts be asked for their values; `changed` is called when the theme is another one. */
export function listen(changed) {
  dark.addEventListener("change", changed);
  for (const name of NAMES) {
    const plot = at(`plot-${name}`);
    plot.addEventListener("pointermove", (event) => show(name, under(plot, event)));
    plot.addEventListener("pointerdown", (event) => show(name, under(plot, event)));
    plot.addEventListener("pointerleave", () => document.activeElement === plot || hide(name));
    plot.addEventListener("focus", () => shown.has(name) || show(name, Infinity));
    plot.addEventListener("blur", () => hide(name));
    plot.addEventListener("keydown", (event) => {
      const to = { Home: 0, End: Infinity }[event.key] ?? (event.key in STEPS ? (shown.get(name) ?? Infinity) + STEPS[event.key] : null);
      if (event.key === "Escape") hide(name);
      if (to === null) return;
      event.preventDefault();
      show(name, to);
    });
  }
}

/** The point under a pointer. */
function under(plot, event) {
  const { left, width } = plot.getBoundingClientRect();
  const share = (event.clientX - left - LEFT) / Math.max(1, width - LEFT - RIGHT);
  return history === null ? 0 : Math.round(share * (history.most - 1));
}

/** Shows the values of a point, or of the nearest that there is. */
function show(name, to) {
  if (history === null || history.points.length === 0) return;
  const first = history.most - history.points.length;
  shown.set(name, Math.min(history.most - 1, Math.max(first, to)));
  tell(name);
}

function hide(name) {
  shown.delete(name);
  at(`mark-${name}`).hidden = true;
  at(`values-${name}`).textContent = "";
}

function tell(name) {
  const [plot, mark] = [at(`plot-${name}`), at(`mark-${name}`)];
  const { points, most, intervalMs } = history;
  const slot = Math.max(shown.get(name), most - points.length);
  const point = points[slot - (most - points.length)];
  if (point === undefined) return;
  shown.set(name, slot);
  const ago = (most - 1 - slot) * intervalMs;
  const said = `${ago === 0 ? "now" : `${age(ago)} ago`}: ${values(name, point, intervalMs)}`;
  at(`values-${name}`).textContent = said;
  for (const [attribute, value] of [["aria-valuemin", 0], ["aria-valuemax", most - 1], ["aria-valuenow", slot], ["aria-valuetext", said]]) {
    plot.setAttribute(attribute, value);
  }
  // Through the CSSOM, which a strict CSP allows.
  mark.style.setProperty("--share", String(slot / Math.max(1, most - 1)));
  mark.hidden = false;
}
