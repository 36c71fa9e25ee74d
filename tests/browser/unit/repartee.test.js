// The client's calls: what they send, when they are sent again, and what is told of a refusal.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Repartee, ReparteeError, newKey } from "../../../rest-gateway/web/repartee.js";
import { FakeServer, json, message, turnTime } from "../fake.js";

const comment = { domain: "lobby", text: "Hello", username: "Ada", color: "default" };

function world(t, answers = []) {
  const time = turnTime(t);
  const server = new FakeServer();
  server.answer = () => {
    const next = answers.length > 1 ? answers.shift() : answers[0];
    if (next instanceof Error) throw next;
    return next();
  };
  return { server, client: new Repartee("http://test.example/under", { fetch: server.fetch, now: time.now }), ...time };
}

const stored = () => json({ id: "a", status: "success", message: message("a", 1) }, 201);
const refused = (status, headers) => () => json({ detail: "No.", status, reason: "WHY", errors: [{ pointer: "/text", detail: "too long" }] }, status, headers);

test("a comment is sent as JSON, under a key, below the server's address", async (t) => {
  const { server, client } = world(t, [stored]);
  assert.equal((await client.post(comment)).id, "a");
  const [call] = server.calls;
  assert.deepEqual([call.method, call.pathname, JSON.parse(call.body)], ["POST", "/under/api/comments", comment]);
  assert.match(call.headers["Idempotency-Key"], /^[0-9a-f]{32}$/);
});

test("names are sent in the form in which they are kept, and text as it was written, without halves of characters", async (t) => {
  const { server, client } = world(t, [stored]);
  const written = { ...comment, username: "Zoe\u0308", text: "e\u0308 \ud83d", botParams: { entity: "cafe\u0301" } };
  await client.post(written);
  const sent = JSON.parse(server.calls[0].body);
  assert.deepEqual([sent.username, sent.text, sent.botParams.entity], ["Zo\u00eb", "e\u0308 \ufffd", "caf\u00e9"]);
});

for (const failure of [new TypeError("fetch failed"), refused(500), refused(502), refused(503), refused(504), refused(429)]) {
  test(`a comment is sent again under the same key: ${failure.message ?? failure().status}`, async (t) => {
    const { server, client, turn } = world(t, [failure, failure, stored]);
    const posted = client.post(comment, { key: "k1" });
    await turn(2_500);
    assert.equal((await posted).id, "a");
    assert.deepEqual(server.calls.map((call) => call.headers["Idempotency-Key"]), ["k1", "k1", "k1"]);
  });
}

test("a comment that cannot be sent fails in the end", async (t) => {
  const { server, client, turn } = world(t, [new TypeError("fetch failed")]);
  const posted = assert.rejects(client.post(comment), TypeError);
  await turn(7_000);
  await posted;
  assert.equal(server.calls.length, 4);
});

test("a refusal that is known is told at once, with what the server said", async (t) => {
  const { server, client } = world(t, [refused(422)]);
  await assert.rejects(client.post(comment), (error) => {
    assert.ok(error instanceof ReparteeError);
    assert.deepEqual([error.status, error.reason, error.message], [422, "WHY", "No.\n/text: too long"]);
    assert.deepEqual(error.fields, [{ pointer: "/text", detail: "too long" }]);
    return true;
  });
  assert.equal(server.calls.length, 1);
});

test("a long pause that the server asks for is the caller's to decide", async (t) => {
  const { server, client } = world(t, [refused(429, { "Retry-After": "60" })]);
  await assert.rejects(client.post(comment), (error) => error.retryAfter === 60_000);
  assert.equal(server.calls.length, 1);
});

test("an answer that is no problem document is told by its status", async (t) => {
  const { client } = world(t, [() => new Response("<html>", { status: 418 })]);
  await assert.rejects(client.messages(), /418/);
});

test("a call is given up when its signal says so", async (t) => {
  const { server, client, settle } = world(t, [new TypeError("fetch failed")]);
  const stop = new AbortController();
  const posted = assert.rejects(client.post(comment, { signal: stop.signal }), { name: "AbortError" });
  await settle();
  stop.abort();
  await posted;
  assert.equal(server.calls.length, 1);
  await assert.rejects(client.conversation({ humanUsername: "a", humanColor: "b", aiUsername: "c", aiColor: "d", signal: stop.signal }), { name: "AbortError" });
  await assert.rejects(client.messages({ signal: stop.signal }), { name: "AbortError" });
});

test("a call without an answer fails after a while", async (t) => {
  const { server, client, turn } = world(t);
  server.other = "held";
  const read = assert.rejects(client.messages(), { name: "TimeoutError" });
  await turn(15_500);
  await read;
});

for (const foreign of [{}, [], null, "ok", { id: "a" }, { id: "a", message: {} }, [{}], [null]]) {
  test(`an answer of somebody else is no success: ${JSON.stringify(foreign)}`, async (t) => {
    const { server, client, turn } = world(t, [() => json(foreign, 200)]);
    const posted = assert.rejects(client.post(comment, { key: "k1" }), /not a stored comment of Repartee's/);
    await turn(7_000);
    await posted;
    assert.deepEqual(server.calls.map((call) => call.headers["Idempotency-Key"]), Array(4).fill("k1"), "it is sent again, as where nobody answers");
    if (Array.isArray(foreign) && foreign.length === 0) return;
    await assert.rejects(client.messages(), /not a list/);
    await assert.rejects(client.conversation({}), /not a conversation/);
  });
}

test("older messages are read by the id of the message that they are before", async (t) => {
  const { server, client } = world(t, [() => json([message("x", 1)], 200, { "X-More": "true" })]);
  assert.deepEqual(await client.messages({ domain: "lobby", beforeId: "m17", limit: 100 }), { messages: [message("x", 1)], more: true });
  assert.deepEqual(server.calls[0].query, { domain: "lobby", beforeId: "m17", limit: "100" });
});

test("a conversation is asked for by its four names", async (t) => {
  const { server, client } = world(t, [() => json([], 200)]);
  const who = { humanUsername: "Ann:1", humanColor: "2", aiUsername: "echo", aiColor: "default" };
  assert.deepEqual(await client.conversation(who), []);
  assert.deepEqual([server.calls[0].pathname, server.calls[0].query], ["/under/api/conversation", who]);
});

test("two keys are never the same", () => {
  assert.notEqual(newKey(), newKey());
});

test("what was written here is changed, stopped and removed with the token that came with it", async (t) => {
  const { server, client } = world(t);
  server.answer = ({ method }) => (method === "POST" ? json({ id: "a", editToken: "t1", message: message("a", 1) }, 201) : json(message("a", 2), 200));
  assert.equal(client.owns("a"), false);
  await client.post(comment);
  assert.equal(client.owns("a"), true);
  server.calls = [];
  assert.equal((await client.edit("a", "cut \ud83d")).seq, 2);
  await client.cancel("a");
  await client.remove("a");
  await client.edit("b", "theirs", { editToken: "t2" });
  const sent = server.calls.map(({ method, pathname, headers, body }) => [method, pathname, headers.Authorization, body && JSON.parse(body)]);
  assert.deepEqual(sent, [
    ["PATCH", "/under/api/comments/a", "Bearer t1", { text: "cut \ufffd" }],
    ["POST", "/under/api/queue/cancel", "Bearer t1", { messageId: "a" }],
    ["DELETE", "/under/api/comments/a", "Bearer t1", undefined],
    ["PATCH", "/under/api/comments/b", "Bearer t2", { text: "theirs" }],
  ]);
  assert.equal(client.owns("a"), false, "of what is removed nothing is kept");
});

test("a foreign answer to a change is no success", async (t) => {
  const { client } = world(t, [() => json({}, 200)]);
  for (const change of [client.edit("a", "x"), client.remove("a"), client.cancel("a")]) await assert.rejects(change, /not a message of Repartee's/);
});

test("what is written belongs to the trace that the page has then, and what is read to none", async (t) => {
  const { server } = world(t, [stored]);
  const parents = ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", undefined];
  const traced = new Repartee("http://test.example/", { fetch: server.fetch, trace: () => parents.shift() });
  const [parent] = parents;
  await traced.post(comment);
  await traced.post(comment);
  server.answer = () => json([], 200);
  await traced.messages({ domain: "lobby" });
  assert.deepEqual(server.calls.map(({ headers }) => headers?.traceparent), [parent, undefined, undefined]);
});
