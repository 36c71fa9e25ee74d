// One connection for all tabs: who leads, what the others see, and what happens when the leader goes or falls silent.
// The tabs are in one process, with locks and channels that behave as a browser's.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { shared } from "../../../rest-gateway/web/tabs.js";
import { message, turnTime } from "../fake.js";

/** The locks of one origin (Web Locks), as far as they are needed. */
class Locks {
  #held = null;
  #queue = [];

  request(name, { signal, steal = false }, work) {
    return new Promise((resolve, reject) => {
      const request = { work, resolve, reject };
      signal?.addEventListener("abort", () => {
        const at = this.#queue.indexOf(request);
        if (at < 0) return;
        this.#queue.splice(at, 1);
        reject(signal.reason);
      });
      if (steal) {
        this.#held?.reject(new DOMException("stolen", "AbortError"));
        this.#held = null;
        this.#queue.unshift(request);
      } else {
        this.#queue.push(request);
      }
      this.#grant();
    });
  }

  #grant() {
    if (this.#held || this.#queue.length === 0) return;
    const request = this.#queue.shift();
    this.#held = request;
    queueMicrotask(async () => {
      await request.work();
      if (this.#held === request) this.#held = null;
      request.resolve();
      this.#grant();
    });
  }
}

/** An origin with tabs in it; each has a feed that the test speaks through while its tab leads. */
function origin(t) {
  const time = turnTime(t);
  const locks = new Locks();
  const channels = new Set();
  class Channel {
    frozen = false;
    constructor() {
      channels.add(this);
    }
    postMessage(data) {
      const copy = structuredClone(data);
      for (const other of channels) if (other !== this) queueMicrotask(() => channels.has(other) && !other.frozen && other.onmessage({ data: copy }));
    }
    close() {
      channels.delete(this);
    }
  }
  const feeds = [];
  const tab = ({ locks: its = locks, page } = {}) => {
    const stop = new AbortController();
    const told = [];
    const made = { told, stop, feeds: [], close: () => stop.abort() };
    const open = ({ cursor, drafts, signal }) => {
      const feed = Object.assign(new FakeFeed(cursor, signal), { drafts: [...drafts ?? []] });
      made.feeds.push(feed);
      feeds.push(feed);
      return feed;
    };
    const before = new Set(channels);
    made.changes = shared(open, "lobby", stop.signal, { locks: its, Channel, page });
    [made.channel] = [...channels].filter((channel) => !before.has(channel));
    made.done = (async () => {
      for await (const change of made.changes) told.push(change);
    })();
    t.after(() => stop.abort());
    return made;
  };
  return { ...time, tab, open: () => feeds.filter((feed) => !feed.signal.aborted) };
}

class FakeFeed {
  calls = [];
  late = 0;
  #told = [];
  #wake = () => {};
  constructor(cursor, signal) {
    Object.assign(this, { cursor, signal });
    signal.addEventListener("abort", () => this.#wake());
  }
  tell(...changes) {
    this.#told.push(...changes);
    this.#wake();
  }
  overdue = () => this.late;
  wake = () => this.calls.push("wake");
  now = () => this.calls.push("now");
  awaits = (id) => this.calls.push(id);
  async *[Symbol.asyncIterator]() {
    while (!this.signal.aborted) {
      if (this.#told.length > 0) yield this.#told.shift();
      else await new Promise((wake) => { this.#wake = wake; });
    }
  }
}

/** What a tab sees of itself: whether it is looked at, and that it is stopped. */
class Page extends EventTarget {
  visibilityState = "visible";
  constructor(state = "visible") {
    super();
    this.visibilityState = state;
  }
  turns(state) {
    this.visibilityState = state;
    this.dispatchEvent(new Event("visibilitychange"));
  }
  freeze = () => this.dispatchEvent(new Event("freeze"));
  resume = () => this.dispatchEvent(new Event("resume"));
}

const live = { type: "state", state: "live", way: "stream", detail: null };
const page = (...messages) => ({ type: "reset", reason: null, messages, cursor: `a.${messages.at(-1)?.seq ?? 0}` });
const change = (one) => ({ type: "message", message: one, cursor: `a.${one.seq}` });
const shown = (tab) => tab.told.filter(({ type }) => type !== "state").map((told) => (told.type === "reset" ? told.messages.map(({ id }) => id) : told.message.id));

test("ten tabs use one connection, and all see the same", async (t) => {
  const { tab, settle, open } = origin(t);
  const tabs = Array.from({ length: 10 }, () => tab());
  await settle();
  assert.equal(open().length, 1);
  open()[0].tell(page(message("a", 1)), live, change(message("b", 2)));
  await settle();
  for (const one of tabs) assert.deepEqual(shown(one), [["a"], "b"]);
  for (const one of tabs) assert.deepEqual(one.told.at(1), live);
});

test("a tab that is opened later gets what the leader has, and goes on from there", async (t) => {
  const { tab, settle, open } = origin(t);
  tab();
  await settle();
  open()[0].tell(live, page(message("a", 1)), change(message("a", 2, { timestamp: 1 })), change(message("b", 3)));
  await settle();
  const late = tab();
  await settle();
  assert.equal(open().length, 1);
  assert.deepEqual(late.told[0].messages.map(({ id, seq }) => [id, seq]), [["a", 2], ["b", 3]]);
  assert.deepEqual(late.told[1], live);
  open()[0].tell(change(message("c", 4)));
  await settle();
  assert.deepEqual(shown(late), [["a", "b"], "c"]);
});

test("a new state of an old comment leaves no gap in what a later tab gets", async (t) => {
  const { tab, settle, open } = origin(t);
  const first = tab();
  await settle();
  open()[0].tell(live, page(message("m1", 901), message("m2", 902)), change(message("old", 903, { timestamp: 5 })), change(message("m3", 904)));
  await settle();
  assert.deepEqual(shown(first), [["m1", "m2"], "old", "m3"], "who has read back to it sees it");
  const late = tab();
  await settle();
  assert.deepEqual(shown(late), [["m1", "m2", "m3"]]);
});

for (const [where, count] of Object.entries({ "is given to": 105, "was thinned out before": 203 })) {
  test(`what shares a timestamp stays together in what ${where} a later tab`, async (t) => {
    const { tab, settle, open } = origin(t);
    tab();
    await settle();
    // The oldest of the newest hundred is one of six that were posted at once.
    const cut = (seq) => (seq > count - 103 && seq <= count - 97 ? count - 97 : seq);
    const all = Array.from({ length: count }, (_, at) => message(`m${at + 1}`, at + 1, { timestamp: cut(at + 1) }));
    open()[0].tell(page(all[0]), live, ...all.slice(1).map(change));
    await settle();
    const late = tab();
    await settle();
    const [{ messages }] = late.told;
    assert.equal(messages.filter(({ timestamp }) => timestamp === count - 97).length, 6);
    assert.equal(messages.length, 103);
  });
}

test("a tab that is opened while bots write gets what they have written so far, and nothing that is over", async (t) => {
  const { tab, settle, open } = origin(t);
  tab();
  await settle();
  const draft = (messageId, text, ended = false) => ({ type: "draft", draft: { messageId, text, ended } });
  const asked = ["a", "b", "c"].map((id, at) => message(id, 1 + at, { status: "processing" }));
  open()[0].tell(page(...asked), live, draft("a", "It"), draft("a", "It is"), draft("b", "No"), draft("b", "", true), draft("c", "Yes"));
  open()[0].tell(change(message("c", 4, { timestamp: 3, status: "complete" })));
  await settle();
  const late = tab();
  await settle();
  assert.deepEqual(late.told.slice(1), [draft("a", "It is"), live]);
  open()[0].tell(page(...asked));
  await settle();
  const later = tab();
  await settle();
  assert.deepEqual(later.told.slice(1), [live], "a fresh page is what there is");
});

test("the first comment of an empty room is in what a later tab gets", async (t) => {
  const { tab, settle, open } = origin(t);
  tab();
  await settle();
  open()[0].tell(live, page(), change(message("a", 1)));
  await settle();
  const late = tab();
  await settle();
  assert.deepEqual(shown(late), [["a"]]);
});

test("a tab that may not use locks follows by itself, and asks for none again", async (t) => {
  const { tab, settle, open } = origin(t);
  let asked = 0;
  const request = async () => {
    asked += 1;
    // A follower that asks in a circle would never let this test end.
    if (asked < 100) throw new DOMException("sandboxed", "SecurityError");
    await new Promise(() => {});
  };
  const other = tab();
  const barred = tab({ locks: { request } });
  await settle();
  assert.equal(asked, 1);
  assert.equal(open().length, 2);
  barred.feeds[0].tell(live, page(message("a", 1)));
  await settle();
  assert.deepEqual([shown(barred), shown(other)], [[["a"]], []]);
  barred.changes.now();
  assert.deepEqual(barred.feeds[0].calls, ["now"]);
  barred.close();
  await settle();
  assert.equal(open().length, 1);
});

test("when the leader closes, another tab goes on from where it was", async (t) => {
  const { tab, settle, open } = origin(t);
  const [first, second] = [tab(), tab()];
  await settle();
  open()[0].tell(page(message("a", 1)), live);
  await settle();
  first.close();
  await settle();
  assert.equal(open().length, 1);
  assert.equal(second.feeds[0].cursor, "a.1");
  second.feeds[0].tell({ type: "state", state: "connecting" }, change(message("b", 2)));
  await settle();
  assert.deepEqual(shown(second), [["a"], "b"]);
  assert.ok(second.told.every(({ state }) => state !== "connecting"), "nobody has to see that");
});

test("a leader that does not answer is deposed, and its connection closed", async (t) => {
  const { tab, settle, turn, open } = origin(t);
  const first = tab();
  await settle();
  first.channel.frozen = true;
  const second = tab();
  await turn(4_500);
  assert.equal(second.feeds.length, 0);
  await turn(1_000);
  assert.equal(second.feeds.length, 1);
  assert.equal(open().length, 1);
  first.channel.frozen = false;
  second.close();
  await settle();
  assert.equal(first.feeds.length, 2, "it leads again when the lock is free");
});

test("a leader that answers is not deposed, though it has nothing to show yet", async (t) => {
  const { tab, turn, open } = origin(t);
  const [first, second] = [tab(), tab()];
  await turn(30_000);
  assert.deepEqual([first.feeds.length, second.feeds.length, open().length], [1, 0, 1]);
});

for (const [use, act] of Object.entries({ "waits for an answer": (changes) => changes.awaits("m1"), "is used": (changes) => changes.wake() })) {
  test(`a leader that hangs is deposed while a tab that follows ${use}`, async (t) => {
    const { tab, settle, turn, open } = origin(t);
    const [first, second] = [tab(), tab()];
    await settle();
    open()[0].tell(page(message("a", 1)), live);
    await turn(10_000);
    first.channel.frozen = true;
    await turn(10_000);
    assert.equal(second.feeds.length, 0, "nobody uses it");
    for (let used = 0; used < 6; used += 1) {
      act(second.changes);
      await turn(1_000);
    }
    assert.equal(second.feeds.length, 1);
    assert.equal(second.feeds[0].cursor, "a.1");
  });
}

test("a leader that is frozen, and answers all the same, is deposed by a tab that somebody only reads", async (t) => {
  const { tab, settle, turn, open } = origin(t);
  const [first, second] = [tab({ page: new Page() }), tab({ page: new Page() })];
  await settle();
  open()[0].tell(page(message("a", 1)), live);
  await turn(30_000);
  assert.equal(second.feeds.length, 0, "it lives, though nothing is said");
  first.feeds[0].late = 1;
  await turn(11_000);
  assert.deepEqual([second.feeds.length, open().length], [1, 1]);
  assert.equal(second.feeds[0].cursor, "a.1");
});

test("a tab that is about to be frozen gives up the lead, and gets what it missed when it goes on", async (t) => {
  const { tab, settle, open } = origin(t);
  const pages = [new Page(), new Page()];
  const [first, second] = pages.map((its) => tab({ page: its }));
  await settle();
  open()[0].tell(page(message("a", 1)), live);
  await settle();
  pages[0].freeze();
  first.channel.frozen = true;
  await settle();
  assert.deepEqual([second.feeds.length, open().length], [1, 1]);
  open()[0].tell(change(message("b", 2)));
  await settle();
  first.channel.frozen = false;
  pages[0].resume();
  await settle();
  assert.deepEqual([shown(first), shown(second)], [[["a"], ["a", "b"]], [["a"], "b"]]);
  second.close();
  await settle();
  assert.equal(first.feeds.length, 2, "it waits for the lead again");
});

test("a tab that waits to lead is not given the lead while it is frozen", async (t) => {
  const { tab, settle, open } = origin(t);
  const pages = [new Page(), new Page(), new Page()];
  const [first, second, third] = pages.map((its) => tab({ page: its }));
  await settle();
  pages[1].freeze();
  first.close();
  await settle();
  assert.deepEqual([second.feeds.length, third.feeds.length, open().length], [0, 1, 1]);
});

test("a tab that is looked at leads before a hidden one", async (t) => {
  const { tab, settle, open } = origin(t);
  const pages = [new Page(), new Page("hidden"), new Page("hidden")];
  const [first, second, third] = pages.map((its) => tab({ page: its }));
  await settle();
  open()[0].tell(page(message("a", 1)), live);
  pages[0].turns("hidden");
  await settle();
  assert.deepEqual([second.feeds.length, third.feeds.length], [0, 0], "nobody looks at the others either");
  pages[2].turns("visible");
  await settle();
  assert.deepEqual([first.feeds.length, second.feeds.length, third.feeds.length, open().length], [1, 0, 1, 1]);
  pages[0].turns("visible");
  await settle();
  assert.equal(first.feeds.length, 1, "that the leader is looked at is enough");
  pages[2].turns("hidden");
  await settle();
  assert.deepEqual([first.feeds.length, third.feeds.length, open().length], [2, 1, 1]);
  assert.equal(first.feeds[1].cursor, "a.1");
});

test("a tab that was stopped itself asks again, before it deposes a leader that lives", async (t) => {
  const { tab, settle, turn, open } = origin(t);
  const [, second] = [tab({ page: new Page() }), tab({ page: new Page() })];
  await settle();
  open()[0].tell(page(message("a", 1)), live);
  await settle();
  second.channel.frozen = true;
  second.changes.now();
  // The clock goes on, and nothing runs; then all is due at once, the timer first.
  mock.timers.setTime(Date.now() + 60_000);
  await turn(1);
  second.channel.frozen = false;
  await turn(4_000);
  second.changes.now();
  await turn(6_000);
  assert.equal(second.feeds.length, 0);
});

test("a tab that is used all the time asks for its leader now and then", async (t) => {
  const { tab, settle, turn } = origin(t);
  const [first, second] = [tab(), tab()];
  await settle();
  let asked = 0;
  const hear = first.channel.onmessage;
  first.channel.onmessage = (event) => {
    if (event.data.type === "ask") asked += 1;
    hear(event);
  };
  for (let used = 0; used < 60; used += 1) {
    second.changes.wake();
    await turn(500);
  }
  assert.ok(asked >= 2 && asked <= 3, `${asked} times in 30 s`);
});

test("what a tab missed while it was frozen it gets when it is looked at", async (t) => {
  const { tab, settle, open } = origin(t);
  tab();
  const second = tab();
  await settle();
  open()[0].tell(page(message("a", 1)), live);
  await settle();
  second.channel.frozen = true;
  open()[0].tell(change(message("b", 2)));
  await settle();
  second.channel.frozen = false;
  second.changes.now();
  await settle();
  assert.deepEqual(shown(second), [["a"], ["a", "b"]]);
  second.changes.now();
  await settle();
  assert.equal(shown(second).length, 2, "nothing is shown anew where nothing was missed");
});

test("what one tab wishes for the leader does", async (t) => {
  const { tab, settle, open } = origin(t);
  const [first, second] = [tab(), tab()];
  await settle();
  for (const one of [first, second]) {
    one.changes.wake();
    one.changes.awaits("m1");
    one.changes.now();
  }
  await settle();
  assert.deepEqual(open()[0].calls, ["wake", "m1", "now", "wake", "m1", "now"]);
});

test("a new leader knows whose drafts the tabs show", async (t) => {
  const { tab, settle, open } = origin(t);
  const [first, second] = [tab(), tab()];
  await settle();
  const draft = (messageId, ended) => ({ type: "draft", draft: { messageId, text: "Well", ended } });
  open()[0].tell(live, page(), draft("a"), draft("b"), draft("c"), draft("b", true));
  open()[0].tell(change(message("a", 2, { status: "processing" })), change(message("c", 3, { status: "complete" })));
  await settle();
  first.close();
  await settle();
  assert.deepEqual(second.feeds[0].drafts, ["a"], "an edit ends no draft");
});

test("a new leader is told what the others and it itself still wait for, and nothing that is over", async (t) => {
  const { tab, settle, turn, open } = origin(t);
  const [first, second, third] = [tab(), tab(), tab()];
  await settle();
  open()[0].tell(live, page());
  for (const id of ["old", "seen"]) second.changes.awaits(id);
  open()[0].tell(page(message("seen", 1, { status: "failed" })));
  await turn(30_000);
  second.changes.awaits("seen later");
  open()[0].tell(page(message("seen later", 1, { status: "complete" })));
  await turn(30_000);
  for (const id of ["answered", "own"]) second.changes.awaits(id);
  third.changes.awaits("other");
  open()[0].tell(change(message("answered", 1, { status: "complete" })), change(message("own", 2, { status: "processing" })));
  await settle();
  first.close();
  await settle();
  assert.deepEqual(second.feeds[0].calls, ["own", "other"]);
  second.close();
  const fourth = tab();
  await settle();
  third.close();
  await settle();
  assert.deepEqual([third.feeds[0].calls, fourth.feeds[0].calls], [["other"], []], "who asked is gone");
});

test("without locks or channels each tab follows by itself", (t) => {
  turnTime(t);
  const signal = new AbortController().signal;
  const own = {};
  const open = (options) => {
    assert.equal(options.signal, signal);
    return own;
  };
  assert.equal(shared(open, "lobby", signal, { locks: undefined, Channel: class {} }), own);
  assert.equal(shared(open, "lobby", signal, { locks: new Locks(), Channel: undefined }), own);
});

test("a tab that follows by itself keeps its feed when it is frozen", async (t) => {
  const { tab, settle, open } = origin(t);
  const request = async () => { throw new DOMException("sandboxed", "SecurityError"); };
  const its = new Page();
  const alone = tab({ locks: { request }, page: its });
  await settle();
  its.freeze();
  its.resume();
  await settle();
  assert.equal(open().length, 1);
  alone.changes.now();
  assert.deepEqual(alone.feeds[0].calls, ["now"]);
});
