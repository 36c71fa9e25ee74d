// Markdown beyond CommonMark's examples: tables, bare addresses, and what somebody writes to harm who reads it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { addresses, parse } from "../../../rest-gateway/web/markdown.js";

const link = (href, text = href) => [{ open: "a", href }, text, { close: true }];

test("a table has as many columns as its head, and rows as they are written", () => {
  const [wrong, none] = parse("| a | `b|`c |\n|:--|--:|\n\nNo | table");
  assert.equal(wrong.type, "p", "the bar in the code makes a third cell");
  assert.deepEqual(none.inline, ["No | table"]);
  const [made] = parse("|a|b|\n|:-|-:|\n| *1* | 2 | 3 |\nx \\| y");
  assert.deepEqual(made, {
    type: "table", align: ["left", "right"], head: [["a"], ["b"]],
    rows: [[[{ open: "em" }, "1", { close: true }], ["2"]], [["x | y"]]],
  });
});

test("the lines before the head of a table stay a paragraph, and any other block ends a table", () => {
  const blocks = parse("Look:\na|b\n-|-\n1|2\n> quoted");
  assert.deepEqual(blocks.map(({ type }) => type), ["p", "table", "quote"]);
});

test("bare addresses are links, without what belongs to the sentence", () => {
  for (const [text, href, rest] of [
    ["See https://a.example/x?y=1.", "https://a.example/x?y=1", "."],
    ["(https://a.example/b_(c))", "https://a.example/b_(c)", ")"],
    ["http://a.example/*now*", "http://a.example/*now", "*"],
    ["https://a.example/ä, and", "https://a.example/ä", ", and"],
  ]) {
    const before = text.slice(0, text.indexOf("http"));
    const expected = [...(before ? [before] : []), ...link(href), rest];
    assert.deepEqual(addresses(text), expected);
    assert.deepEqual(parse(text)[0].inline, expected);
  }
  for (const text of ["xhttps://a.example", "https://", "ftp://a.example", "javascript:alert(1)", "https://..."]) assert.deepEqual(addresses(text), [text]);
});

test("strokes are deleted text, two of them or one", () => {
  assert.deepEqual(parse("~~gone~~ ~too~ ~~not~ ~~~~no~~~~")[0].inline, [
    { open: "del" }, "gone", { close: true }, " ", { open: "del" }, "too", { close: true }, " ~~not~ ~~~~no~~~~",
  ]);
});

/** What grows faster than its text in parsers that look back, look ahead, or nest. */
const LENGTH = 16_384;
const fill = (piece) => piece.repeat(Math.ceil(LENGTH / piece.length)).slice(0, LENGTH);
const HOSTILE = {
  quotes: fill(">"), "quotes of lists": fill("> - "), "lines of quotes": fill(`${">".repeat(40)} a\n`), lists: fill("- "), numbers: fill("1. "),
  "lists in lists": Array.from({ length: 180 }, (_, at) => `${"  ".repeat(at)}- a`).join("\n"),
  brackets: fill("["), "brackets closed": fill("]["), "open links": fill("[a](b"), "open addresses": fill("[a](<b"), "open titles": fill('[a](b "'), "titles in parentheses": fill("[a](b ("),
  parentheses: `[a]${fill("(")}`, images: fill("![["), "links in brackets": fill("[ [a](b)"), "empty links": fill("[]()"),
  emphasis: fill("*a **a "), "crossed emphasis": fill("*a_"), "three kinds": fill("**a *b _c "), stars: fill("*"), "stars around": `${fill("*")}a${fill("*")}`, strokes: fill("~~a "),
  backticks: Array.from({ length: 180 }, (_, at) => "`".repeat(at + 1)).join(" "), "backticks of two lengths": fill("`a``b"),
  autolinks: fill("<a:"), mail: `<a@${fill("a-")}`, entities: fill("&#x1"), backslashes: fill("\\"),
  "an address of parentheses": `https://a${fill(")")}`, "an address of dots": `https://a${fill(".,")}`, addresses: fill("https://"),
  "a wide table": `${fill("|a")}\n${fill("|-")}`, "a long table": `|a|b|\n|-|-|\n${fill("x\n")}`, "a table of bars": `${fill("|")}\n${fill("-|")}`,
  rule: `${fill("* ")}x`, hashes: `# ${fill("#")}x`, "spaces before a word": `a${fill(" ")}b\nc`, "spaces at an end": `a${fill(" ")}\nb`,
  "empty lines of code": `    a\n${fill("    \n")}    b`, tabs: fill("\t"), fences: fill("```\n"), underlines: fill("a\n="), lines: fill("\n"), lazy: `> a\n${fill("b\n")}`,
  nothing: fill("\0"), "half characters": fill("\ud83d"),
};

/** The deepest nesting of blocks, and how many values there are. */
function measure(blocks, depth = 0) {
  let [deepest, count] = [depth, 0];
  for (const block of blocks) {
    count += 1 + (block.inline?.length ?? 0) + (block.rows?.flat(2).length ?? 0);
    for (const inner of block.blocks ? [block.blocks] : block.items ?? []) {
      const within = measure(inner, depth + 1);
      deepest = Math.max(deepest, within.deepest);
      count += within.count;
    }
  }
  return { deepest, count };
}

const MODULE = new URL("../../../rest-gateway/web/markdown.js", import.meta.url).href;

/** Reads a text in a thread of its own, which is given up after half a minute: what looks back at each step takes longer. */
async function readsInTime(text) {
  const code = `import("${MODULE}").then(({ addresses, parse }) => { const { text } = require("node:worker_threads").workerData; addresses(text); parse(text); });`;
  const reader = new Worker(code, { eval: true, workerData: { text } });
  const late = setTimeout(() => reader.terminate(), 30_000);
  const [ended] = await once(reader, "exit");
  clearTimeout(late);
  return ended === 0;
}

for (const [name, text] of Object.entries(HOSTILE)) {
  test(`reading takes work in proportion to the length: ${name}`, async () => {
    const { deepest, count } = measure(parse(text));
    assert.ok(deepest <= 17, `${deepest} blocks within each other`);
    assert.ok(count <= 4 * text.length + 10, `${count} values of ${text.length} characters`);
    assert.ok(await readsInTime(text.repeat(32)));
  });
}

test("everything that is written is kept as text, however it is marked", () => {
  const text = "a *b **c* d** [e](f g) `h ~~i ![j](k l ***m** n* _o __p_ q";
  const [{ inline }] = parse(text);
  const said = inline.map((token) => (typeof token === "string" ? token : token.code ?? "")).join("");
  assert.match(said, /a.*b.*c.*d.*e.*f.*g.*h.*i.*j.*k.*l.*m.*n.*o.*p.*q/);
});
