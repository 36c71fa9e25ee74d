// What the operator's page works out of the server's figures.

import assert from "node:assert/strict";
import { test } from "node:test";

import { MONTH, SILENT, acted, age, bill, count, described, judged, money, outcome, state, titled, values } from "../../../rest-gateway/web/tables.js";

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

test("an act is told in words around what it was on", () => {
  const act = { messageId: null, entity: null, author: null, address: null, count: 0, detail: "" };
  const told = (more) => {
    const { before, on, isName, after } = acted({ ...act, ...more });
    return `${before}${isName ? `«${on}»` : on}${after}`;
  };
  assert.equal(told({ kind: "pause", entity: "echo" }), "paused «echo»");
  assert.equal(told({ kind: "cancel", entity: "echo", count: 1_200 }), "cancelled 1,200 messages for «echo»");
  assert.equal(told({ kind: "cancel", author: "1a2b", count: 1 }), "cancelled 1 message of author 1a2b");
  assert.equal(told({ kind: "cancel", messageId: "5f0c", count: 1 }), "cancelled the message 5f0c");
  assert.equal(told({ kind: "edit", messageId: "5f0c", count: 1, detail: "text, priority 9" }), "changed the message 5f0c: text, priority 9");
  assert.equal(told({ kind: "block", address: "1a2b", detail: "for 2h" }), "blocked address 1a2b for 2h");
  assert.equal(told({ kind: "unblock", author: "1a2b" }), "lifted the block of author 1a2b");
  assert.equal(told({ kind: "of a newer server", entity: "echo" }), "of a newer server «echo»");
});

test("without a span there is no bill", () => {
  assert.deepEqual(bill([{ call: "x", calls: 1, reads: 1, writes: 1 }], 0, { reads: 1, writes: 1 }).total, null);
});

test("a chart is told in words too, and each of its points", () => {
  const point = { posted: 20, answered: 10, failed: 0, pending: 3, processing: 1, postP50Ms: null, answerP50Ms: 1234.5, answerP99Ms: 20_000, storageReads: null, storageWrites: 40 };
  assert.equal(described("throughput", [point], 10_000), "Now: posted 2.0 a second, answered 1.0 a second, failed 0.0 a second.");
  assert.equal(values("depth", point, 10_000), "waiting 3, in work 1");
  assert.equal(values("latency", point, 10_000), "no comment was posted");
  assert.equal(values("latency", { ...point, postP50Ms: 1.25, postP99Ms: 12.5 }, 10_000), "p50 1.3 ms, p99 13 ms");
  assert.equal(described("answers", [point], 10_000), "Now: p50 1,235 ms, p99 20,000 ms.");
  assert.match(described("answers", [{ ...point, answerP50Ms: null }], 10_000), /nothing was answered/);
  assert.match(described("storage", [point], 10_000), /reads unknown/);
  assert.match(described("depth", [], 10_000), /Nothing/);
});

test("a worker is idle, at work, or told what is wrong with it", () => {
  const worker = { quiet: 20_000, silent: false, holdsBack: null, leases: 0, streams: 1 };
  assert.deepEqual(state(worker, ""), { wrong: false, words: "idle" });
  assert.deepEqual(state({ ...worker, leases: 2 }, ""), { wrong: false, words: "working" });
  assert.deepEqual(state({ ...worker, streams: 0 }, ""), { wrong: false, words: "–" }, "one whose connection is lost");
  assert.deepEqual(state({ ...worker, holdsBack: "503" }, ""), { wrong: true, words: "holds back: 503" });
  assert.deepEqual(state({ ...worker, leases: 1, silent: true }, "3 lost"), { wrong: true, words: "silent for 20 s; 3 lost" });
});

test("what became of many is told in a sentence", () => {
  const [done, refused] = [{ success: true }, (reason, error) => ({ success: false, reason, error })];
  assert.equal(outcome([done, done]), "2 done.");
  const some = [done, refused("ALREADY_COMPLETED", "x"), refused("ALREADY_COMPLETED", "x"), refused(null, "no such message")];
  assert.equal(outcome(some), "1 done; 3 refused: ALREADY_COMPLETED (2), no such message (1).");
});
