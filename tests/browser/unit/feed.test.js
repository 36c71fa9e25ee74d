// What a view knows: order, merging, own comments on their way, drafts of bots, and how far back it reaches.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed, KEEP, MOST, isUnfinished } from "../../../rest-gateway/web/feed.js";
import { message as plain } from "../fake.js";

/** A message that was posted and last changed at this time. */
const message = (id, timestamp, more) => plain(id, timestamp, { timestamp, ...more });

/** A feed with these messages on its newest page. */
function feed(messages = [], more = false) {
  const made = new Feed();
  made.restart(messages, more);
  return made;
}

const ids = (feed) => feed.entries().map((entry) => entry.message.id);
const keys = (feed) => feed.entries().map((entry) => entry.key);
const sent = { text: "text of a", username: "Ada", color: "default" };

test("comments stand in the order of their timestamps, each once", () => {
  const known = feed([message("a", 10), message("c", 30)]);
  for (const one of [message("c", 30), message("b", 20), message("d", 40)]) known.take(one);
  assert.deepEqual(ids(known), ["a", "b", "c", "d"]);
});

test("a newer state replaces an older one, and never the other way round", () => {
  const known = feed([message("a", 10, { status: "pending", seq: 1 })]);
  known.take(message("a", 10, { status: "complete", seq: 3 }));
  known.take(message("a", 10, { status: "processing", seq: 2 }));
  assert.equal(known.find("a").botParams.status, "complete");
});

test("a comment that was hidden and is shown again comes back at its place, with the one state that counts", () => {
  const known = feed([message("a", 10, { seq: 1 }), message("b", 20, { seq: 2 }), message("c", 30, { seq: 3 })]);
  known.take(message("b", 20, { seq: 4, text: "", deleted: true }));
  assert.equal(known.find("b").deleted, true);
  known.take(message("b", 20, { seq: 5 }));
  assert.equal(known.find("b").deleted, undefined);
  assert.deepEqual(ids(known), ["a", "b", "c"]);
});

test("a removed comment is not waited for", () => {
  assert.equal(isUnfinished(message("a", 1, { status: "pending", deleted: true })), false);
  assert.equal(isUnfinished(message("a", 1, { status: "processing" })), true);
});

test("an own comment shows at once, last, and is confirmed in its line", () => {
  const known = feed([message("z", 5)]);
  known.post("key", sent);
  assert.deepEqual(known.entries().map((entry) => [entry.key, entry.state]), [["z", "stored"], ["key", "sending"]]);
  known.confirm("key", message("a", 10));
  known.take(message("a", 10));
  assert.deepEqual(known.entries().map((entry) => [entry.key, entry.state, entry.own]), [["z", "stored", false], ["key", "stored", true]]);
});

test("an own comment that the feed brings first does not show twice", () => {
  const known = feed();
  known.post("key", sent);
  known.take(message("a", 10));
  assert.deepEqual(keys(known), ["key"]);
  known.confirm("key", message("a", 10));
  assert.deepEqual(ids(known), ["a"]);
});

test("an own comment that a fresh page brings first does not show twice", () => {
  const known = feed();
  known.post("key", sent);
  known.restart([message("a", 10)], false);
  known.confirm("key", message("a", 10));
  assert.deepEqual(keys(known), ["key"]);
});

test("an own comment that is confirmed before the feed brings it stands where the server has it among what was stored with it", () => {
  const known = feed([message("z", 5)]);
  known.post("key", sent);
  known.confirm("key", message("a", 10, { seq: 12 }));
  known.take(message("before", 10, { seq: 11 }));
  assert.deepEqual(ids(known), ["z", "before", "a"]);
  known.take(message("a", 10, { seq: 12 }));
  known.take(message("behind", 10, { seq: 13 }));
  known.take(message("older", 9, { seq: 10 }));
  assert.deepEqual(ids(known), ["z", "older", "before", "a", "behind"]);
  assert.equal(keys(known)[3], "key");
});

test("the same words by somebody else do not hide an own comment", () => {
  const known = feed();
  known.post("key", sent);
  known.take(message("other", 9, { text: sent.text, username: "Bob" }));
  known.take(message("twin", 10, { text: sent.text }));
  known.confirm("key", message("a", 11));
  assert.deepEqual(ids(known), ["other", "twin", "a"]);
});

test("which of two comments with the same words is the own one is known by its key, whichever comes first", () => {
  for (const first of ["twin", "a"]) {
    const known = feed();
    known.post("key", sent);
    for (const id of first === "a" ? ["a", "twin"] : ["twin", "a"]) known.take(message(id, id === "a" ? 10 : 11, { text: sent.text }));
    assert.deepEqual(keys(known).toSorted(), first === "a" ? ["key", "twin"] : ["a", "key"], "neither shows twice");
    known.confirm("key", message("a", 10));
    assert.deepEqual(known.entries().map((entry) => [entry.message.id, entry.key, entry.own]), [["a", "key", true], ["twin", "twin", false]]);
  }
});

test("an older comment with the same words that a fresh page brings leaves the own one a line", () => {
  const known = feed();
  known.post("key", sent);
  known.restart([message("older", 5, { text: sent.text })], false);
  known.confirm("key", message("a", 10));
  assert.deepEqual(ids(known), ["older", "a"]);
  assert.deepEqual(keys(known), ["older", "key"]);
  known.take(message("a", 10));
  assert.deepEqual(keys(known), ["older", "key"]);
});

test("a comment that could not be sent leaves the view", () => {
  const known = feed();
  known.post("key", sent);
  known.withdraw("key");
  assert.deepEqual(known.entries(), []);
});

test("a comment that is sent again after it was lost from sight has one line", () => {
  for (const brings of ["a", "twin"]) {
    const known = feed();
    known.post("key", sent);
    known.take(message(brings, 10, { text: sent.text }));
    known.withdraw("key");
    known.post("key", sent);
    assert.deepEqual(keys(known), ["key"], "the feed has brought what looks the same");
    known.confirm("key", message("a", 11));
    assert.deepEqual(known.entries().at(-1).key, "key");
    assert.deepEqual(ids(known), brings === "a" ? ["a"] : ["twin", "a"]);
  }
});

test("a comment that was sent so long ago that it has left the view leaves no gap when it is confirmed", () => {
  const known = feed([message("c", 30), message("d", 40)], true);
  known.post("key", sent);
  known.confirm("key", message("a", 10));
  assert.deepEqual([ids(known), known.oldest.id, known.hasOlder], [["c", "d"], "c", true]);
  known.older([message("a", 10), message("b", 20)], false);
  assert.deepEqual(ids(known), ["a", "b", "c", "d"]);
});

test("what a bot writes grows in one line, and the reply takes that line", () => {
  const known = feed([message("a", 10, { status: "processing", seq: 11 })]);
  known.draft({ messageId: "a", text: "Be" });
  known.draft({ messageId: "a", text: "Because" });
  const [, draft] = known.entries();
  assert.deepEqual([draft.state, draft.message.text, draft.message.username, draft.message.replyTo], ["writing", "Because", "echo", "a"]);
  known.take(message("a", 10, { status: "complete", seq: 12 }));
  assert.deepEqual(keys(known), ["a"]);
  known.take(message("r", 20, { "message-type": "AI", replyTo: "a" }));
  assert.deepEqual(known.entries().map((entry) => [entry.key, entry.state, entry.message.id]), [["a", "stored", "a"], [draft.key, "stored", "r"]]);
});

test("what a bot writes on after its reply stands in a line of its own, which goes when there is no other reply", () => {
  const known = feed([message("a", 10, { status: "processing", seq: 11 })]);
  known.draft({ messageId: "a", text: "Be" });
  known.take(message("r", 20, { "message-type": "AI", replyTo: "a" }));
  known.draft({ messageId: "a", text: "And" });
  const lines = known.entries().map(({ key, state, message: { text } }) => [key, state, text]);
  assert.deepEqual(lines.map(([, ...shown]) => shown), [["stored", "text of a"], ["stored", "text of r"], ["writing", "And"]]);
  assert.equal(new Set(keys(known)).size, 3);
  known.take(message("a", 10, { status: "complete", seq: 21 }));
  assert.deepEqual(keys(known), lines.slice(0, 2).map(([key]) => key));
});

for (const status of ["pending", "failed", "complete"]) {
  test(`what a bot had written goes when its work is ${status}`, () => {
    const known = feed([message("a", 10, { status: "processing", seq: 11 })]);
    known.draft({ messageId: "a", text: "Be" });
    known.take(message("a", 10, { status, seq: 12 }));
    assert.deepEqual(keys(known), ["a"]);
  });
}

test("a draft that ends, comes late, or belongs to nothing that is shown is not shown", () => {
  const known = feed([message("a", 10, { status: "processing" }), message("b", 20, { status: "complete" })]);
  known.draft({ messageId: "a", text: "Be" });
  known.draft({ messageId: "a", text: "", ended: true });
  known.draft({ messageId: "b", text: "late" });
  known.draft({ messageId: "elsewhere", text: "?" });
  assert.deepEqual(keys(known), ["a", "b"]);
});

test("starting over shows the fresh page only, and lines that are known stay the same lines", () => {
  const known = feed([message("a", 10)]);
  known.post("key", sent);
  known.confirm("key", message("b", 20));
  known.post("other", { ...sent, text: "on its way" });
  known.restart([message("b", 20), message("y", 900)], true);
  assert.deepEqual(keys(known), ["key", "y", "other"]);
  assert.equal(known.find("a"), undefined);
});

test("older comments stand above, and reading back ends where there are no more", () => {
  const known = feed([message("c", 30), message("d", 40)], true);
  assert.deepEqual([known.hasOlder, known.oldest.id], [true, "c"]);
  known.older([message("a", 10), message("b", 20)], true);
  assert.deepEqual([ids(known), known.oldest.id], [["a", "b", "c", "d"], "a"]);
  known.older([], true);
  assert.equal(known.hasOlder, false);
});

test("a new state of a comment that was not read back yet waits for its page", () => {
  const known = feed([message("c", 30)], true);
  known.take(message("a", 10, { status: "complete", seq: 99 }));
  assert.deepEqual(ids(known), ["c"]);
  known.older([message("a", 10, { status: "complete", seq: 99 })], false);
  known.take(message("b", 20));
  assert.deepEqual(ids(known), ["a", "b", "c"]);
});

test("an empty room has nothing older", () => {
  assert.equal(feed([], true).hasOlder, false);
});

test("a view keeps a bounded number of comments while the newest are read, and can read the others again", () => {
  const known = feed(Array.from({ length: KEEP + 7 }, (_, at) => message(`m${at}`, 1 + at)));
  known.trim();
  assert.deepEqual([known.entries().length, ids(known)[0], known.find("m6"), known.hasOlder], [KEEP, "m7", undefined, true]);
});

test("what shares a timestamp is let go together, so that it can be read again", () => {
  const known = feed(Array.from({ length: KEEP + 7 }, (_, at) => message(`m${at}`, at < 4 ? 1 : at < 10 ? 2 : at)));
  known.trim();
  assert.deepEqual([known.oldest.id, known.entries().length, known.hasOlder], ["m4", KEEP + 3, true]);
  const burst = feed(Array.from({ length: KEEP + 7 }, (_, at) => message(`m${at}`, 1)));
  burst.trim();
  assert.deepEqual([burst.entries().length, burst.hasOlder], [KEEP + 7, false]);
});

test("reading back ends at a bound", () => {
  const known = feed([message("z", MOST + 1)], true);
  known.older(Array.from({ length: MOST - 1 }, (_, at) => message(`m${at}`, 1 + at)), true);
  assert.equal(known.hasOlder, false);
});
