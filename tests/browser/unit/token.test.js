// The operator's token: where it comes from, how long it stays, and that the address has it no longer.

import assert from "node:assert/strict";
import { test } from "node:test";

const TOKEN = "rpt_0123456789ab_secret";

/** Storage of a browser. */
function storage(kept = {}) {
  return {
    kept,
    getItem: (name) => kept[name] ?? null,
    setItem: (name, value) => { kept[name] = value; },
    removeItem: (name) => { delete kept[name]; },
  };
}

/** A tab at this address; `entries` are the addresses that its history was told to show instead. */
function tab(hash, sessionStorage = storage()) {
  const entries = [];
  const location = { pathname: "/admin", search: "?x=1", hash };
  const history = { state: null, replaceState: (_state, _title, url) => { entries.push(url); location.hash = ""; } };
  return { location, history, sessionStorage, entries };
}

/** Puts parts of a browser in their place until the test ends. */
function stand(t, parts) {
  for (const [name, value] of Object.entries(parts)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
}

let loads = 0;
/** The module of the token, as a page loads it. */
function load() {
  loads += 1;
  return import(`../../../rest-gateway/web/token.js?${loads}`);
}

test("a token in the address is taken out of it as the module loads, and kept for the tab", async (t) => {
  const parts = tab(`#token=${TOKEN}`);
  stand(t, parts);
  const { token, take, keep, forget } = await load();
  assert.deepEqual(parts.entries, ["/admin?x=1"]);
  assert.equal(token(), TOKEN);
  assert.deepEqual(Object.values(parts.sessionStorage.kept), [TOKEN]);
  assert.equal(take(), false, "the address has none any more");
  assert.equal((await load()).token(), TOKEN, "the next page of this tab has it too");
  parts.location.hash = "#token=rpt_another_one";
  assert.equal(take(), true);
  assert.equal(token(), "rpt_another_one");
  assert.equal(keep("rpt_third_one"), true);
  assert.equal(token(), "rpt_third_one");
  forget();
  assert.equal(token(), null);
  assert.deepEqual(parts.sessionStorage.kept, {});
});

test("an address without a token stays as it is, and what cannot be a token is not kept", async (t) => {
  const parts = tab("#of-failed");
  stand(t, parts);
  const { token, take, keep } = await load();
  assert.deepEqual([parts.entries, token()], [[], null]);
  for (const wrong of ["", "short", "two words and more", "ключ-ключ-ключ", "x".repeat(1_025)]) {
    parts.location.hash = `#token=${encodeURIComponent(wrong)}`;
    assert.equal(take(), true, "it is taken out of the address all the same");
    assert.equal(token(), null);
    assert.equal(keep(wrong), false);
  }
  assert.equal(parts.entries.length, 5);
});

test("where a browser keeps nothing, the token lasts until the page is loaded again", async (t) => {
  const no = () => { throw new Error("denied"); };
  stand(t, tab(`#token=${TOKEN}`, { getItem: no, setItem: no, removeItem: no }));
  const { token, forget } = await load();
  assert.equal(token(), TOKEN);
  forget();
  assert.equal(token(), null);
});
