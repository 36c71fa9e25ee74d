// Reading back: older comments as one scrolls, and new ones that do not pull the reader away.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Service, comments, openPage, say, startBrowser, texts } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

const scroll = (page, to) => page.getByRole("log").evaluate((log, top) => { log.scrollTop = top === "end" ? log.scrollHeight : top; }, to);
const top = (page) => page.getByRole("log").evaluate((log) => log.scrollTop);

test("a thousand comments can be scrolled back, each there once, and what is read stays in its place", async (t) => {
  const service = await Service.start(t);
  const said = Array.from({ length: 1_000 }, (_, at) => `number ${at}`);
  for (const text of said) await say(service, text);
  const page = await openPage(t, browser, service);
  await comments(page, "number 999").waitFor();
  assert.ok((await texts(page)).length < 200, "only the newest are read at first");
  while (!(await comments(page, "number 0").count())) {
    const oldest = (await texts(page))[0];
    const place = () => comments(page, oldest).evaluate((line) => line.getBoundingClientRect().top);
    await scroll(page, 0);
    await page.waitForFunction((text) => document.querySelector("repartee-comments").shadowRoot.querySelector(".message .text").textContent !== text, oldest);
    assert.ok((await place()) > -1_000, "the line that was read has not jumped away");
  }
  assert.deepEqual(await texts(page), said);
  assert.equal(await page.getByRole("button", { name: "older comments" }).count(), 0, "there are no older ones");
  assert.deepEqual(page.complaints, []);
});

test("new comments are counted while somebody reads further up, and wait below", async (t) => {
  const service = await Service.start(t);
  for (let at = 0; at < 40; at += 1) await say(service, `number ${at}`);
  const page = await openPage(t, browser, service);
  await comments(page, "number 39").waitFor();
  await scroll(page, 100);
  for (const text of ["news", "more news"]) {
    await say(service, text);
    await comments(page, text).waitFor({ state: "attached" });
  }
  await page.getByRole("button", { name: "2 new" }).waitFor();
  assert.ok((await top(page)) < 200, "the reader stays where they are");
  await page.getByRole("button", { name: "2 new" }).press("Enter");
  await comments(page, "more news").waitFor();
  assert.equal(await page.getByRole("button", { name: "new" }).count(), 0);
  await say(service, "the newest");
  await page.waitForFunction(() => {
    const log = document.querySelector("repartee-comments").shadowRoot.querySelector(".log");
    return log.textContent.includes("the newest") && log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  });
});

test("new comments are read out, drafts and older ones are not", async (t) => {
  const service = await Service.start(t);
  await say(service, "old news");
  const page = await openPage(t, browser, service);
  await comments(page, "old news").waitFor();
  await say(service, "fresh news");
  const spoken = page.locator("[aria-live=polite]");
  await spoken.getByText("Grace: fresh news").waitFor({ state: "attached" });
  assert.doesNotMatch(await spoken.textContent(), /old news/);
  assert.equal(await page.getByRole("log").getAttribute("aria-live"), "off");
});
