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

/** A room: what it was told about holding a connection, the last word first. */
function room({ locks, page = new Page(), limited = true } = {}) {
  const stop = new AbortController();
  const made = { told: [], page, leave: () => stop.abort() };
  const feed = { mayHold: (answer) => made.told.unshift(answer) };
  assert.equal(placed(feed, SERVER, stop.signal, { locks, page, isLimited: () => limited }), feed);
  return made;
}

const settled = () => new Promise((resume) => setImmediate(resume));
const holds = async ({ told }) => Promise.resolve(told[0]);

test("so many rooms hold a connection open, and the next gets the place of one that leaves", async () => {
  const locks = new Locks();
  const rooms = [];
  for (let count = 0; count < PLACES + 2; count += 1) rooms.push(room({ locks }));
  assert.deepEqual(await Promise.all(rooms.map(holds)), [...Array(PLACES).fill(true), false, false]);
  for (const [leaves, gets] of [[1, PLACES], [PLACES, PLACES + 1]]) {
    rooms[leaves].leave();
    await settled();
    assert.equal(await holds(rooms[gets]), true);
  }
  rooms[0].leave();
  await settled();
  assert.equal(await holds(room({ locks })), true, "a place that nobody waits for is free");
});

test("a room that leaves while it waits takes no place away", async () => {
  const locks = new Locks();
  const rooms = Array.from({ length: PLACES + 2 }, () => room({ locks }));
  await Promise.all(rooms.map(holds));
  rooms[PLACES].leave();
  rooms[2].leave();
  await settled();
  assert.deepEqual([await holds(rooms[PLACES]), await holds(rooms[PLACES + 1])], [false, true]);
});

test("of many places that are given back at once a room takes one", async () => {
  const locks = new Locks();
  const rooms = Array.from({ length: PLACES + 2 }, () => room({ locks }));
  await Promise.all(rooms.map(holds));
  for (const one of rooms.slice(0, PLACES)) one.leave();
  await settled();
  assert.deepEqual(await Promise.all(rooms.slice(PLACES).map(holds)), [true, true]);
  const later = Array.from({ length: PLACES - 1 }, () => room({ locks }));
  assert.deepEqual(await Promise.all(later.map(holds)), [...Array(PLACES - 2).fill(true), false]);
});

test("a page that may have no locks holds its connection", async () => {
  const locks = { request: () => Promise.reject(new DOMException("sandboxed", "SecurityError")) };
  assert.equal(await holds(room({ locks })), true);
});

test("without locks, a page that nobody looks at holds none", async () => {
  const { told, page, leave } = room();
  page.turn("hidden");
  page.turn("visible");
  assert.deepEqual(told, [true, false, true]);
  leave();
  page.turn("hidden");
  assert.equal(told.length, 3);
});

test("where one connection serves all, nobody is asked", () => {
  assert.deepEqual(room({ locks: new Locks(), limited: false }).told, []);
});
