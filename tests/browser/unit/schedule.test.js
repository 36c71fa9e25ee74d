// The schedule: when to ask for news, and by which way.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ACTIVE, BAN, BAN_MAX, IDLE_MAX, Ladder, QUICK, QUICK_FOR, nextDelay } from "../../../rest-gateway/web/schedule.js";

const calm = { previous: ACTIVE, active: false, awaiting: null, failures: 0, retryAfter: 0, random: 0.5 };

test("an active page polls every five seconds", () => {
  assert.deepEqual(nextDelay({ ...calm, active: true, previous: IDLE_MAX }), { delay: 5_000, steady: 5_000 });
});

test("an idle page polls less and less, down to once in five minutes", () => {
  const delays = [];
  let previous = ACTIVE;
  while (previous < IDLE_MAX && delays.length < 100) {
    previous = nextDelay({ ...calm, previous }).steady;
    delays.push(previous);
  }
  assert.equal(delays[0], 7_500);
  assert.ok(delays.every((delay, at) => at === 0 || delay > delays[at - 1]), "each delay is longer than the one before");
  assert.equal(delays.at(-1), 300_000);
  assert.equal(nextDelay({ ...calm, previous: IDLE_MAX }).delay, IDLE_MAX);
});

test("a page that awaits an answer polls every second, for a minute", () => {
  assert.equal(nextDelay({ ...calm, awaiting: 0 }).delay, QUICK);
  assert.equal(nextDelay({ ...calm, awaiting: QUICK_FOR - 1 }).delay, QUICK);
  assert.equal(nextDelay({ ...calm, awaiting: QUICK_FOR, active: true }).delay, ACTIVE);
});

test("a page without a server tries again at growing, spread intervals", () => {
  const after = (failures, random) => nextDelay({ ...calm, failures, random }).delay;
  assert.deepEqual([after(1, 0), after(1, 1), after(4, 0), after(4, 1)], [500, 1_000, 4_000, 8_000]);
  assert.equal(after(50, 1), IDLE_MAX);
});

test("a page waits for as long as the server asks", () => {
  assert.equal(nextDelay({ ...calm, failures: 1, retryAfter: 30_000 }).delay, 30_000);
});

test("failures do not make an idle page's pace faster afterwards", () => {
  assert.equal(nextDelay({ ...calm, previous: 60_000, failures: 1 }).steady, 90_000);
});

test("the best way is taken until it fails twice in a row", () => {
  const ladder = new Ladder();
  assert.equal(ladder.best(0), "stream");
  ladder.blame("stream", 0);
  assert.equal(ladder.best(0), "stream");
  ladder.blame("stream", 0);
  assert.equal(ladder.best(0), "long-poll");
  ladder.blame("long-poll", 0);
  ladder.blame("long-poll", 0);
  assert.equal(ladder.best(0), "poll");
});

test("a better way is tried again, each time later, down to once in ten minutes", () => {
  const ladder = new Ladder();
  const bans = [];
  let now = 0;
  for (let round = 0; round < 6; round += 1) {
    ladder.blame("stream", now, { refused: true });
    assert.equal(ladder.best(now), "long-poll", "a refusal counts at once");
    let until = now;
    while (ladder.best(until) !== "stream") until += 1_000;
    bans.push(until - now);
    now = until;
  }
  assert.deepEqual(bans.slice(0, 3), [BAN, 2 * BAN, 4 * BAN]);
  assert.equal(bans.at(-1), BAN_MAX);
});

test("a way that served well is forgiven", () => {
  const ladder = new Ladder();
  ladder.blame("stream", 0);
  ladder.praise("stream");
  ladder.blame("stream", 0);
  assert.equal(ladder.best(0), "stream");
});

test("a way is left alone for as long as the server asks", () => {
  const ladder = new Ladder();
  ladder.blame("stream", 0, { refused: true, retryAfter: 3 * BAN });
  assert.equal(ladder.best(3 * BAN - 1), "long-poll");
  assert.equal(ladder.best(3 * BAN), "stream");
});

test("the last way is open whatever it did", () => {
  const ladder = new Ladder(["poll"]);
  ladder.blame("poll", 0, { refused: true });
  assert.equal(ladder.best(0), "poll");
});
