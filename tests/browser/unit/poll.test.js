// The schedule of polls: when the page asks, and when it does not.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { ACTIVE, IDLE_MAX, Poller, QUICK, QUICK_FOR, nextDelay } from "../../../rest-gateway/web/poll.js";

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

/** A poller on a clock that the test turns; `polls` holds the time of each poll. */
function world(t, { poll = async () => {}, awaiting = () => null } = {}) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const polls = [];
  const count = async () => {
    polls.push(Date.now());
    await poll();
  };
  const poller = new Poller({ poll: count, awaiting, now: () => Date.now(), random: () => 1 });
  const turn = async (ms) => {
    for (let at = 0; at < ms; at += 500) {
      mock.timers.tick(500);
      // The poll's promises settle before the clock goes on.
      await new Promise(setImmediate);
    }
  };
  return { poller, polls, turn };
}

test("nobody asks before the page is ready", async (t) => {
  const { poller, polls, turn } = world(t);
  poller.wake();
  await turn(20_000);
  assert.deepEqual(polls, []);
});

test("activity brings an idle page back to five seconds", async (t) => {
  const { poller, polls, turn } = world(t);
  poller.now();
  await turn(120_000);
  const idle = polls.length;
  assert.ok(polls.at(-1) - polls.at(-2) > 20_000, `an idle page polled after ${polls.at(-1) - polls.at(-2)} ms`);
  poller.wake();
  await turn(500);
  assert.equal(polls.length, idle + 1);
  await turn(5_000);
  assert.equal(polls.length, idle + 2);
});

test("activity never makes a page poll faster than every five seconds", async (t) => {
  const { poller, polls, turn } = world(t);
  poller.now();
  for (let second = 0; second < 30; second += 1) {
    poller.wake();
    await turn(1_000);
  }
  assert.equal(polls.length, 6);
});

test("polls never overlap, and one that is asked for meanwhile follows at once", async (t) => {
  const answers = [];
  const { poller, polls, turn } = world(t, { poll: () => new Promise((answer) => answers.push(answer)) });
  poller.now();
  await turn(1_000);
  poller.now();
  poller.wake();
  await turn(60_000);
  assert.equal(polls.length, 1);
  answers[0]();
  await turn(500);
  await turn(500);
  assert.equal(polls.length, 2);
});

test("a poll that succeeds ends the retries", async (t) => {
  let up = false;
  const poll = async () => {
    if (!up) throw new Error("no server");
  };
  const { poller, polls, turn } = world(t, { poll });
  poller.now();
  await turn(4_000);
  assert.equal(polls.length, 3, "at once, after 1 s, after 2 s more");
  up = true;
  await turn(4_000);
  assert.equal(polls.length, 4);
  poller.wake();
  await turn(3_500);
  assert.equal(polls.length, 4, "back at the active pace");
});
