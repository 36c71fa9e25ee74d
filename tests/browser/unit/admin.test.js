// The operator's page, as far as it goes without a browser: what it asks the server for, on a clock that the test turns.

import assert from "node:assert/strict";
import { test } from "node:test";

import { json, turnTime } from "../fake.js";

const TOKEN = "rpt_0123456789ab_secret";

/** An element that takes whatever is done to it. */
function element(more = {}) {
  return {
    dataset: {}, style: { setProperty() {} }, elements: { reads: {}, writes: {} },
    append() {}, replaceChildren() {}, addEventListener() {}, setAttribute() {}, focus() {}, contains: () => false,
    ...more,
  };
}

const NOTHING = {
  "api/stats": {
    pending: 0, processing: 0, failed: 0, watchers: 0, oldestAgeMs: null,
    sessions: [], sessionsTotal: 0, nextSessionsAfter: null, entities: [], entitiesTotal: 0, nextEntitiesAfter: null,
  },
  "api/admin/history": { points: [{ time: 1 }], most: 360, intervalMs: 1_000, spanMs: 1_000, serverTime: 1, calls: [], now: { sseClients: 0, longPolls: 0 } },
  "api/admin/work?limit=50": { messages: [], nextBeforeId: null },
  "api/queue/failed?limit=50": { failed: [], more: false },
  "api/queue/pending?limit=50": { pending: [], more: false },
  "api/admin/hidden?limit=50": { hidden: [], more: false },
  "api/admin/blocks?limit=50": { blocks: [], nextAfter: null },
  "api/admin/acts?limit=50": { acts: [], more: false },
};

/** Opens the page before a server that answers so; `copy` keeps what one test's page knows from the next one's. */
async function open(t, copy, { charts = [], answer, createElement = () => element() }) {
  const elements = new Map();
  const at = (id) => elements.get(id) ?? elements.set(id, createElement()).get(id);
  const storage = { getItem: () => null, setItem() {} };
  const parts = {
    document: { getElementById: at, createElement, querySelectorAll: () => charts, addEventListener() {}, visibilityState: "visible" },
    sessionStorage: { ...storage, getItem: () => TOKEN }, localStorage: storage,
    location: { hash: "", search: "", pathname: "/admin" }, addEventListener() {},
    matchMedia: () => ({ matches: false, addEventListener() {} }),
    fetch: (path, options) => {
      assert.equal(options.headers.Authorization, `Bearer ${TOKEN}`);
      assert.ok(!path.includes(TOKEN));
      return answer(path, options);
    },
  };
  for (const [name, value] of Object.entries(parts)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  await import(`../../../rest-gateway/web/admin.js?${copy}`);
  return at;
}

test("a chart that failed is fetched again with the next look, and one that is shown is not", async (t) => {
  const { settle, turn } = turnTime(t);
  const chart = element({ dataset: { chart: "rate" }, clientWidth: 300, src: "" });
  const charts = [];
  const at = await open(t, "charts", {
    charts: [chart],
    answer: async (path) => {
      if (!path.startsWith("api/admin/chart/")) return json(NOTHING[path], 200);
      charts.push(path);
      return charts.length === 1 ? json({ detail: "busy" }, 503) : new Response("<svg/>");
    },
  });
  await settle();
  assert.equal(charts.length, 1);
  assert.equal(at("state").textContent, "busy");
  await turn(3_000);
  assert.equal(charts.length, 2);
  assert.match(chart.src, /^blob:/);
  await turn(6_000);
  assert.equal(charts.length, 2);
});

test("a list that comes by page says which part it is, and has ways to the rest and back", async (t) => {
  const { settle } = turnTime(t);
  const asked = [];
  /** An element that knows its children, and what a click does. */
  const createElement = () => {
    const made = element({ children: [], append: (...children) => made.children.push(...children) });
    made.replaceChildren = (...children) => { made.children = children; };
    made.addEventListener = (event, act) => { if (event === "click") made.click = act; };
    return made;
  };
  const row = (entity) => ({ entity, pending: 1, processing: 0, oldestAgeMs: 5 });
  const at = await open(t, "pages", {
    createElement,
    answer: async (path) => {
      if (!path.startsWith("api/stats")) return json(NOTHING[path], 200);
      asked.push(path);
      const after = new URLSearchParams(path.split("?")[1]).get("entitiesAfter");
      const page = after === null ? { entities: [row("a"), row("b & c")], nextEntitiesAfter: "b & c" } : { entities: [row("d")], nextEntitiesAfter: null };
      return json({ ...NOTHING["api/stats"], pending: 3, entitiesTotal: 3, ...page }, 200);
    },
  });
  await settle();
  const buttons = () => at("pages-entities").children.map((button) => button.children[0]);
  const press = async (words) => {
    at("pages-entities").children.find((button) => button.children[0] === words).click();
    await settle();
  };
  assert.equal(at("of-entities").textContent, "Queue, by entity, 2 of 3");
  assert.deepEqual(buttons(), ["Next page"]);
  await press("Next page");
  assert.equal(at("of-entities").textContent, "Queue, by entity, 1 of 3");
  assert.deepEqual(buttons(), ["First page", "Page before"]);
  await press("Page before");
  assert.deepEqual(buttons(), ["Next page"]);
  assert.deepEqual(asked, ["api/stats", "api/stats?entitiesAfter=b+%26+c", "api/stats"]);
  assert.equal(at("pages-workers").hidden, true, "nothing to turn where all is shown");
});

test("a page that is hidden while it asks asks no more", async (t) => {
  const { settle, turn } = turnTime(t);
  let asked = 0;
  await open(t, "hidden", {
    answer: async (path) => {
      if (path === "api/stats") asked += 1;
      document.visibilityState = "hidden";
      return json(NOTHING[path], 200);
    },
  });
  await settle();
  await turn(10_000);
  assert.equal(asked, 1);
});

test("what is looked for is asked for again only if something has changed", async (t) => {
  const { settle, turn } = turnTime(t);
  let [asked, tailSeq] = [0, 7];
  await open(t, "found", {
    answer: async (path) => {
      if (path.startsWith("api/admin/work")) asked += 1;
      return path.startsWith("api/admin/chart/") ? new Response("<svg/>") : json({ ...NOTHING[path], ...(path === "api/stats" && { tailSeq }) }, 200);
    },
  });
  await settle();
  await turn(6_000);
  assert.equal(asked, 1);
  tailSeq += 1;
  await turn(3_000);
  assert.equal(asked, 2);
});
