// Following a feed: every way, every fall-back, and the way back, on a clock that the test turns.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Repartee } from "../../../rest-gateway/web/repartee.js";
import { FakeServer, json, message, turnTime } from "../fake.js";

/** A follower of a fake server: what it was told, in order. */
async function follow(t, options = {}, server = new FakeServer()) {
  const time = turnTime(t);
  const client = new Repartee("http://test.example/", { fetch: server.fetch, now: time.now, random: () => 0.5 });
  const stop = new AbortController();
  const feed = client.changes({ domain: "lobby", signal: stop.signal, ...options });
  const told = [];
  const done = (async () => {
    for await (const change of feed) told.push(change);
  })();
  t.after(async () => {
    stop.abort();
    await done;
  });
  await time.settle();
  const texts = () => told.filter(({ type }) => type === "message").map((change) => `${change.message.id}.${change.message.seq}`);
  const states = () => told.filter(({ type }) => type === "state").map(({ state, way }) => way ?? state);
  return { server, feed, told, texts, states, stop, done, ...time };
}

test("a feed begins with the newest page and goes on by a stream", async (t) => {
  const server = new FakeServer();
  server.publish(message("a", 1), message("b", 2));
  const { told, texts, states, settle } = await follow(t, {}, server);
  const [page] = told.filter(({ type }) => type === "reset");
  assert.deepEqual([page.messages.map(({ id }) => id), page.reason, page.cursor], [["a", "b"], null, "a.2"]);
  server.publish(message("c", 3));
  await settle();
  assert.deepEqual(texts(), ["c.3"]);
  assert.deepEqual(states(), ["connecting", "stream"]);
  assert.deepEqual(server.taken(), ["page", "stream"]);
});

test("a feed goes on from a cursor, without a page that is known already", async (t) => {
  const server = new FakeServer();
  server.publish(message("a", 1), message("b", 2));
  const { told, texts } = await follow(t, { cursor: "a.1" }, server);
  assert.deepEqual(texts(), ["b.2"]);
  assert.equal(told.some(({ type }) => type === "reset"), false);
});

test("who stops within a page and goes on from the last cursor misses nothing", async (t) => {
  const server = new FakeServer();
  server.publish(message("a", 1), message("b", 2), message("c", 3), message("d", 4));
  const { told, settle } = await follow(t, { cursor: "a.1", ways: ["poll"] }, server);
  const news = told.filter(({ type }) => type === "message");
  assert.deepEqual(news.map((change) => [change.message.id, change.cursor]), [["b", "a.1"], ["c", "a.1"], ["d", "a.4"]]);
  const again = [];
  const client = new Repartee("http://test.example/", { fetch: server.fetch });
  for await (const change of client.changes({ cursor: news[0].cursor, ways: ["poll"] })) {
    if (change.type === "message") again.push(change.message.id);
    if (change.state === "live") break;
  }
  await settle();
  assert.deepEqual(again, ["b", "c", "d"]);
});

test("a domain and a limit are asked for by every call", async (t) => {
  const { server } = await follow(t, { limit: 200 });
  assert.deepEqual(server.calls.map(({ query }) => query.domain), ["lobby", "lobby"]);
  assert.equal(server.calls[0].query.limit, "200");
});

test("drafts are handed on and move no position", async (t) => {
  const { server, told, settle } = await follow(t);
  server.say("draft", { messageId: "a", text: "so f" });
  await settle();
  assert.deepEqual(told.at(-1), { type: "draft", draft: { messageId: "a", text: "so f" } });
  server.publish(message("a", 1));
  server.cut();
  await settle();
  assert.equal(server.calls.at(-1).query.cursor, "a.1");
});

for (const [what, fail] of [
  ["the server is lost", (server) => Object.assign(server, { page: "away", stream: "away" })],
  ["streams are left alone", (server) => Object.assign(server, { stream: 404 })],
]) {
  test(`drafts end where ${what}, and stay where a stream is opened again`, async (t) => {
    const { server, told, settle, turn } = await follow(t);
    const say = (messageId, text, ended = false) => server.say("draft", { messageId, text, ended });
    say("a", "gone");
    say("a", "", true);
    say("b", "gone with its message");
    server.publish(message("b", 1));
    say("c", "so f");
    await turn(25_000);
    server.cut();
    await settle();
    const ends = () => told.filter((change) => change.draft?.ended).map(({ draft }) => draft.messageId);
    assert.deepEqual(ends(), ["a"]);
    fail(server);
    server.cut();
    await turn(5_000);
    assert.deepEqual(ends(), ["a", "c"]);
    assert.equal(told.filter(({ type }) => type === "draft").at(-1).draft.text, "");
  });
}

test("a stream that is cut goes on where it was, without a gap or a double", async (t) => {
  const { server, texts, states, settle, turn } = await follow(t);
  for (let round = 0; round < 3; round += 1) {
    await turn(25_000);
    server.publish(message(`m${round}`, 2 * round + 1));
    await settle();
    server.cut();
    server.publish(message(`n${round}`, 2 * round + 2));
    await settle();
  }
  assert.deepEqual(texts(), ["m0.1", "n0.2", "m1.3", "n1.4", "m2.5", "n2.6"]);
  assert.deepEqual(states(), ["connecting", "stream"], "a stream that lived for long is not blamed");
});

test("a place that comes without an event is where the stream goes on", async (t) => {
  const { server, settle } = await follow(t);
  server.raw(": alive\nid: a.0\n\n");
  await settle();
  server.raw(": alive\nid: a.7\n\n");
  await settle();
  server.cut();
  await settle();
  assert.equal(server.calls.at(-2).query.cursor, "a.7");
});

test("a stream that says goodbye is opened again without a read between", async (t) => {
  const { server, texts, settle, turn } = await follow(t);
  server.raw("retry: 2000\n\n");
  server.say("bye", {});
  await settle();
  server.cut();
  server.taken();
  server.publish(message("a", 1));
  await turn(2_000);
  assert.deepEqual(server.taken(), ["stream"]);
  assert.deepEqual(texts(), ["a.1"]);
});

for (const [name, mode] of Object.entries({
  "is refused": 404,
  "finds no server": "away",
  "has no answer": "held",
  "does not say hello": "mute",
  "ends after its hello": "cut",
  "is one too many": 429,
})) {
  test(`a stream that ${name} is replaced by long-polls, and tried again later`, async (t) => {
    const server = new FakeServer();
    server.stream = mode;
    const { texts, states, turn, settle } = await follow(t, {}, server);
    await turn(20_000);
    assert.equal(states().at(-1), "long-poll");
    server.publish(message("a", 1));
    await settle();
    assert.deepEqual(texts(), ["a.1"], "at once, by the long-poll that waits");

    server.stream = "ok";
    await turn(100_000, 5_000);
    assert.equal(states().at(-1), "stream", "the better way again");
    server.publish(message("b", 2));
    await settle();
    assert.deepEqual(texts(), ["a.1", "b.2"]);
  });
}

test("a stream that falls silent is given up, and keep-alives keep it", async (t) => {
  const { server, turn, texts, settle } = await follow(t);
  for (let beat = 0; beat < 8; beat += 1) {
    await turn(15_000, 5_000);
    server.raw(": keep-alive\n\n");
  }
  assert.deepEqual(server.taken(), ["page", "stream"], "two minutes of nothing but comments");
  await turn(45_000, 5_000);
  assert.deepEqual(server.taken(), ["page", "stream"], "silence for 40 s: a read, and a new stream");
  server.publish(message("a", 1));
  await settle();
  assert.deepEqual(texts(), ["a.1"]);
});

test("where long-polls fail too, polls follow, ever more seldom", async (t) => {
  const server = new FakeServer();
  server.stream = 404;
  server.longPoll = "cut";
  const { states, texts, turn, feed } = await follow(t, {}, server);
  assert.equal(states().at(-1), "poll");
  server.publish(message("a", 1));
  await turn(10_000);
  assert.deepEqual(texts(), ["a.1"]);
  server.taken();
  await turn(30_000);
  const active = server.taken().length;
  await turn(15_000);
  assert.ok(active <= 4, `an idle page asked ${active} times in 30 s`);
  server.publish(message("b", 2));
  feed.wake();
  await turn(5_000);
  assert.deepEqual(texts(), ["a.1", "b.2"], "somebody uses the page");
});

for (const [name, mode] of Object.entries({ "are cut": "cut", "are refused": 405, "find no server": "away", "are never answered": "held" })) {
  test(`long-polls that ${name} become polls`, async (t) => {
    const server = new FakeServer();
    server.longPoll = mode;
    const { states, texts, turn } = await follow(t, { ways: ["long-poll", "poll"] }, server);
    await turn(80_000, 5_000);
    assert.equal(states().at(-1), "poll");
    server.publish(message("a", 1));
    await turn(60_000, 5_000);
    assert.deepEqual(texts(), ["a.1"]);
    server.longPoll = "ok";
    await turn(300_000, 5_000);
    assert.equal(states().at(-1), "long-poll");
  });
}

test("a server that does not wait is not asked in a circle", async (t) => {
  const server = new FakeServer();
  server.longPoll = "at once";
  const { turn } = await follow(t, { ways: ["long-poll"] }, server);
  await turn(30_000);
  assert.ok(server.taken().length <= 25, "about once in 1.5 s");
});

test("an own message that waits for its answer makes polls quick, until it is there", async (t) => {
  const { server, feed, texts, turn } = await follow(t, { ways: ["poll"] });
  await turn(60_000, 5_000);
  server.publish(message("a", 1, { status: "pending" }));
  feed.awaits("a");
  await turn(500);
  server.taken();
  await turn(10_000);
  assert.ok(server.taken().length >= 9, "once a second");
  server.publish(message("a", 2, { status: "complete" }));
  await turn(2_000);
  assert.deepEqual(texts(), ["a.1", "a.2"]);
  server.taken();
  await turn(10_000);
  assert.ok(server.taken().length <= 2, "the normal pace again");
});

test("a server that is away is waited for, and no way is blamed", async (t) => {
  const { server, states, texts, turn } = await follow(t);
  Object.assign(server, { page: "away", longPoll: "away", stream: "away" });
  server.cut();
  await turn(60_000, 1_000);
  assert.deepEqual(states(), ["connecting", "stream", "reconnecting"]);
  server.publish(message("a", 1));
  Object.assign(server, { page: "ok", longPoll: "ok", stream: "ok" });
  await turn(60_000, 1_000);
  assert.deepEqual(states(), ["connecting", "stream", "reconnecting", "stream"]);
  assert.deepEqual(texts(), ["a.1"]);
});

test("a lost server is asked at growing intervals, and at once when somebody asks for news", async (t) => {
  const server = new FakeServer();
  server.page = "away";
  const { feed, turn, states } = await follow(t, {}, server);
  await turn(120_000, 1_000);
  assert.ok(server.taken().length <= 9);
  server.page = "ok";
  feed.now();
  await turn(500);
  assert.equal(states().at(-1), "stream");
});

test("a refusal is told in the server's words", async (t) => {
  const server = new FakeServer();
  server.page = 400;
  const { told } = await follow(t, {}, server);
  assert.deepEqual(told.at(-1), { type: "state", state: "refused", way: null, detail: "no: 400" });
});

test("a busy server is left alone for as long as it asks", async (t) => {
  const server = new FakeServer();
  Object.assign(server, { page: 503, retryAfter: 40 });
  const { turn, states } = await follow(t, {}, server);
  assert.equal(states().at(-1), "reconnecting");
  await turn(39_000, 1_000);
  assert.equal(server.taken().length, 1);
  server.page = "ok";
  await turn(1_000);
  assert.equal(states().at(-1), "stream");
});

for (const way of ["stream", "long-poll", "poll"]) {
  test(`a lost position is told, with the page to start over from: ${way}`, async (t) => {
    const server = new FakeServer();
    server.publish(message("a", 1));
    const { told, turn, feed } = await follow(t, { ways: [way] }, server);
    server.epoch = "b";
    server.log = [message("z", 7)];
    if (way === "stream") server.say("reset", { reason: "another log" });
    if (way === "long-poll") server.publish(message("y", 8));
    feed.now();
    await turn(6_000);
    const last = told.filter(({ type }) => type === "reset").at(-1);
    assert.equal(last.messages[0].id, "z");
    assert.match(last.cursor, /^b\./);
  });
}

test("streams that all end in a reset are given up for a while", async (t) => {
  const { server, turn } = await follow(t);
  for (let round = 0; round < 20; round += 1) {
    server.say("reset", { reason: "?" });
    await turn(500);
  }
  assert.ok(server.taken().filter((kind) => kind === "stream").length <= 3);
});

test("a stop ends everything that is open", async (t) => {
  for (const way of ["stream", "long-poll", "poll"]) {
    await t.test(way, async (t) => {
      const { server, stop, done, settle } = await follow(t, { ways: [way] });
      stop.abort();
      await done;
      await settle();
      assert.equal(server.streams, 0);
      const calls = server.calls.length;
      await settle();
      assert.equal(server.calls.length, calls);
    });
  }
});

test("leaving the loop closes the stream", async (t) => {
  const time = turnTime(t);
  const server = new FakeServer();
  const feed = new Repartee("http://test.example/", { fetch: server.fetch, now: time.now }).changes();
  for await (const change of feed) if (change.way === "stream") break;
  await time.settle();
  assert.equal(server.streams, 0);
});

test("a feed that may hold no connection open is polled, and followed by stream once it may", async (t) => {
  const { server, feed, texts, states, settle, turn } = await follow(t);
  server.taken();
  feed.mayHold(false);
  await settle();
  assert.deepEqual([server.streams, server.taken()], [0, ["page"]]);
  server.publish(message("a", 1));
  await turn(5_000);
  assert.deepEqual([texts(), server.taken()], [["a.1"], ["page"]]);
  feed.mayHold(true);
  await turn(1);
  assert.deepEqual([server.streams, server.taken()], [1, ["page", "stream"]], "the stream that was closed is not blamed");
  assert.deepEqual(states(), ["connecting", "stream", "poll", "stream"]);
});

test("a feed waits for the word before it holds a connection open", async (t) => {
  const server = new FakeServer();
  let speak;
  const word = new Promise((resolve) => { speak = resolve; });
  const time = turnTime(t);
  const client = new Repartee("http://test.example/", { fetch: server.fetch, now: time.now, random: () => 0.5 });
  const stop = new AbortController();
  const feed = client.changes({ signal: stop.signal });
  feed.mayHold(word);
  const done = (async () => { for await (const change of feed) assert.notEqual(change.way, "poll"); })();
  await time.settle();
  assert.deepEqual(server.taken(), ["page"]);
  speak(true);
  await time.settle();
  assert.deepEqual(server.taken(), ["stream"]);
  stop.abort();
  await done;
});

test("a long-poll that has to give its connection away is not blamed", async (t) => {
  const { server, feed, states, settle, turn } = await follow(t, { ways: ["long-poll", "poll"] });
  for (const may of [false, true, false, true, false, true]) {
    feed.mayHold(may);
    await settle();
    await turn(1);
  }
  assert.equal(server.taken().at(-1), "longPoll");
  assert.deepEqual(states().slice(-2), ["poll", "long-poll"]);
});

test("of the drafts that were open when a stream ended, the next stream ends those that it does not tell", async (t) => {
  const server = new FakeServer();
  server.publish(message("a", 1, { status: "processing" }), message("b", 2, { status: "processing" }));
  const { told, turn, settle } = await follow(t, { drafts: ["of another tab"] }, server);
  const drafts = () => told.splice(0).filter(({ type }) => type === "draft").map(({ draft }) => [draft.messageId, draft.ended ?? false]);
  for (const messageId of ["a", "b"]) server.say("draft", { messageId, text: "Well" });
  server.raw("id: a.2\n\n");
  await settle();
  assert.deepEqual(drafts(), [["a", false], ["b", false], ["of another tab", true]]);
  server.say("bye", { reason: "age" });
  server.cut();
  await turn(10_000);
  assert.equal(server.streams, 1);
  server.say("draft", { messageId: "b", text: "Well, well" });
  server.raw("id: a.2\n\n");
  server.raw("id: a.2\n\n");
  await settle();
  assert.deepEqual(drafts(), [["b", false], ["a", true]]);
});

test("a draft goes on through an edit of its message, and ends with the stream all the same", async (t) => {
  const { server, told, turn, settle } = await follow(t);
  server.publish(message("a", 1, { status: "processing" }));
  server.say("draft", { messageId: "a", text: "Well" });
  server.publish(message("a", 2, { status: "processing", eqScore: 7 }));
  await settle();
  assert.equal(told.some(({ draft }) => draft?.ended), false);
  server.page = server.stream = "away";
  server.cut();
  await turn(10_000);
  assert.deepEqual(told.filter(({ draft }) => draft?.ended).map(({ draft }) => draft.messageId), ["a"]);
});

for (const foreign of [{}, [], null, { messages: [] }, { messages: [{}], next: "a.1" }, { messages: {}, next: "a.1" }]) {
  test(`an answer that is no page of ours is no event, and the feed is read again: ${JSON.stringify(foreign)}`, async (t) => {
    const server = new FakeServer();
    const fetch = server.fetch;
    let portal = true;
    server.fetch = async (...call) => (portal ? json(foreign, 200) : fetch(...call));
    const { told, states, turn } = await follow(t, {}, server);
    assert.deepEqual([told.length, states()], [2, ["connecting", "reconnecting"]]);
    portal = false;
    await turn(2_000);
    assert.deepEqual(states(), ["connecting", "reconnecting", "stream"]);
    assert.deepEqual(told.filter(({ type }) => type === "reset").map(({ messages }) => messages), [[]]);
  });
}

test("an answer to a long-poll that is not ours is a failure of that way", async (t) => {
  const server = new FakeServer();
  const fetch = server.fetch;
  server.fetch = async (url, options) => {
    const answer = fetch(url, options);
    return new URL(url).searchParams.has("wait") ? (answer.catch(() => {}), json({}, 200)) : answer;
  };
  const { told, states, turn } = await follow(t, { ways: ["long-poll", "poll"] }, server);
  await turn(20_000);
  assert.deepEqual(states(), ["connecting", "long-poll", "poll"]);
  assert.deepEqual(told.filter(({ type }) => type !== "state").length, 1, "the first page");
});

for (const [what, type, data] of [
  ["a message without an id", "message", { seq: 4 }], ["no JSON", "message", "<html>"], ["a draft of nothing", "draft", {}], ["a list", "message", []], ["null", "draft", null],
]) {
  test(`an event that is not of our shape ends its stream and is not told: ${what}`, async (t) => {
    const { server, told, settle } = await follow(t);
    const before = told.length;
    if (typeof data === "string") server.raw(`event: ${type}\nid: a.9\ndata: ${data}\n\n`);
    else server.say(type, data, "a.9");
    await settle();
    assert.equal(server.streams, 1, "another one is open");
    assert.deepEqual(told.slice(before).filter((change) => change.type !== "state"), []);
    assert.notEqual(server.calls.at(-1).query.cursor, "a.9", "and its place is not believed");
  });
}

test("a page in place of a stream is a failure of streams", async (t) => {
  const server = new FakeServer();
  const fetch = server.fetch;
  server.fetch = async (url, options) =>
    new URL(url).pathname.endsWith("/stream") ? new Response("<h1>Welcome to our airport</h1>", { headers: { "Content-Type": "text/html" } }) : fetch(url, options);
  const { states, turn } = await follow(t, {}, server);
  await turn(2_000);
  assert.deepEqual(states(), ["connecting", "long-poll"]);
});

test("a feed tells whether what a living one would do is overdue", async (t) => {
  const { server, feed, turn, settle } = await follow(t);
  await turn(14_000);
  assert.equal(feed.overdue(), 0);
  server.raw(": alive\n\n");
  await settle();
  await turn(19_000);
  assert.equal(feed.overdue(), 0);
  await turn(3_000);
  assert.equal(feed.overdue(), 2_000);
  // This server leaves more between two bytes.
  server.raw(": alive\n\n");
  await settle();
  await turn(26_000);
  assert.equal(feed.overdue(), 0);
});

test("a feed that polls is overdue once a poll is, and sooner when it was woken", async (t) => {
  const { feed, turn } = await follow(t, { ways: ["poll"] });
  await turn(60_000);
  assert.equal(feed.overdue(), 0);
  mock.timers.setTime(Date.now() + 1_000);
  feed.now();
  mock.timers.setTime(Date.now() + 5_000);
  assert.ok(feed.overdue() > 0);
});

test("a stream whose server hears of no changes is reconnecting until it hears again", async (t) => {
  const { server, states, settle } = await follow(t);
  server.say("upstream", { live: false });
  await settle();
  server.say("upstream", { live: true });
  await settle();
  assert.deepEqual(states(), ["connecting", "stream", "reconnecting", "stream"]);
});

for (const [way, ms] of [["poll", 60_000], ["long-poll", 60_000]]) {
  test(`a ${way} that says that the server hears of no changes is reconnecting until one does not`, async (t) => {
    const server = new FakeServer();
    server.live = false;
    const { states, turn } = await follow(t, { ways: [way] }, server);
    assert.deepEqual(states(), ["connecting", "reconnecting"]);
    server.live = true;
    await turn(ms);
    assert.deepEqual(states(), ["connecting", "reconnecting", way]);
  });
}
