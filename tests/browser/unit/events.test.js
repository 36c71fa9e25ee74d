// Server-Sent Events, as the bytes come.

import assert from "node:assert/strict";
import { test } from "node:test";

import { EventParser, eventsOf } from "../../../rest-gateway/web/events.js";

const parse = (...pieces) => {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
};

test("an event has a type, data and an id", () => {
  assert.deepEqual(parse("event: message\nid: a.1\ndata: {\"a\":1}\n\n"), [{ type: "message", data: "{\"a\":1}", id: "a.1" }]);
});

test("a stream may be cut anywhere", () => {
  const text = ": hi\r\nevent: draft\r\nid:x\r\ndata: one\r\ndata:two\r\n\r\ndata: three\n\n";
  const whole = parse(text);
  assert.deepEqual(whole, [{ type: "draft", data: "one\ntwo", id: "x" }, { type: "message", data: "three", id: null }]);
  assert.deepEqual(parse(...text), whole, "character by character");
});

test("a lone CR ends a line", () => {
  assert.deepEqual(parse("data: a\r\rdata: b\r", "\r"), [{ type: "message", data: "a", id: null }, { type: "message", data: "b", id: null }]);
});

test("comments and events without data are no events", () => {
  assert.deepEqual(parse(": keep-alive\n\n", "event: message\n\n", "\n\n"), []);
});

test("a place can come without an event", () => {
  assert.deepEqual(parse(": alive\nid: 7\n\n"), [{ type: "id", data: "", id: "7" }]);
});

test("the time to reconnect is told at once", () => {
  assert.deepEqual(parse("retry: 1500\n"), [{ type: "retry", data: "1500", id: null }]);
  assert.deepEqual(parse("retry: soon\n"), []);
});

test("an event without an end is not collected for ever", () => {
  assert.throws(() => parse(...Array.from({ length: 20 }, () => "x".repeat(100_000))), /too long/);
});

test("characters that are cut in two are put together, and every piece shows life", async () => {
  const bytes = new TextEncoder().encode("data: ünï\n\n: alive\n\n");
  const body = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  let pieces = 0;
  const events = [];
  for await (const event of eventsOf(body, () => { pieces += 1; })) events.push(event.data);
  assert.deepEqual(events, ["ünï"]);
  assert.equal(pieces, bytes.length);
});
