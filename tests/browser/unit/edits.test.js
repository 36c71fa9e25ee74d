// The edit tokens that a browser keeps: of each server its own, the newest of them, and none where it keeps nothing.

import assert from "node:assert/strict";
import { test } from "node:test";

import { EditTokens, MOST } from "../../../rest-gateway/web/edits.js";

/** A browser's storage, as far as it is needed; `fails` is one that is blocked. */
function storage(t, { fails = false } = {}) {
  const kept = new Map();
  const guard = () => {
    if (fails) throw new DOMException("blocked", "SecurityError");
  };
  const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  Object.defineProperty(globalThis, "localStorage", { configurable: true, value: {
    getItem: (name) => { guard(); return kept.get(name) ?? null; },
    setItem: (name, value) => { guard(); kept.set(name, value); },
  } });
  t.after(() => (before ? Object.defineProperty(globalThis, "localStorage", before) : delete globalThis.localStorage));
  return kept;
}

const tokens = (path = "/") => new EditTokens(new URL(path, "https://talk.example/"));

test("tokens are kept for the next visit, for each server apart", (t) => {
  storage(t);
  tokens().keep("a", "t1");
  assert.deepEqual([tokens().get("a"), tokens("/under/").get("a"), tokens().get("b")], ["t1", undefined, undefined]);
  tokens().forget("a");
  assert.equal(tokens().get("a"), undefined);
});

test("what another tab keeps meanwhile is not lost", (t) => {
  storage(t);
  const [one, other] = [tokens(), tokens()];
  one.keep("a", "t1");
  other.keep("b", "t2");
  assert.deepEqual([tokens().get("a"), tokens().get("b"), other.get("a")], ["t1", "t2", "t1"]);
});

test("no more than the newest are kept", (t) => {
  const kept = storage(t);
  const all = tokens();
  for (let at = 0; at < MOST + 2; at += 1) all.keep(`m${at}`, "t");
  assert.deepEqual([all.get("m1"), all.get("m2"), all.get(`m${MOST + 1}`)], [undefined, "t", "t"]);
  assert.equal(JSON.parse([...kept.values()][0]).length, MOST);
});

test("where nothing can be kept, or what is kept cannot be read, they are known as long as the page is open", (t) => {
  storage(t, { fails: true });
  const here = tokens();
  here.keep("a", "t1");
  assert.deepEqual([here.get("a"), tokens().get("a")], ["t1", undefined]);
});

for (const broken of ["{", "7", "{}", "[[1", '"x"']) {
  test(`what somebody else has written there does no harm: ${broken}`, (t) => {
    const kept = storage(t);
    kept.set("repartee.edits https://talk.example/", broken);
    const here = tokens();
    here.keep("a", "t1");
    assert.equal(here.get("a"), "t1");
    assert.equal(tokens().get("a"), "t1");
  });
}
