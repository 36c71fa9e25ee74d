// Shows what bots write in Markdown, and the addresses in what people write. Elements are made by DOM calls alone: no text
// becomes markup, nothing is loaded, and a link leads to the web or to a mailbox, or is none. Loaded when it is needed.

import { copy, h } from "./dom.js";
import { addresses, parse } from "./markdown.js";

/** The most inlines within each other; what would be deeper is not set off any more. */
const DEPTH = 12;
/** What turns the direction of the text that follows, and so may make an address read as another one. */
const TURNS = /\p{Bidi_Control}/u;
const SCHEMES = new Set(["http:", "https:", "mailto:"]);
const CSS = `
:host { --code: light-dark(rgb(0 0 0 / 0.055), rgb(255 255 255 / 0.075)); }
.prose { white-space: pre-line; }
.prose :is(p, ul, ol, blockquote, .code, .table, hr) { margin: 0 0 0.625rem; }
.prose :is(h3, h4, h5, h6) { margin: 0.75rem 0 0.375rem; font-size: 1.0625rem; line-height: 1.35; }
.prose :is(ul, ol) { padding-inline-start: 1.5rem; }
.prose ul { list-style: disc; }
:is(.prose, .prose blockquote, .prose li) > :first-child { margin-top: 0; }
:is(.prose, .prose blockquote, .prose li) > :last-child { margin-bottom: 0; }
blockquote { padding-inline-start: 0.75rem; border-inline-start: 3px solid var(--line); color: var(--soft); }
hr { border: 0; border-top: 1px solid var(--line); }
code { padding: 0.1em 0.3em; border-radius: 0.3rem; background: var(--code); font: 0.875em/1.5 ui-monospace, "Liberation Mono", monospace; }
pre { margin: 0; padding: 0.625rem 0.875rem; overflow-x: auto; white-space: pre; }
pre code { padding: 0; background: none; }
.code { position: relative; border-radius: 0.5rem; background: var(--code); }
.copy { position: absolute; inset-block-start: 0.25rem; inset-inline-end: 0.25rem; background: var(--surface); }
.table { overflow-x: auto; }
table { border-collapse: collapse; }
:is(th, td) { padding: 0.25rem 0.625rem; border: 1px solid var(--line); text-align: start; }
.right { text-align: right; }
.center { text-align: center; }
.text a { unicode-bidi: isolate; direction: ltr; color: var(--brand); overflow-wrap: anywhere; }
.host { color: var(--soft); font-size: 0.8125em; }
`;
let sheet = null;
/** What stands in an element: for each block its value, and its node. */
const shown = new WeakMap();

/**
 * Shows a text in an element. Blocks that are the same as the last time keep their elements, so that a draft that grows
 * moves nothing that somebody reads, selects or copies.
 * @param {HTMLElement} element
 * @param {string} text
 * @param {boolean} isMarkdown otherwise only addresses are links
 */
export function show(element, text, isMarkdown) {
  // A new line is put into its place after it was filled.
  queueMicrotask(() => adopt(element.getRootNode()));
  const blocks = isMarkdown ? parse(text) : [{ type: "span", inline: addresses(text) }];
  const before = shown.get(element) ?? [];
  const now = blocks.map((block, at) => {
    const value = JSON.stringify(block);
    const known = before[at];
    return known?.value === value && known.node === element.childNodes[at] ? known : { value, node: nodeOf(block) };
  });
  let same = 0;
  while (same < now.length && now[same] === before[same]) same += 1;
  while (element.childNodes.length > same) element.lastChild.remove();
  element.append(...now.slice(same).map(({ node }) => node));
  shown.set(element, now);
}

function adopt(root) {
  if (sheet === null) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  if (!root.adoptedStyleSheets?.includes(sheet)) root.adoptedStyleSheets?.push(sheet);
}

function nodeOf(block) {
  switch (block.type) {
    case "h":
      return filled(h(`h${Math.min(6, block.level + 2)}`), block.inline);
    case "code":
      return codeOf(block);
    case "quote":
      return h("blockquote", {}, ...block.blocks.map(nodeOf));
    case "list":
      return listOf(block);
    case "table":
      return tableOf(block);
    default:
      return filled(h(block.type), block.inline ?? []);
  }
}

function codeOf({ text }) {
  const button = h("button", { type: "button", className: "act copy" }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(text)) ? "Copied" : "Not copied";
  });
  return h("div", { className: "code" }, button, h("pre", { tabIndex: 0, role: "group", "aria-label": "Code", dir: "ltr" }, h("code", { textContent: text })));
}

function listOf({ start, tight, items }) {
  const list = start === null ? h("ul") : h("ol", { start });
  for (const blocks of items) {
    const item = h("li");
    for (const block of blocks) {
      if (tight && block.type === "p") filled(item, block.inline);
      else item.append(nodeOf(block));
    }
    list.append(item);
  }
  return list;
}

function tableOf({ align, head, rows }) {
  const row = (tag, cells) => h("tr", {}, ...cells.map((cell, at) => filled(h(tag, align[at] ? { className: align[at] } : {}), cell)));
  const table = h("table", {}, h("thead", {}, row("th", head)), h("tbody", {}, ...rows.map((cells) => row("td", cells))));
  return h("div", { className: "table", tabIndex: 0, role: "group", "aria-label": "Table" }, table);
}

/** The element with these inlines in it. */
export function filled(element, inlines) {
  const open = [element];
  const turns = TURNS.test(JSON.stringify(inlines));
  for (const token of inlines) {
    const around = open.at(-1);
    if (typeof token === "string") around.append(token);
    else if (token.code !== undefined) around.append(h("code", { textContent: token.code }));
    else if (token.br) around.append(h("br"));
    else if (token.close) closed(open.pop(), open.at(-1), turns);
    else open.push(opened(token, around, open));
  }
  return element;
}

/** The element that a token opens; the one around it where it may open none. */
function opened({ open, href, title }, around, all) {
  if (all.length > DEPTH) return around;
  let element;
  if (href === undefined) {
    element = h(open);
  } else {
    const url = destination(href);
    if (url === null || all.some(({ localName }) => localName === "a")) return around;
    element = h("a", { href: url.href, rel: "noopener nofollow ugc", target: "_blank", ...(title && { title }) });
  }
  around.append(element);
  return element;
}

/** Behind a link stands where it leads, unless its text says that. */
function closed(element, around, turns) {
  if (element === around || element.localName !== "a") return;
  const { place, isSaid } = leadsTo(element.href, element.textContent, turns);
  if (element.textContent.trim() === "") element.append(place);
  else if (!isSaid) around.append(" ", h("bdi", { className: "host" }, `(${place})`));
}

/** Where a link leads, and whether its text says that; none does in a block that `turns` the direction of text. */
export function leadsTo(href, words, turns) {
  const { origin, host, protocol, pathname } = new URL(href);
  const place = protocol === "mailto:" ? pathname : host;
  const text = words.trim();
  const isSaid = !turns && (text === place || (origin !== "null" && (text === origin || text.startsWith(`${origin}/`))));
  return { place, isSaid };
}

/** Where an address leads; null where it leads to nothing that a link may lead to. */
function destination(href) {
  try {
    const url = new URL(href);
    return SCHEMES.has(url.protocol) ? url : null;
  } catch {
    return null;
  }
}
