// A stream read by event-source-polyfill, which cannot set Last-Event-ID when it comes back: it says so in the address.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { Service, newContext, say, startBrowser } from "./world.js";

const POLYFILL = createRequire(import.meta.url).resolve("event-source-polyfill");

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

test("a polyfill that comes back after a restart goes on where it was", async (t) => {
  const service = await Service.start(t);
  const context = await newContext(t, browser, { bypassCSP: true });
  const page = await context.newPage();
  const addresses = [];
  page.on("request", (request) => addresses.push(request.url()));
  await page.goto(`${service.url}livez`);
  await page.addScriptTag({ path: POLYFILL });
  await page.evaluate(() => {
    window.seen = [];
    window.states = [];
    const source = new window.EventSourcePolyfill("/api/comments/stream?domain=lobby");
    source.addEventListener("open", () => window.states.push("open"));
    source.addEventListener("error", () => window.states.push(source.readyState === 2 ? "closed" : "reconnecting"));
    source.addEventListener("message", ({ data }) => window.seen.push(JSON.parse(data).text));
  });
  const seen = (count) => page.waitForFunction((count) => window.seen.length === count, count);
  await page.waitForFunction(() => window.states.includes("open"));
  await say(service, "before");
  await seen(1);
  await service.stop();
  await service.start();
  await say(service, "after");
  await seen(2);
  assert.deepEqual(await page.evaluate(() => window.seen), ["before", "after"]);
  assert.ok(addresses.some((address) => address.includes("lastEventId=")), addresses.join("\n"));
  assert.ok(!(await page.evaluate(() => window.states)).includes("closed"));
});
