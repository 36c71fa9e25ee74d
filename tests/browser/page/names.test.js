// Names and texts that are written from right to left, or try to move what stands around them, in a real browser.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Service, comments, keep, openPage, say, startBrowser } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** A right-to-left override with nothing that ends it, in a text: a name may not hold one. */
const OVERRIDE = "\u202e";

/** Where a text stands, in px from the left: of the first element in `line` that holds it alone. */
const left = (line, selector) => line.locator(selector).evaluate((element) => element.getBoundingClientRect().left);

test("a name that is written from right to left leaves everything around it in its place", async (t) => {
  const service = await Service.start(t);
  const asked = await say(service, "hello", { username: "Ann", botParams: { entity: "nobody" } });
  const hebrew = "דוד (1)";
  const inHebrew = await say(service, "שלום (1)", { username: hebrew, botParams: { entity: "בוט (2)" } });
  await say(service, "to you", { username: "Ann", replyTo: inHebrew.id });
  const page = await openPage(t, browser, service);
  const [plain, turned] = [comments(page, "hello"), comments(page, "שלום (1)")];
  await turned.waitFor();

  // The bot's name first, then what it does, whatever the direction of the name.
  for (const line of [plain, turned]) {
    const order = await line.locator(".status").evaluate((status) => {
      const range = document.createRange();
      range.selectNode(status.lastChild);
      return status.querySelector("bdi").getBoundingClientRect().left < range.getBoundingClientRect().left;
    });
    assert.ok(order, "the status follows the name of the bot");
  }
  assert.equal(await left(turned, ".name"), await left(plain, ".name"));
  const reply = comments(page, "to you").locator(".reply");
  assert.equal(await reply.locator("bdi").textContent(), hebrew);
  // The click on the name itself leads to what was answered.
  await reply.locator("bdi").click();
  assert.ok(asked.id);
  assert.equal(await turned.locator(".text").evaluate((text) => getComputedStyle(text).direction), "rtl");
  assert.deepEqual(page.complaints, []);
  await keep(page, "names");
});

test("an override in a text ends with that text", async (t) => {
  const service = await Service.start(t);
  await say(service, `${OVERRIDE}desrever`, { username: "Ann", botParams: { entity: "nobody" } });
  await say(service, "as it was written", { username: "Bea" });
  const page = await openPage(t, browser, service);
  await comments(page, "as it was written").waitFor();
  const shown = await page.locator(".message").first().evaluate((line) => {
    const at = (selector) => line.querySelector(selector).getBoundingClientRect().left;
    return { name: at(".name"), time: at("time"), status: line.querySelector(".status").textContent };
  });
  assert.ok(shown.name < shown.time);
  assert.equal(shown.status, "nobody · pending");
});

test("the title names the domain of the address and nothing it holds turns it round", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service, { domain: "דוד" });
  assert.equal(await page.title(), "\u2068דוד\u2069 · Repartee");
  assert.equal(await page.locator("#domain").evaluate((element) => element.tagName), "BDI");
});

test("names that hide what they are are refused where they are written", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await page.getByLabel("Name").fill(`ec${OVERRIDE}ho`);
  await page.getByLabel("Comment", { exact: true }).fill("It is me.");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "U+202E at character 3" }).waitFor();
  assert.equal(await page.getByLabel("Name").getAttribute("aria-invalid"), "true");
  await page.locator(".message").waitFor({ state: "detached" });
});
