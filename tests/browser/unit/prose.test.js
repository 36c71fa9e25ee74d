// Where links lead, and whether their text says it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { filled, leadsTo } from "../../../rest-gateway/web/prose.js";
import { fakeDocument } from "./elements.js";

test("a link whose text is its address says where it leads", () => {
  assert.deepEqual(leadsTo("https://a.example/b", "https://a.example/b", false), { place: "a.example", isSaid: true });
  assert.equal(leadsTo("https://a.example/b", "a.example", false).isSaid, true);
  assert.equal(leadsTo("https://a.example/b", "b.example", false).isSaid, false);
  assert.equal(leadsTo("mailto:ada@a.example", "ada@a.example", false).isSaid, true);
});

test("where a text turns its direction, the host is shown behind every link", (t) => {
  fakeDocument(t);
  const link = { open: "a", href: "https://a.example/" };
  const shown = (...inlines) => filled(document.createElement("p"), inlines).textContent;
  assert.equal(shown(link, "https://a.example/", { close: true }), "https://a.example/");
  for (const turn of ["\u202e", "\u2067", "\u200f"]) {
    assert.equal(shown(`${turn}x `, link, "https://a.example/", { close: true }), `${turn}x https://a.example/ (a.example)`);
    assert.equal(shown(link, `https://a.example/${turn}`, { close: true }), `https://a.example/${turn} (a.example)`);
  }
});
