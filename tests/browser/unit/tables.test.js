// What the operator's page works out of the server's figures.

import assert from "node:assert/strict";
import { test } from "node:test";

import { MONTH, SILENT, age, bill, count, described, judged, money, titled } from "../../../rest-gateway/web/tables.js";

test("ages are told in words that fit", () => {
  assert.deepEqual([0, 1_234, 61_000, 600_000, 10_800_000, 432_000_000].map(age), ["0.0 s", "1.2 s", "61 s", "10 min", "3 h", "5 d"]);
  assert.equal(age(null), "–");
  assert.equal(age(-5), "0.0 s", "a clock that is a little behind");
});

test("counts and money can be read", () => {
  assert.deepEqual([count(1_234_567), count(null)], ["1,234,567", "–"]);
  assert.deepEqual([money(12.345), money(0), money(0.00123)], ["12.35", "0.00", "0.0012"]);
});

test("a list of which a part is shown says so", () => {
  assert.equal(titled("Failed", "Failed, the newest", 50, 1_234), "Failed, the newest 50 of 1,234");
  for (const all of [0, 50]) assert.equal(titled("Failed", "Failed, the newest", all, all), "Failed");
  assert.equal(titled("Failed", "Failed, the newest", 3, 2), "Failed", "one failed between the two looks");
});

test("a worker that holds leases, and neither renews nor claims any, is silent", () => {
  const now = 1_000_000;
  const long = now - SILENT - 1;
  const session = { leases: 1, lastRenewAt: long, lastClaimAt: long };
  assert.equal(judged(session, now).silent, true);
  assert.equal(judged({ ...session, lastRenewAt: null }, now).silent, true, "one that never renewed");
  assert.equal(judged({ ...session, lastRenewAt: now - 1_000 }, now).silent, false);
  assert.equal(judged({ ...session, lastClaimAt: now - 1_000 }, now).silent, false, "short work needs no renewal");
  assert.equal(judged({ ...session, leases: 0 }, now).silent, false, "one that holds nothing has nothing to renew");
  assert.equal(judged({ leases: 0, lastRenewAt: null, lastClaimAt: null }, now).silent, false, "one that was given nothing yet");
});

test("the bill of a month goes on as the span went, the dearest call first", () => {
  const calls = [
    { call: "GetMessage", calls: 10, reads: 1_000, writes: 0 },
    { call: "PostMessage", calls: 10, reads: 0, writes: 1_000 },
  ];
  const { rows, total } = bill(calls, MONTH / 1_000, { reads: 0.2, writes: 1 });
  assert.deepEqual(rows.map(({ call, cost }) => [call, cost]), [["PostMessage", 1], ["GetMessage", 0.2]]);
  assert.equal(total, 1.2);
});

test("without a span there is no bill", () => {
  assert.deepEqual(bill([{ call: "x", calls: 1, reads: 1, writes: 1 }], 0, { reads: 1, writes: 1 }).total, null);
});

test("a chart is told in words too", () => {
  const point = { posted: 20, answered: 10, failed: 0, pending: 3, processing: 1, postP50Ms: null, answerP50Ms: 1234.5, answerP99Ms: 20_000, storageReads: null, storageWrites: 40 };
  assert.equal(described("throughput", [point], 10_000), "Now 2.0 a second posted, 1.0 a second answered, 0.0 a second failed.");
  assert.match(described("depth", [point], 10_000), /3 wait, 1 are/);
  assert.match(described("latency", [point], 10_000), /No comment/);
  assert.equal(described("answers", [point], 10_000), "Now half within 1,235 ms, 99 of 100 within 20,000 ms.");
  assert.match(described("answers", [{ ...point, answerP50Ms: null }], 10_000), /Nothing was answered/);
  assert.match(described("storage", [point], 10_000), /unknown read/);
  assert.match(described("depth", [], 10_000), /Nothing/);
});
