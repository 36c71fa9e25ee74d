// What a bot is writing is seen while it writes, and becomes its reply.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Bot } from "../bot.js";
import { record, seen } from "./seen.js";
import { Service, comments, connection, newContext, openPage, openTab, pageOf, say, startBrowser, texts, write, writing } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

test("a comment, its draft and its reply are seen in two browsers", async (t) => {
  const service = await Service.start(t);
  const bot = await Bot.start(t, service, { name: "gpu-1", entity: "sage" });
  const pages = [await openPage(t, browser, service), await openPage(t, browser, service)];
  await write(pages[0], { name: "Ada", entity: "sage", text: "Why is space black?" });
  await bot.works();
  for (const page of pages) await page.getByText("sage · answering…").waitFor();

  bot.writes("Because");
  for (const page of pages) await writing(page).getByText("Because", { exact: true }).waitFor();
  bot.writes(" it is young.");
  for (const page of pages) {
    await writing(page).getByText("Because it is young.", { exact: true }).waitFor();
    assert.equal(await writing(page).locator(".name").textContent(), "sage");
    assert.equal(await writing(page).locator(".reply").textContent(), "to Ada");
  }

  bot.ends();
  for (const page of pages) {
    await page.getByText("sage · answered").waitFor();
    await writing(page).waitFor({ state: "detached" });
    await comments(page, "Because it is young.").waitFor();
    assert.deepEqual(await texts(page), ["Why is space black?", "Because it is young."]);
    assert.deepEqual(page.complaints, []);
  }
});

/** A page whose question a bot has begun to answer. */
async function begun(t) {
  const service = await Service.start(t);
  const bot = await Bot.start(t, service, { name: "gpu-1", entity: "sage" });
  const page = await openPage(t, browser, service);
  await write(page, { name: "Ada", entity: "sage", text: "Tell me." });
  await bot.works();
  bot.writes("It began");
  await writing(page).getByText("It began").waitFor();
  return { service, bot, page };
}

test("who comes while a bot writes sees what it has written so far, in every tab", async (t) => {
  const { service, bot, page } = await begun(t);

  const stranger = await openPage(t, browser, service);
  await writing(stranger).getByText("It began").waitFor();
  const tab = await openTab(page.context(), pageOf(service));
  await connection(tab, "live");
  bot.writes(" with a bang.");
  for (const one of [page, stranger, tab]) await writing(one).getByText("It began with a bang.").waitFor();
});

test("a draft goes when its message is cancelled, and markup in it stays text", async (t) => {
  const service = await Service.start(t);
  const bot = await Bot.start(t, service, { name: "gpu-1", entity: "sage" });
  const context = await newContext(t, browser);
  const page = await openTab(context, pageOf(service));
  await connection(page, "live");
  await write(page, { name: "Ada", entity: "sage", text: "Tell me." });
  await bot.works();
  const probe = "<img src=x onerror=alert(1)><b>bold</b>";
  bot.writes(probe);
  await writing(page).getByText(probe, { exact: true }).waitFor();
  assert.equal(await page.locator(".messages :is(img, b)").count(), 0);
  const { messages: [asked] } = await (await fetch(new URL("/api/comments/changes?domain=lobby", service.url))).json();
  await service.send("/api/queue/cancel", { messageId: asked.id });
  await page.getByText("sage · stopped").waitFor();
  await writing(page).waitFor({ state: "detached" });
  assert.deepEqual(page.complaints, []);
});

test("a worker that posts its reply and writes on has both shown, until it completes", async (t) => {
  const { service, bot, page } = await begun(t);
  const messageId = await page.locator(".message").first().getAttribute("data-id");
  await record(page);
  const reply = { domain: "lobby", text: "This is how.", username: "sage", color: "default", "message-type": "AI", replyTo: messageId };
  await service.send("/api/comments", reply, { headers: { Authorization: `Bearer ${service.workerToken}` } });
  await comments(page, "This is how.").waitFor();
  bot.writes(" with a bang.");
  await writing(page).getByText("It began with a bang.", { exact: true }).waitFor();
  assert.deepEqual(await texts(page), ["Tell me.", "This is how.", "It began with a bang."]);
  await service.send("/api/queue/complete", { messageId, workerId: "gpu-1" });
  await page.getByText("sage · answered").waitFor();
  assert.deepEqual(await texts(page), ["Tell me.", "This is how."]);
  const replies = (await seen(page)).map((lines) => lines.filter(({ text }) => text === "This is how.").length);
  const from = replies.indexOf(1);
  assert.ok(replies.every((count, at) => count === (at < from ? 0 : 1)), `the reply never goes again: ${replies}`);
});
