// Markdown as bots write it, read into plain values: the blocks and inlines of CommonMark 0.31.2, and the tables, strokes
// and bare addresses of GitHub. Left out are HTML, which stays text, and link definitions. Pure: it makes no elements.
//
// Whatever is written, reading takes time in proportion to its length, and what comes of it is nested no deeper than DEPTH.

/** The deepest nesting of quotes and lists together; what would be deeper is text. */
const DEPTH = 16;
/** The most columns of a table. */
const COLUMNS = 32;
/** The most parentheses within each other in an address (CommonMark's own limit). */
const PARENTHESES = 32;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™", hellip: "…", mdash: "—", ndash: "–" };
const ENTITY = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]+));/giy;
const ESCAPED = /\\([!-/:-@[-\x60{-~])|&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]+));/gi;

/**
 * A block: `p`, `h` (with `level`) and `table` (`align`, `head`, `rows`) hold inlines; `code` holds `text` and `lang`;
 * `quote` holds `blocks`, `list` (`start`, null for bullets; `tight`) holds `items`, each a list of blocks; `hr` is a line.
 * Inlines are a flat list: strings, `{ code }`, `{ br }`, `{ open, href?, title? }` and `{ close }`.
 *
 * @param {string} text
 * @returns {object[]} the blocks
 */
export function parse(text) {
  return new Blocks().read(text.replaceAll("\0", "\ufffd").replace(/\r?\n$/, "").split(/\r\n?|\n/));
}

/** One line, and how far it was read. A tab reaches to the next column that four divides. */
class Line {
  at = 0;
  column = 0;

  constructor(text) {
    this.text = text;
  }

  /** Columns of white space that come next. */
  get indent() {
    let { column } = this;
    for (let at = this.at; this.text[at] === " " || this.text[at] === "\t"; at += 1) column += this.text[at] === "\t" ? 4 - (column % 4) : 1;
    return column - this.column;
  }

  get rest() {
    return this.text.slice(this.at);
  }

  /** What follows the white space. */
  get content() {
    return this.rest.replace(/^[ \t]+/, "");
  }

  get isBlank() {
    return this.content === "";
  }

  /** Takes so many columns; of a tab that reaches further, spaces are left. */
  take(columns) {
    for (let left = columns; left > 0 && this.at < this.text.length; left -= 1) {
      if (this.text[this.at] === "\t") {
        const width = 4 - (this.column % 4);
        this.text = this.text.slice(0, this.at) + " ".repeat(width) + this.text.slice(this.at + 1);
      }
      this.at += 1;
      this.column += 1;
    }
    return true;
  }
}

const isVerbatim = ({ type }) => type === "code" || type === "indented";
const holds = (block, inner) => (block.type === "list" ? inner.type === "item" : block.type === "quote" || block.type === "item");

/** The blocks of a text, line by line (phase 1 of the specification's appendix). */
class Blocks {
  #root = { type: "quote", blocks: [] };
  /** Those that may go on, from the outermost to the innermost, and how many of them the line goes on. */
  #open = [this.#root];
  #matched = 1;
  #number = 0;

  read(lines) {
    for (const text of lines) {
      this.#number += 1;
      this.#line(new Line(text));
    }
    return this.#root.blocks.map(finished);
  }

  #line(line) {
    for (this.#matched = 1; this.#matched < this.#open.length; this.#matched += 1) {
      const goes = this.#goesOn(this.#open[this.#matched], line);
      if (goes === "line") return;
      if (!goes) break;
    }
    const tip = this.#open.at(-1);
    let isLazy = this.#matched < this.#open.length && tip.type === "p" && !line.isBlank;
    while (!isVerbatim(this.#open[this.#matched - 1])) {
      const started = this.#start(line, this.#open[this.#matched - 1]);
      if (!started) break;
      if (started === "line") return;
      isLazy = false;
    }
    if (isLazy) {
      this.#say(tip, line.content);
      return;
    }
    this.#open.length = this.#matched;
    const last = this.#open.at(-1);
    if (isVerbatim(last)) this.#say(last, line.rest, last.type === "code" || !line.isBlank);
    else if (line.isBlank) return;
    else this.#say(last.lines ? last : this.#begin({ type: "p", lines: [] }), line.content);
  }

  #say(block, text, counts = true) {
    block.lines.push(text);
    if (counts) this.#reach();
  }

  /** All that is open reaches to this line. */
  #reach() {
    for (const block of this.#open) block.last = this.#number;
  }

  /** A new block; what does not go on ends, and so does what cannot hold it. */
  #begin(block) {
    this.#open.length = this.#matched;
    while (!holds(this.#open.at(-1), block)) this.#open.pop();
    this.#open.at(-1).blocks.push(block);
    this.#open.push(block);
    this.#matched = this.#open.length;
    block.first = this.#number;
    this.#reach();
    return block;
  }

  /** The same for a block of one line. */
  #beginLine(block) {
    this.#begin(block);
    this.#open.pop();
    return "line";
  }

  /** Whether a block goes on with a line, of which its marks are taken; "line" where that was all of it. */
  #goesOn(block, line) {
    switch (block.type) {
      case "list":
        return true;
      case "quote":
        if (line.indent > 3 || line.content[0] !== ">") return false;
        for (const around of this.#open.slice(0, this.#matched + 1)) around.last = this.#number;
        return quoted(line);
      case "item":
        if (line.isBlank) return block.blocks.length > 0;
        return line.indent >= block.offset && line.take(block.offset);
      case "indented":
        return (line.indent >= 4 || line.isBlank) && line.take(4);
      case "code":
        return this.#isEnd(block, line) ? "line" : line.take(Math.min(line.indent, block.offset));
      default:
        return !line.isBlank;
    }
  }

  #isEnd(block, line) {
    const [end] = (line.indent < 4 && /^(?:\x60{3,}|~{3,})(?=[ \t]*$)/.exec(line.content)) || [""];
    if (end[0] !== block.fence[0] || end.length < block.fence.length) return false;
    this.#reach();
    this.#open.length = this.#matched;
    return true;
  }

  /** Whether a block starts here; "line" where it takes all of the line. */
  #start(line, parent) {
    const { indent, content } = line;
    if (content === "") return false;
    if (indent >= 4) {
      if (this.#open.at(-1).type === "p") return false;
      line.take(4);
      return this.#begin({ type: "indented", lines: [] });
    }
    const nests = this.#open.slice(0, this.#matched).filter(({ type }) => type === "quote" || type === "item").length <= DEPTH;
    if (content[0] === ">" && nests) return quoted(line) && this.#begin({ type: "quote", blocks: [] });
    const heading = /^#{1,6}(?=[ \t]|$)/.exec(content);
    if (heading) {
      const text = content.slice(heading[0].length).trim().replace(/(^|[ \t])#+$/, "");
      return this.#beginLine({ type: "h", level: heading[0].length, lines: [text] });
    }
    const fence = /^(\x60{3,})[^\x60]*$|^(~{3,})/.exec(content);
    if (fence) {
      const mark = fence[1] ?? fence[2];
      this.#begin({ type: "code", fence: mark, offset: indent, info: content.slice(mark.length).trim(), lines: [] });
      return "line";
    }
    if (parent.type === "p") {
      const under = /^(?:(=+)|-+)[ \t]*$/.exec(content);
      if (under) return this.#underlined(parent, under[1] ? 1 : 2);
      if (this.#isTable(parent, content)) return "line";
    }
    if (/^(?:(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|(?:-[ \t]*){3,})$/.test(content)) return this.#beginLine({ type: "hr" });
    return nests && this.#item(line, parent, indent, content);
  }

  #underlined(paragraph, level) {
    this.#reach();
    Object.assign(paragraph, { type: "h", level });
    this.#open.length = this.#matched - 1;
    return "line";
  }

  /** A line of dashes and bars under a line with as many cells makes a table of both. */
  #isTable(paragraph, content) {
    if (!content.includes("|") || !/^\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?$/.test(content.trim())) return false;
    const head = cells(paragraph.lines.at(-1));
    const under = cells(content);
    if (head.length !== under.length || head.length > COLUMNS) return false;
    paragraph.lines.pop();
    const around = this.#open[this.#matched - 2];
    if (paragraph.lines.length === 0) around.blocks.pop();
    const sides = { "::": "center", ":-": "left", "-:": "right" };
    this.#begin({ type: "table", head, align: under.map((cell) => sides[cell[0] + cell.at(-1)] ?? null), lines: [] });
    return true;
  }

  #item(line, parent, indent, content) {
    const mark = /^(?:([-+*])|(\d{1,9})([.)]))(?=[ \t]|$)/.exec(content);
    if (!mark) return false;
    const isEmpty = content.slice(mark[0].length).trim() === "";
    // Within a paragraph a number is a number, unless it is 1.
    if (parent.type === "p" && (isEmpty || (mark[2] !== undefined && Number(mark[2]) !== 1))) return false;
    line.take(indent + mark[0].length);
    const space = isEmpty || line.indent > 4 ? 1 : line.indent;
    line.take(space);
    const kind = mark[1] ?? mark[3];
    if (parent.type !== "list" || parent.kind !== kind) {
      // A list of another kind: the one before has ended.
      if (parent.type === "list") this.#matched -= 1;
      this.#begin({ type: "list", kind, start: mark[2] === undefined ? null : Number(mark[2]), blocks: [] });
    }
    return this.#begin({ type: "item", offset: indent + mark[0].length + space, blocks: [] });
  }
}

function quoted(line) {
  line.take(line.indent + 1);
  if (line.indent > 0) line.take(1);
  return true;
}

function cells(row) {
  return row.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** The value of a block that was read. */
function finished({ type, blocks, lines, ...more }) {
  switch (type) {
    case "quote":
      return { type, blocks: blocks.map(finished) };
    case "list":
      return { type, start: more.start, tight: isTight(blocks), items: blocks.map((item) => item.blocks.map(finished)) };
    case "indented":
      while (lines.at(-1).trim() === "") lines.pop();
      return { type: "code", lang: "", text: lines.join("\n") };
    case "code":
      return { type, lang: unescaped(more.info).split(/\s/)[0], text: lines.join("\n") };
    case "table": {
      const rows = lines.map((row) => cells(row).slice(0, more.head.length).map(inline));
      return { type, align: more.align, head: more.head.map(inline), rows };
    }
    case "hr":
      return { type };
    default:
      return { type, ...(more.level && { level: more.level }), inline: inline(lines.join("\n").trim()) };
  }
}

/** No empty line between items, nor between what stands in one. */
function isTight(items) {
  const isGap = (block, at, all) => at > 0 && block.first > all[at - 1].last + 1;
  return !items.some(isGap) && !items.some(({ blocks }) => blocks.some(isGap));
}

const character = (decimal, hexadecimal, name, as) => {
  if (name) return Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : as;
  const code = decimal ? Number(decimal) : parseInt(hexadecimal, 16);
  return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : "\ufffd";
};
/** A text without its backslashes, and with characters for their names. */
const unescaped = (text) => text.replace(ESCAPED, (as, sign, ...named) => sign ?? character(...named.slice(0, 3), as));
const SPECIAL = /[\\\x60*_~[\]!<&\n]|https?:\/\//g;
const ADDRESSES = /https?:\/\//g;
const ADDRESS = /https?:\/\/[^\s<>[\]\x60]+/y;
const AUTOLINK = /<(?:([a-z][a-z\d+.-]{1,31}:[^\s<>\x00-\x20]*)|([\w.!#$%&'*+/=?^\x60{|}~-]+@[a-z\d][a-z\d.-]*))>/iy;
const DESTINATION = /<((?:[^<>\n\\]|\\.)*)>/y;
const TITLE = /\s+(?:"((?:[^"\\]|\\[^])*)"|'((?:[^'\\]|\\[^])*)'|\(((?:[^()\\]|\\[^])*)\))/y;
const TAGS = { "~": ["del", "del"], "*": ["em", "strong"], _: ["em", "strong"] };

function inline(text) {
  return new Inlines(text, SPECIAL).read();
}

/** What stands within a block (phase 2 of the specification's appendix). */
class Inlines {
  #text;
  /** The signs that may be more than themselves. */
  #looksFor;
  #at = 0;
  #tokens = [];
  /** The innermost run of signs that may open or close something; those before it by `previous`. */
  #run = null;
  #runs = 0;
  #brackets = [];
  /** Lengths of runs of backticks that nothing closes from here on. */
  #unclosed = new Set();

  constructor(text, special) {
    this.#text = text;
    this.#looksFor = special;
  }

  read() {
    while (this.#at < this.#text.length) {
      const found = this.#match(this.#looksFor);
      const end = found?.index ?? this.#text.length;
      if (end > this.#at) this.#tokens.push(this.#text.slice(this.#at, end));
      this.#at = end;
      if (found && !this.#special(found[0])) {
        this.#tokens.push(found[0]);
        this.#at += found[0].length;
      }
    }
    this.#pair(null);
    return flat(this.#tokens);
  }

  #match(pattern, at = this.#at) {
    pattern.lastIndex = at;
    return pattern.exec(this.#text);
  }

  #take(length, ...tokens) {
    this.#tokens.push(...tokens);
    this.#at += length;
    return true;
  }

  /** Reads what a special sign begins; false where it is only itself. */
  #special(sign) {
    switch (sign) {
      case "\\": {
        const next = this.#text[this.#at + 1];
        if (next === "\n") return this.#take(2, { br: true });
        return /[!-/:-@[-\x60{-~]/.test(next ?? "") && this.#take(2, next);
      }
      case "\x60":
        return this.#code();
      case "*": case "_": case "~":
        return this.#signs(sign);
      case "[":
        return this.#bracket("a", "[");
      case "!":
        return this.#text[this.#at + 1] === "[" && this.#bracket("img", "![");
      case "]":
        return this.#link();
      case "<": {
        const [all, address, mail] = this.#match(AUTOLINK) ?? [];
        return all !== undefined && this.#take(all.length, { open: "a", href: address ?? `mailto:${mail}` }, address ?? mail, { close: true });
      }
      case "&": {
        const named = this.#match(ENTITY);
        return named !== null && this.#take(named[0].length, character(named[1], named[2], named[3], named[0]));
      }
      case "\n":
        return this.#lineEnd();
      default:
        return this.#address();
    }
  }

  #lineEnd() {
    const before = this.#tokens.at(-1);
    const isBreak = typeof before === "string" && before.endsWith("  ");
    if (typeof before === "string") this.#tokens[this.#tokens.length - 1] = withoutEnd(before);
    return this.#take(1, isBreak ? { br: true } : "\n");
  }

  #code() {
    const [ticks] = this.#match(/\x60+/y);
    const { length } = ticks;
    const runs = /\x60+/g;
    for (let found, at = this.#at + length; !this.#unclosed.has(length) && (found = this.#match(runs, at)); at = runs.lastIndex) {
      if (found[0].length !== length) continue;
      const code = this.#text.slice(this.#at + length, found.index).replaceAll("\n", " ");
      const isPadded = code[0] === " " && code.endsWith(" ") && /[^ ]/.test(code);
      return this.#take(found.index + length - this.#at, { code: isPadded ? code.slice(1, -1) : code });
    }
    this.#unclosed.add(length);
    return this.#take(length, ticks);
  }

  #signs(sign) {
    const { length } = this.#match(/([*_~])\1*/y)[0];
    const before = this.#isSpaceOrSign(this.#at - 1);
    const after = this.#isSpaceOrSign(this.#at + length);
    const left = after !== "space" && (after !== "sign" || before !== "");
    const right = before !== "space" && (before !== "sign" || after !== "");
    const opens = left && (sign !== "_" || !right || before === "sign");
    const closes = right && (sign !== "_" || !left || after === "sign");
    const token = { sign, left: length, opens: [], closes: [] };
    if (sign !== "~" || length <= 2) {
      const run = { token, sign, length, opens, closes, number: this.#runs += 1, previous: this.#run, next: null };
      if (this.#run) this.#run.next = run;
      this.#run = run;
    }
    return this.#take(length, token);
  }

  /** What stands there: "space", the ends of the text too; "sign"; or "" for all else. */
  #isSpaceOrSign(at) {
    const isTail = at > 0 && /[\udc00-\udfff]/.test(this.#text[at]);
    const code = this.#text.codePointAt(isTail ? at - 1 : at);
    const character = code === undefined ? " " : String.fromCodePoint(code);
    return /\s/.test(character) ? "space" : /[\p{P}\p{S}]/u.test(character) ? "sign" : "";
  }

  #bracket(open, text) {
    this.#brackets.push({ open, isActive: true, token: this.#tokens.length, run: this.#run });
    return this.#take(text.length, text);
  }

  #link() {
    const bracket = this.#brackets.pop();
    const tail = bracket?.isActive && this.#tail(this.#at + 1);
    if (!tail) return false;
    this.#pair(bracket.run);
    const { href, title, end } = tail;
    this.#tokens[bracket.token] = { open: bracket.open, href, ...(title !== undefined && { title }) };
    // No link stands within a link.
    if (bracket.open === "a") this.#endLinks();
    return this.#take(end - this.#at, { close: true });
  }

  /** Before one that is ended already, all are. */
  #endLinks() {
    for (let at = this.#brackets.length - 1; at >= 0; at -= 1) {
      const bracket = this.#brackets[at];
      if (!bracket.isActive) return;
      bracket.isActive = bracket.open === "img";
    }
  }

  /** Address and title behind the text of a link. */
  #tail(from) {
    if (this.#text[from] !== "(") return null;
    let at = from + 1 + this.#match(/\s*/y, from + 1)[0].length;
    let href = "";
    if (this.#text[at] === "<") {
      const found = this.#match(DESTINATION, at);
      if (!found) return null;
      href = found[1];
      at += found[0].length;
    } else {
      const end = this.#destinationEnd(at);
      href = this.#text.slice(at, end);
      at = end;
    }
    const titled = this.#match(TITLE, at);
    if (titled) at += titled[0].length;
    at += this.#match(/\s*/y, at)[0].length;
    if (this.#text[at] !== ")") return null;
    const title = titled && unescaped(titled[1] ?? titled[2] ?? titled[3]);
    return { href: unescaped(href), title: title ?? undefined, end: at + 1 };
  }

  #destinationEnd(from) {
    let depth = 0;
    for (let at = from; at < this.#text.length; at += 1) {
      const sign = this.#text[at];
      if (sign <= " " || sign === "\x7f") return at;
      if (sign === "\\") at += /[!-/:-@[-\x60{-~]/.test(this.#text[at + 1] ?? "") ? 1 : 0;
      else if (sign === "(" && (depth += 1) > PARENTHESES) return at;
      else if (sign === ")" && (depth -= 1) < 0) return at;
    }
    return this.#text.length;
  }

  #address() {
    if (/[\p{L}\p{N}_]/u.test(this.#text[this.#at - 1] ?? "")) return false;
    const address = trimmed(this.#match(ADDRESS)?.[0] ?? "");
    return address !== "" && this.#take(address.length, { open: "a", href: address }, address, { close: true });
  }

  /** Finds what runs behind `bottom` open and close, and forgets them ("process emphasis"). */
  #pair(bottom) {
    const floors = {};
    let closer = this.#run;
    while (closer && closer.previous !== bottom) closer = closer.previous;
    while (closer) {
      const kind = closer.sign + (closer.opens ? "+" : "") + (closer.sign === "~" ? closer.length : closer.length % 3);
      const floor = floors[kind] ?? bottom?.number ?? 0;
      let opener = closer.closes ? closer.previous : null;
      while (opener && opener.number > floor && !fits(opener, closer)) opener = opener.previous;
      if (!opener || opener.number <= floor) {
        if (closer.closes) floors[kind] = closer.previous?.number ?? 0;
        if (closer.closes && !closer.opens) this.#forget(closer);
        closer = closer.next;
        continue;
      }
      this.#wrap(opener, closer);
      if (closer.token.left === 0) {
        this.#forget(closer);
        closer = closer.next;
      }
    }
    this.#run = bottom;
    if (bottom) bottom.next = null;
  }

  #wrap(opener, closer) {
    const size = opener.sign === "~" ? opener.length : opener.token.left > 1 && closer.token.left > 1 ? 2 : 1;
    opener.token.opens.unshift(TAGS[opener.sign][size - 1]);
    closer.token.closes.push(true);
    opener.token.left -= size;
    closer.token.left -= size;
    // What stands between the two can open and close nothing any more.
    opener.next = closer;
    closer.previous = opener;
    if (opener.token.left === 0) this.#forget(opener);
  }

  #forget(run) {
    if (run.previous) run.previous.next = run.next;
    if (run.next) run.next.previous = run.previous;
    else this.#run = run.previous;
  }
}

function fits(opener, closer) {
  if (!opener.opens || opener.sign !== closer.sign) return false;
  if (opener.sign === "~") return opener.length === closer.length;
  const isBoth = opener.closes || closer.opens;
  return !isBoth || closer.length % 3 === 0 || (opener.length + closer.length) % 3 !== 0;
}

/** Spaces at the end of a line are none. No expression: one would look at each run of spaces within the line, too. */
function withoutEnd(text) {
  let { length } = text;
  while (text[length - 1] === " ") length -= 1;
  return text.slice(0, length);
}

/** An address without what belongs to the sentence around it; empty if nothing is left. */
function trimmed(address) {
  let open = 0;
  for (const sign of address) open += sign === "(" ? 1 : sign === ")" ? -1 : 0;
  let end = address.length;
  for (; end > 0; end -= 1) {
    if (address[end - 1] === ")" && open < 0) open += 1;
    else if (!/[?!.,:;*_~'"]/.test(address[end - 1])) break;
  }
  return /^https?:\/\/./.test(address.slice(0, end)) ? address.slice(0, end) : "";
}

/**
 * The inlines of a text of which nothing is marked but its addresses.
 * @param {string} text
 */
export function addresses(text) {
  return new Inlines(text, ADDRESSES).read();
}

/** The tokens with all that they open and close, and texts that stand side by side as one. */
function flat(tokens) {
  const list = [];
  const text = (more) => {
    if (more === "") return;
    if (typeof list.at(-1) === "string") list[list.length - 1] += more;
    else list.push(more);
  };
  for (const token of tokens) {
    if (typeof token === "string") {
      text(token);
    } else if (token.sign) {
      for (const _ of token.closes) list.push({ close: true });
      text(token.sign.repeat(token.left));
      for (const open of token.opens) list.push({ open });
    } else {
      list.push(token);
    }
  }
  return list;
}
