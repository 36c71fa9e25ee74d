// The connections that all tabs of a browser hold open to a server are few, and are given on.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PLACES, placed } from "../../../rest-gateway/web/places.js";

const SERVER = new URL("http://test.example/");

/** Locks by name (Web Locks), as far as they are needed. */
class Locks {
  #queues = new Map();

  request(name, { signal, ifAvailable = false }, work) {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    if (ifAvailable && queue.length > 0) return Promise.resolve(work(null));
    return new Promise((resolve, reject) => {
      const request = { begin: () => Promise.resolve(work({ name })).then(resolve).finally(() => this.#next(queue)) };
      queue.push(request);
      if (queue.length === 1) request.begin();
      signal?.addEventListener("abort", () => {
        const at = queue.indexOf(request);
        if (at < 1) return;
        queue.splice(at, 1);
        reject(signal.reason);
      });
    });
  }

  #next(queue) {
    queue.shift();
    queue[0]?.begin();
  }
}

/** A page that somebody looks at, or nobody. */
class Page extends EventTarget {
  visibilityState = "visible";
  turn(visibilityState) {
    this.visibilityState = visibilityState;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

/** A feed of a domain of its own: what it was told about holding a connection, the last word first. */
function domain({ locks, page = new Page(), limited = true } = {}) {
  const stop = new AbortController();
  const made = { told: [], page, leave: () => stop.abort() };
  const feed = { mayHold: (answer) => made.told.unshift(answer) };
  assert.equal(placed(feed, SERVER, stop.signal, { locks, page, isLimited: () => limited }), feed);
  return made;
}

const settled = () => new Promise((resume) => setImmediate(resume));
const holds = async ({ told }) => Promise.resolve(told[0]);

test("so many domains hold a connection open, and the next gets the place of one that leaves", async () => {
  const locks = new Locks();
  const domains = [];
  for (let count = 0; count < PLACES + 2; count += 1) domains.push(domain({ locks }));
  assert.deepEqual(await Promise.all(domains.map(holds)), [...Array(PLACES).fill(true), false, false]);
  for (const [leaves, gets] of [[1, PLACES], [PLACES, PLACES + 1]]) {
    domains[leaves].leave();
    await settled();
    assert.equal(await holds(domains[gets]), true);
  }
  domains[0].leave();
  await settled();
  assert.equal(await holds(domain({ locks })), true, "a place that nobody waits for is free");
});

test("a domain that is left while it waits takes no place away", async () => {
  const locks = new Locks();
  const domains = Array.from({ length: PLACES + 2 }, () => domain({ locks }));
  await Promise.all(domains.map(holds));
  domains[PLACES].leave();
  domains[2].leave();
  await settled();
  assert.deepEqual([await holds(domains[PLACES]), await holds(domains[PLACES + 1])], [false, true]);
});

test("of many places that are given back at once a domain takes one", async () => {
  const locks = new Locks();
  const domains = Array.from({ length: PLACES + 2 }, () => domain({ locks }));
  await Promise.all(domains.map(holds));
  for (const one of domains.slice(0, PLACES)) one.leave();
  await settled();
  assert.deepEqual(await Promise.all(domains.slice(PLACES).map(holds)), [true, true]);
  const later = Array.from({ length: PLACES - 1 }, () => domain({ locks }));
  assert.deepEqual(await Promise.all(later.map(holds)), [...Array(PLACES - 2).fill(true), false]);
});

test("a page that may have no locks holds its connection", async () => {
  const locks = { request: () => Promise.reject(new DOMException("sandboxed", "SecurityError")) };
  assert.equal(await holds(domain({ locks })), true);
});

test("without locks, a page that nobody looks at holds none", async () => {
  const { told, page, leave } = domain();
  page.turn("hidden");
  page.turn("visible");
  assert.deepEqual(told, [true, false, true]);
  leave();
  page.turn("hidden");
  assert.equal(told.length, 3);
});

test("where one connection serves all, nobody is asked", () => {
  assert.deepEqual(domain({ locks: new Locks(), limited: false }).told, []);
});
