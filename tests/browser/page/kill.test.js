// The server is killed while a bot writes, or while an own comment is on its way: what people see then, and that in the
// end everything stands there once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Bot } from "../bot.js";
import { Proxy } from "../proxy.js";
import { assertNoDouble, assertWalk, record, seen } from "./seen.js";
import { Service, connection, look, openPage, startBrowser, texts, write, writing } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** A page on which a bot is writing "It began". */
async function drafted(t) {
  const service = await Service.start(t);
  const bot = await Bot.start(t, service, { name: "gpu-1", entity: "sage" });
  const page = await openPage(t, browser, service);
  await record(page);
  await write(page, { name: "Ada", entity: "sage", text: "How did it begin?" });
  await bot.works();
  bot.writes("It began");
  await writing(page).getByText("It began", { exact: true }).waitFor();
  return { service, bot, page };
}

test("a draft goes with the server, and when it is back the reply of the same bot comes once", async (t) => {
  const { service, bot, page } = await drafted(t);
  await service.stop();
  await connection(page, "reconnecting…");
  await writing(page).waitFor({ state: "detached" });
  await page.getByText("sage · answering…").waitFor();
  await service.start();
  bot.writes(" with a bang.");
  bot.ends();
  await page.getByText("sage · answered").waitFor();
  await connection(page, "live");
  assert.deepEqual(await texts(page), ["How did it begin?", "It began with a bang."]);
  assert.equal(await writing(page).count(), 0);
  await assertWalk(page, "How did it begin?");
  await assertNoDouble(page);
});

test("a draft goes with the server and its bot, and another attempt's draft and reply come once", async (t) => {
  const { service, bot, page } = await drafted(t);
  await service.stop();
  await bot.kill();
  await writing(page).waitFor({ state: "detached" });
  await service.start();
  await connection(page, "live");
  const before = (await seen(page)).length;
  const other = await Bot.start(t, service, { name: "gpu-2", entity: "sage" });
  // What the end of the dead worker's lease does by itself, 30 s after the restart.
  const messageId = await page.locator(".message").getAttribute("data-id");
  await service.send("/api/queue/release", { messageId, workerId: "gpu-1" });
  await other.works();
  other.writes("In silence.");
  await writing(page).getByText("In silence.", { exact: true }).waitFor();
  other.ends();
  await page.getByText("sage · answered").waitFor();
  await writing(page).waitFor({ state: "detached" });
  assert.deepEqual(await texts(page), ["How did it begin?", "In silence."]);
  const later = (await seen(page)).slice(before).flat();
  assert.ok(later.every(({ text }) => text !== "It began"), "nobody writes that any more");
  await assertNoDouble(page);
});

/** A page behind a proxy, where "Hello." is written and held back before or behind the server. */
async function sending(t, part, { seesFeed = true } = {}) {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service);
  const page = await openPage(t, browser, proxy);
  await record(page);
  if (!seesFeed) proxy.freeze();
  const [first, second] = [proxy.hold(part), proxy.hold("request")];
  await write(page, { name: "Ada", entity: "", text: "Hello." });
  await first.reached;
  await page.getByRole("button", { name: "Sending…" }).waitFor();
  return { service, proxy, page, first, second };
}

const line = (page, state) => page.locator(`.message[data-state=${state}]`).filter({ hasText: "Hello." }).waitFor();

/** It was sent `times`, always under one key, and is stored and shown once, as an own comment that is confirmed. */
async function assertOnce(page, proxy, service, times) {
  await page.getByRole("button", { name: "Send", exact: true }).waitFor();
  await line(page, "stored");
  await connection(page, "live");
  assert.deepEqual(await texts(page), ["Hello."]);
  assert.equal(await page.getByLabel("Comment", { exact: true }).inputValue(), "");
  assert.equal((await page.getByRole("alert").textContent()).trim(), "");
  await assertNoDouble(page);
  assert.deepEqual([proxy.keys.length, new Set(proxy.keys).size], [times, 1]);
  const stored = await (await fetch(new URL("/api/comments?domain=lobby", service.url))).json();
  assert.deepEqual(stored.map(({ text }) => text), ["Hello."]);
}

test("a comment whose feed event comes before the answer to its post stands there once", async (t) => {
  const { service, proxy, page, first } = await sending(t, "answer");
  await line(page, "stored");
  first.release();
  await assertOnce(page, proxy, service, 1);
});

for (const [when, part, options, shown] of [
  ["before it has stored an own comment", "request", {}, "sending"],
  ["when it has stored an own comment of which nobody has heard yet", "answer", { seesFeed: false }, "sending"],
  ["when the feed has brought an own comment, and not the answer to its post", "answer", {}, "stored"],
]) {
  test(`where the server is killed ${when}, it is sent again under its key and stands there once`, async (t) => {
    const { service, proxy, page, first, second } = await sending(t, part, options);
    await line(page, shown);
    await service.stop();
    first.cut();
    await connection(page, "reconnecting…");
    await second.reached;
    await line(page, shown);
    assert.deepEqual(await texts(page), ["Hello."]);
    await service.start();
    second.release();
    await assertOnce(page, proxy, service, 2);
  });
}

test("a comment that was stored, though all answers were lost, can be sent again by hand and stands there once", async (t) => {
  const { service, proxy, page, first, second } = await sending(t, "answer");
  await service.stop();
  first.cut();
  await second.reached;
  second.cut();
  await page.getByRole("alert").filter({ hasText: "cannot be reached" }).waitFor();
  await line(page, "stored");
  assert.equal(await page.getByLabel("Comment", { exact: true }).inputValue(), "Hello.");
  await service.start();
  await look(page);
  await connection(page, "live");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.waitForFunction(() => document.querySelector("repartee-comments").shadowRoot.querySelector("#text").value === "");
  await assertOnce(page, proxy, service, proxy.keys.length);
});
