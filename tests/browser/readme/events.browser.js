// The lines of EventSource, run in a real browser as they are printed in the README.

import assert from "node:assert/strict";
import { test } from "node:test";

import { startBrowser } from "../page/world.js";
import { Service } from "../service.js";
import { snippet } from "./snippet.js";

test("the lines of EventSource show a question, its draft and its reply", async (t) => {
  const service = await Service.start(t);
  const lines = snippet("Live by stream", "js", service);
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  const heard = (wanted) =>
    said.some(wanted) || page.waitForEvent("console", { predicate: (message) => wanted(message.text()) });
  // A page of the service: it may connect to where it comes from.
  await page.goto(service.url);
  await page.evaluate(lines);
  await heard((line) => line === "connected live");
  const text = "One two three four five";
  const asked = { domain: "lobby", username: "Ann", color: "200120040", text, botParams: { entity: "echo" } };
  await service.send("api/comments", asked);
  for (const status of ["pending", "processing", "complete"]) {
    await heard((line) => line === `message ${text} ${status}`);
  }
  await heard((line) => line.startsWith("draft One"));
  // The reply is the only message of these words without a status.
  await heard((line) => line.trim() === `message ${text}`);
  assert.ok(!said.some((line) => line.startsWith("forget")), said.join("\n"));
});
