// What the page knows: order, merging, its place in the feed, and own comments on their way.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed, KEEP, WATCHED, isUnfinished } from "../../../rest-gateway/web/feed.js";

function message(id, timestamp, more = {}) {
  const bot = more.status ? { status: more.status, entity: "echo" } : null;
  return { id, timestamp, seq: timestamp, text: `text of ${id}`, username: "Ada", color: "default", botParams: bot, ...more };
}

const ids = (feed) => feed.entries().map((entry) => entry.message.id);
const draft = { text: "text of a", username: "Ada", color: "default" };

test("a page without comments reads the newest page", () => {
  assert.equal(new Feed().position(), 0);
});

test("comments stand in the order of their timestamps, each once", () => {
  const feed = new Feed();
  feed.merge([message("a", 10), message("b", 20)]);
  feed.merge([message("b", 20), message("c", 30)]);
  assert.deepEqual(ids(feed), ["a", "b", "c"]);
  assert.equal(feed.position(), 30);
});

test("a newer state replaces an older one, and never the other way round", () => {
  const feed = new Feed();
  feed.merge([message("a", 10, { status: "pending", seq: 1 })]);
  feed.merge([message("a", 10, { status: "complete", seq: 3 })]);
  feed.merge([message("a", 10, { status: "processing", seq: 2 })]);
  assert.equal(feed.find("a").botParams.status, "complete");
});

test("the page keeps reading from just before the oldest unanswered comment", () => {
  const feed = new Feed();
  feed.merge([message("a", 10), message("b", 20, { status: "pending", seq: 1 }), message("c", 30)]);
  assert.equal(feed.position(), 19);
  feed.merge([message("b", 20, { status: "processing", seq: 2 })]);
  assert.equal(feed.position(), 19);
  feed.merge([message("b", 20, { status: "failed", seq: 3 })]);
  assert.equal(feed.position(), 30);
});

test("a comment that nobody answers does not hold the page back for ever", () => {
  const feed = new Feed();
  feed.merge([message("a", 1, { status: "pending" })]);
  feed.merge(Array.from({ length: WATCHED }, (_, at) => message(`m${at}`, 10 + at)));
  assert.equal(feed.position(), 9 + WATCHED);
});

test("a removed comment is not waited for", () => {
  assert.equal(isUnfinished(message("a", 1, { status: "pending", deleted: true })), false);
});

test("an own comment shows at once, last, and is confirmed in its place", () => {
  const feed = new Feed();
  feed.merge([message("z", 5)]);
  feed.post("key", draft);
  assert.deepEqual(feed.entries().map((entry) => [entry.key, entry.draft]), [["z", false], ["key", true]]);
  feed.confirm("key", message("a", 10));
  feed.merge([message("a", 10)]);
  assert.deepEqual(feed.entries().map((entry) => [entry.key, entry.draft, entry.own]), [["z", false, false], ["key", false, true]]);
});

test("an own comment that a poll brings first does not show twice", () => {
  const feed = new Feed();
  feed.post("key", draft);
  feed.merge([message("a", 10)]);
  assert.deepEqual(feed.entries().map((entry) => entry.key), ["key"]);
  feed.confirm("key", message("a", 10));
  assert.deepEqual(ids(feed), ["a"]);
});

test("the same words by somebody else do not hide an own comment", () => {
  const feed = new Feed();
  feed.post("key", draft);
  feed.merge([message("other", 9, { text: draft.text, username: "Bob" }), message("older", 10)]);
  feed.confirm("key", message("a", 11));
  assert.deepEqual(ids(feed), ["other", "older", "a"]);
});

test("confirming an own comment does not skip those that were written just before it", () => {
  const feed = new Feed();
  feed.merge([message("z", 5)]);
  feed.post("key", draft);
  feed.confirm("key", message("a", 10));
  assert.equal(feed.position(), 5);
});

test("a comment that could not be sent leaves the page", () => {
  const feed = new Feed();
  feed.post("key", draft);
  feed.withdraw("key");
  assert.deepEqual(feed.entries(), []);
});

test("only own comments are awaited", () => {
  const feed = new Feed();
  feed.merge([message("b", 5, { status: "pending" })]);
  assert.equal(feed.awaitsAnswer(), false);
  feed.post("key", draft);
  feed.confirm("key", message("a", 10, { status: "pending", seq: 1 }));
  assert.equal(feed.awaitsAnswer(), true);
  feed.merge([message("a", 10, { status: "complete", seq: 2 })]);
  assert.equal(feed.awaitsAnswer(), false);
});

test("starting over keeps what is still known and drops what lies before the gap", () => {
  const feed = new Feed();
  feed.merge([message("a", 10), message("b", 20)]);
  feed.post("key", { ...draft, text: "on its way" });
  feed.restart([message("b", 20), message("y", 900)]);
  assert.deepEqual(ids(feed), ["b", "y", undefined]);
  assert.equal(feed.find("a"), undefined);
  assert.equal(feed.position(), 900);
});

test("a page keeps a bounded number of comments, the newest ones", () => {
  const feed = new Feed();
  feed.merge(Array.from({ length: KEEP + 7 }, (_, at) => message(`m${at}`, 1 + at)));
  assert.equal(feed.entries().length, KEEP);
  assert.equal(ids(feed)[0], "m7");
  assert.equal(feed.find("m6"), undefined);
});
