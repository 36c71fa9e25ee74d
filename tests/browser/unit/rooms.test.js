// The list of rooms: what the client's module asks for, and how the page says when somebody spoke.

import assert from "node:assert/strict";
import { test } from "node:test";

import { timeInWords } from "../../../rest-gateway/web/room-list.js";
import { rooms } from "../../../rest-gateway/web/rooms.js";
import { json } from "../fake.js";

const PAGE = { rooms: [{ domain: "lobby", lastActivity: 5 }], more: true, next: "e.5", reset: false };

/** A server that gives these answers one after the other; gives the calls that it has seen. */
function server(t, ...answers) {
  const calls = [];
  const before = globalThis.fetch;
  globalThis.fetch = async (url, { headers, signal }) => {
    signal.throwIfAborted();
    calls.push({ path: url.pathname, query: Object.fromEntries(url.searchParams), tag: headers["If-None-Match"] });
    return answers.shift()();
  };
  t.after(() => { globalThis.fetch = before; });
  return calls;
}

test("the rooms are asked for below the server's path, and again by the tag of what is known", async (t) => {
  const calls = server(t, () => json(PAGE, 200, { ETag: '"e-5"' }), () => new Response(null, { status: 304 }), () => json(PAGE, 200, {}));
  const first = await rooms("https://talk.example/under", { limit: 30 });
  assert.deepEqual(first, { ...PAGE, tag: '"e-5"' });
  assert.equal(await rooms("https://talk.example/under/", { limit: 30, known: first }), first, "nothing has changed");
  assert.equal((await rooms("https://talk.example/under/", { cursor: "e.5", known: first })).tag, null);
  assert.deepEqual(calls, [
    { path: "/under/api/rooms", query: { limit: "30" }, tag: undefined },
    { path: "/under/api/rooms", query: { limit: "30" }, tag: '"e-5"' },
    { path: "/under/api/rooms", query: { cursor: "e.5" }, tag: '"e-5"' },
  ]);
});

test("a refusal comes in the server's words, and the answer of somebody else is no list", async (t) => {
  const problem = { status: 404, detail: "this server does not list its rooms", reason: "ROOMS_NOT_LISTED" };
  server(t, () => json(problem, 404), ...[{}, [], null, { rooms: [{}], more: false }, { rooms: [] }].map((foreign) => () => json(foreign, 200)));
  await assert.rejects(rooms("https://talk.example/"), { name: "ReparteeError", status: 404, reason: "ROOMS_NOT_LISTED" });
  for (let at = 0; at < 5; at += 1) await assert.rejects(rooms("https://talk.example/"), /not a list of rooms/);
});

test("a call ends with its signal", async (t) => {
  const calls = server(t);
  await assert.rejects(rooms("https://talk.example/", { signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.deepEqual(calls, []);
});

test("a time is told as people tell it", () => {
  const now = Date.UTC(2026, 2, 10, 12);
  const ago = (ms) => timeInWords(now - ms, now);
  const [minute, hour, day] = [60_000, 3_600_000, 86_400_000];
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
  for (const [ms, value, unit] of [
    [-hour, 0, "second"], [0, 0, "second"], [59_999, 0, "second"], [minute, -1, "minute"], [hour - 1, -59, "minute"],
    [hour, -1, "hour"], [day - 1, -23, "hour"], [day, -1, "day"], [7 * day - 1, -6, "day"],
  ]) assert.equal(ago(ms), relative.format(value, unit), String(ms));
  assert.match(ago(7 * day), /2026/);
});
