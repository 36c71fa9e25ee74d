// Colors and statuses, as far as they are plain functions.

import assert from "node:assert/strict";
import { test } from "node:test";

import { colorOf, inkOn, isolated, parseColor } from "../../../rest-gateway/web/dom.js";
import { statusOf } from "../../../rest-gateway/web/line.js";

test("nine digits are a color", () => {
  assert.deepEqual(parseColor("169080199"), [169, 80, 199]);
  assert.deepEqual(parseColor("000000000"), [0, 0, 0]);
});

test("every other text is no color", () => {
  const texts = ["default", "", "300000000", "16908019", "1690801990", "#a950c7", "rgb(1,2,3)", "169080199;x:url(//a)", "-10-10-10", "١٦٩٠٨٠١٩٩"];
  for (const text of texts) assert.equal(parseColor(text), null, text);
});

test("the browser's color field and the wire mean the same color", () => {
  assert.equal(colorOf("#a950c7"), "169080199");
  assert.equal(colorOf("#00050f"), "000005015");
});

test("a name's first letter can be read on every color", () => {
  assert.equal(inkOn([255, 255, 0]), "#000");
  assert.equal(inkOn([0, 0, 120]), "#fff");
  assert.equal(inkOn([0, 0, 0]), "#fff");
  assert.equal(inkOn([255, 255, 255]), "#000");
});

test("a comment tells where its work stands", () => {
  const at = (status, error = null) => statusOf({ state: "stored", message: { botParams: { entity: "echo", status, error } } });
  assert.deepEqual(statusOf({ state: "sending", message: {} }), { state: "sending", text: "sending…" });
  assert.deepEqual(statusOf({ state: "writing", message: {} }), { state: "writing", text: "writing…" });
  assert.deepEqual(at("pending"), { state: "pending", bot: "echo", text: "pending" });
  assert.deepEqual(at("processing"), { state: "processing", bot: "echo", text: "answering…" });
  assert.deepEqual(at("complete"), { state: "complete", bot: "echo", text: "answered" });
  assert.deepEqual(at("failed", "HTTP 500 at 10.0.0.7"), { state: "failed", bot: "echo", text: "could not answer" }, "why is for operators");
  assert.deepEqual(at("failed", "constructor"), { state: "failed", bot: "echo", text: "could not answer" });
  assert.deepEqual(at("failed", "cancelled"), { state: "failed", bot: "echo", text: "stopped" });
  assert.deepEqual(at("failed", "expired"), { state: "failed", bot: "echo", text: "nobody was there to answer" });
});

test("an old error says nothing once the work goes on", () => {
  const message = { botParams: { entity: "echo", status: "pending", error: "no model" } };
  assert.equal(statusOf({ state: "stored", message }).text, "pending");
});

test("a platform post and a removed comment have no status", () => {
  assert.equal(statusOf({ state: "stored", message: { botParams: null } }), null);
  assert.equal(statusOf({ state: "stored", message: { deleted: true, botParams: { entity: "echo", status: "pending" } } }), null);
});

test("a name in a title moves nothing around it", () => {
  assert.equal(isolated("night-sky"), "\u2068night-sky\u2069");
  assert.equal(isolated("a\u202eb\u2069c\u2066"), "\u2068abc\u2069");
});
