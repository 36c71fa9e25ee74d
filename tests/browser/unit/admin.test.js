// The operator's page, as far as it goes without a browser: what it asks the server for, on a clock that the test turns.

import assert from "node:assert/strict";
import { test } from "node:test";

import { json, turnTime } from "../fake.js";

/** An element that takes whatever is done to it. */
function element(more = {}) {
  return {
    dataset: {}, style: { setProperty() {} }, elements: { reads: {}, writes: {} },
    append() {}, replaceChildren() {}, addEventListener() {}, setAttribute() {}, focus() {}, contains: () => false,
    ...more,
  };
}

test("a chart that failed is fetched again with the next look, and one that is shown is not", async (t) => {
  const { settle, turn } = turnTime(t);
  const chart = element({ dataset: { chart: "rate" }, clientWidth: 300, src: "" });
  const elements = new Map();
  const at = (id) => elements.get(id) ?? elements.set(id, element()).get(id);
  const answers = {
    "api/stats": { pending: 0, processing: 0, failed: 0, watchers: 0, sessions: [], sessionsTotal: 0, nextSessionsAfter: null, entities: [], entitiesTotal: 0, nextEntitiesAfter: null, oldestAgeMs: null },
    "api/admin/history": { points: [{ time: 1 }], intervalMs: 1_000, spanMs: 1_000, serverTime: 1, calls: [], now: { sseClients: 0, longPolls: 0 } },
    "api/queue/failed?limit=50": { failed: [] },
    "api/queue/pending?limit=50": { pending: [] },
  };
  const charts = [];
  const storage = { getItem: () => null, setItem() {} };
  const parts = {
    document: {
      getElementById: at, createElement: () => element(), querySelectorAll: () => [chart], addEventListener() {}, visibilityState: "visible",
    },
    sessionStorage: storage, localStorage: storage,
    matchMedia: () => ({ matches: false, addEventListener() {} }),
    fetch: async (path) => {
      if (!path.startsWith("api/admin/chart/")) return json(answers[path], 200);
      charts.push(path);
      return charts.length === 1 ? json({ detail: "busy" }, 503) : new Response("<svg/>");
    },
  };
  for (const [name, value] of Object.entries(parts)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  await import("../../../rest-gateway/web/admin.js");
  await settle();
  assert.equal(charts.length, 1);
  assert.equal(at("state").textContent, "busy");
  await turn(3_000);
  assert.equal(charts.length, 2);
  assert.match(chart.src, /^blob:/);
  await turn(6_000);
  assert.equal(charts.length, 2);
});
