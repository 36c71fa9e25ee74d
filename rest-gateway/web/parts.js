// What the tables of the operator's page are made of. What people wrote reaches it as text only.

import { h, isolated } from "./dom.js";
import { short } from "./tables.js";

export const at = (id) => document.getElementById(id);

/** A cell whose content stands at its end, as numbers do. */
export function number(content) {
  return { className: "number", content: String(content) };
}

/** The head of a column that needs no words for those who see it. */
export function unseen(words) {
  return { className: "", content: h("span", { className: "visually-hidden" }, words) };
}

export function words(text, ...below) {
  return h("div", { className: "words" }, h("p", { dir: "auto" }, text), h("span", { className: "soft" }, ...below));
}

/** What stands for somebody or something: its first digits, and all of it on request. */
export function digits(text) {
  return h("code", { title: text }, short(text));
}

/** A button that is being used stays in use: what is under a finger is not exchanged. */
export function keepFocus(part, change) {
  const focused = part.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  change?.();
  if (focused !== undefined) requestAnimationFrame(() => part.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus());
}

/** Fills a table. Each cell knows the head of its column, which stands beside it where a row is shown as a card. */
export function fill(id, heads, rows, none) {
  const table = at(id);
  keepFocus(table);
  table.setAttribute("role", "table");
  if (rows.length === 0) {
    table.replaceChildren(h("tbody", {}, h("tr", {}, h("td", { className: "none" }, none))));
    return;
  }
  const plain = (one) => (one?.className !== undefined && one.content !== undefined ? one : { className: "", content: one });
  const headOf = (one) => h("th", { role: "columnheader", scope: "col", className: plain(one).className }, plain(one).content);
  const label = (one) => (typeof plain(one).content === "string" ? plain(one).content : "");
  const cell = (one, column) => h("td", { role: "cell", className: plain(one).className, "data-head": label(heads[column]) }, plain(one).content);
  table.replaceChildren(
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...heads.map(headOf))),
    h("tbody", { role: "rowgroup" }, ...rows.map((row) => h("tr", { role: "row" }, ...row.map(cell)))),
  );
}

/** A button; `key` tells it from the others of its table, so that it keeps the focus. */
export function button(name, label, key, act) {
  const made = h("button", { type: "button", "aria-label": label }, name);
  made.dataset.key = `${name} ${key}`;
  made.addEventListener("click", () => act(made));
  return made;
}

/** What a button that is about a text says of it. */
export function about(name, text) {
  return `${name}: ${isolated(text.slice(0, 60))}`;
}
