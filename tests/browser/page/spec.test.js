// Markdown against the examples of CommonMark's specification. What is left out is named here, each with its reason.

import assert from "node:assert/strict";
import { test } from "node:test";

import { tests } from "commonmark-spec";

import { parse } from "../../../rest-gateway/web/markdown.js";
import { htmlOf } from "../html.js";

/** What these sections are about is no part of the subset. */
const LEFT_OUT = {
  "HTML blocks": "HTML stays text",
  "Raw HTML": "HTML stays text",
  "Link reference definitions": "links have their address beside them",
  Images: "an image is a link to it: nothing is loaded from elsewhere",
};
/** Examples of the other sections that need something of those. */
const OTHERWISE = {
  "HTML stays text": [21, 31, 308, 309, 344, 475, 476, 477, 491, 494, 524, 642, 643],
  "links have their address beside them": [
    23, 33, 317, ...span(527, 545), 549, 550, 553, ...span(554, 571),
  ],
  "an image is a link to it": [517, 520],
  "of the names of characters the common ones are known": [25, 32, 34, 503],
  "a bare address is a link": [602, 608, 611],
};

function span(from, to) {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

const visible = (text) => text.replaceAll("→", "\t");
const passes = ({ markdown, html }) => htmlOf(parse(visible(markdown))) === visible(html);

test("the examples of the subset are read as CommonMark says", () => {
  const otherwise = new Set(Object.values(OTHERWISE).flat());
  const claimed = tests.filter(({ section, number }) => !(section in LEFT_OUT) && !otherwise.has(number));
  assert.ok(claimed.length > 450, `${claimed.length} examples`);
  for (const example of claimed) {
    assert.equal(htmlOf(parse(visible(example.markdown))), visible(example.html), `example ${example.number}, ${example.section}: ${example.markdown}`);
  }
});

test("no example is left out that would pass", () => {
  const needless = Object.values(OTHERWISE).flat().filter((number) => passes(tests.find((one) => one.number === number)));
  assert.deepEqual(needless, []);
});
