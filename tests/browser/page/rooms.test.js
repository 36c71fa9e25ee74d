// The list of rooms on the page: there only if the server lists its rooms, beside the comments or behind a button.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { talk } from "./talk.js";
import { Service, connection, keep, look, newContext, openPage, openTab, pageOf, say, startBrowser } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

const WIDE = { viewport: { width: 1280, height: 840 } };
const NARROW = { viewport: { width: 800, height: 700 } };

const start = (t) => Service.start(t, { REPARTEE_LIST_ROOMS: "true" });
const list = (page) => page.getByRole("navigation", { name: "Rooms" });
const links = (page) => list(page).getByRole("link");
const names = (page) => links(page).locator("bdi").allTextContents();
const toggle = (page) => page.getByRole("button", { name: "Rooms", exact: true });

/** Waits until the list names these rooms in this order. */
async function shows(page, expected) {
  await page.waitForFunction(
    (all) => JSON.stringify([...document.querySelectorAll(".rooms bdi")].map((one) => one.textContent)) === all,
    JSON.stringify(expected),
  );
}

test("a server that lists no rooms has none on its page, and is not asked for them", async (t) => {
  const service = await Service.start(t);
  const asked = [];
  const context = await newContext(t, browser, WIDE);
  context.on("request", (request) => asked.push(new URL(request.url()).pathname));
  const page = await openTab(context, pageOf(service));
  await connection(page, "live");
  assert.equal(await list(page).count() + (await toggle(page).count()), 0);
  assert.deepEqual(asked.filter((path) => /room/.test(path)), []);
  assert.deepEqual(page.complaints, []);
});

test("beside the comments stand the rooms, the one that was spoken in last first, with the present one marked", async (t) => {
  const service = await start(t);
  for (const domain of ["a", "lobby", "b"]) await say(service, "Hello", { domain });
  const page = await openPage(t, browser, service, WIDE);
  await shows(page, ["b", "lobby", "a"]);
  assert.equal(await toggle(page).isVisible(), false);
  assert.deepEqual(await page.locator(".rooms [aria-current=page] bdi").allTextContents(), ["lobby"]);
  const time = links(page).first().locator("time");
  assert.ok(Math.abs(Date.parse(await time.getAttribute("datetime")) - Date.now()) < 600_000);
  assert.equal(await time.textContent(), await page.evaluate(() => new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" }).format(0, "second")));
  await links(page).first().click();
  await page.waitForURL("**/?domain=b");
  await page.getByRole("listitem").filter({ hasText: "Hello" }).first().waitFor();
  await shows(page, ["b", "lobby", "a"]);
  assert.deepEqual(await page.locator(".rooms [aria-current=page] bdi").allTextContents(), ["b"]);
  assert.deepEqual(page.complaints, []);
});

test("a link keeps what else the address of the page says", async (t) => {
  const service = await start(t);
  await say(service, "Hello", { domain: "night sky & more" });
  const page = await openTab(await newContext(t, browser, WIDE), `${pageOf(service)}&markdown=off`);
  assert.equal(await links(page).first().getAttribute("href"), "?domain=night+sky+%26+more&markdown=off");
});

test("the list follows what is said, keeps the focus, and asks nothing while the page is hidden", async (t) => {
  const service = await start(t);
  await say(service, "Hello", { domain: "a" });
  await say(service, "Hello", { domain: "b" });
  const asked = [];
  const context = await newContext(t, browser, WIDE);
  context.on("request", (request) => new URL(request.url()).pathname === "/api/rooms" && asked.push(request));
  const page = await openTab(context, pageOf(service));
  await shows(page, ["b", "a"]);
  await links(page).nth(1).focus();
  await say(service, "Again", { domain: "a" });
  await look(page);
  await shows(page, ["a", "b"]);
  assert.equal(await page.evaluate(() => document.activeElement.querySelector("bdi")?.textContent), "a");
  const isList = (response) => new URL(response.url()).pathname === "/api/rooms";
  const [answer] = await Promise.all([page.waitForResponse(isList), look(page)]);
  assert.equal(answer.status(), 304, "nothing has changed since");
  await page.evaluate(() => Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true }));
  const before = asked.length;
  await look(page);
  await say(service, "Once more", { domain: "b" });
  await page.evaluate(() => fetch("api/comments?limit=1"));
  assert.equal(asked.length, before);
  await page.evaluate(() => delete document.visibilityState);
  await look(page);
  await shows(page, ["b", "a"]);
  assert.deepEqual(page.complaints, []);
});

test("in a narrow window the rooms are behind a button, are read when it is used, and can be used by keyboard", async (t) => {
  const service = await start(t);
  for (const domain of ["a", "lobby", "b"]) await say(service, "Hello", { domain });
  const asked = [];
  const context = await newContext(t, browser, NARROW);
  context.on("request", (request) => asked.push(new URL(request.url()).pathname));
  const page = await openTab(context, pageOf(service));
  await connection(page, "live");
  await toggle(page).waitFor();
  assert.equal(await list(page).isVisible(), false);
  assert.deepEqual(asked.filter((path) => path === "/api/rooms"), [], "nobody looks at it");
  await toggle(page).focus();
  await page.keyboard.press("Enter");
  await shows(page, ["b", "lobby", "a"]);
  assert.equal(await toggle(page).getAttribute("aria-expanded"), "true");
  await page.keyboard.press("Escape");
  assert.equal(await list(page).isVisible(), false);
  assert.equal(await toggle(page).getAttribute("aria-expanded"), "false");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Rooms");
  await page.keyboard.press("Enter");
  const current = () => page.evaluate(() => document.activeElement.querySelector("bdi")?.textContent);
  assert.equal(await current(), "lobby", "the list is known already: the present room has the focus");
  await page.keyboard.press("Tab");
  assert.equal(await current(), "a");
  await page.getByRole("log").click();
  assert.equal(await list(page).isVisible(), false, "whoever points elsewhere closes it");
  await toggle(page).click();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/?domain=a");
  assert.deepEqual(page.complaints, []);
});

test("names of rooms stay text, and more of them come by a button", async (t) => {
  const service = await start(t);
  const probe = "<img src=x onerror=alert(1)>\"'><b>bold</b>";
  await say(service, "Hello", { domain: probe });
  for (let at = 0; at < 35; at += 1) await say(service, "Hello", { domain: `room ${at}` });
  const page = await openPage(t, browser, service, WIDE);
  await list(page).getByRole("button", { name: "Show more rooms" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".rooms li").length === 36);
  assert.equal((await names(page)).at(-1), probe);
  assert.equal(await list(page).locator(":is(img, b)").count(), 0);
  assert.equal(await list(page).getByRole("button").count(), 0, "there are no more");
  assert.deepEqual(page.complaints, []);
});

test("a server that is away leaves the list as it was, says so, and takes it away once it lists no rooms", async (t) => {
  const service = await start(t);
  await say(service, "Hello", { domain: "a" });
  const context = await newContext(t, browser, WIDE);
  const page = await openTab(context, pageOf(service));
  await shows(page, ["a"]);
  const answer = (status) => (route) => route.fulfill({ status, contentType: "application/problem+json", body: "{}" });
  await context.route("**/api/rooms*", answer(503));
  await look(page);
  await list(page).getByText("could not be read").waitFor();
  assert.deepEqual(await names(page), ["a"]);
  await context.unroute("**/api/rooms*");
  await look(page);
  await list(page).getByText("could not be read").waitFor({ state: "hidden" });
  await context.route("**/api/rooms*", answer(404));
  await look(page);
  await list(page).waitFor({ state: "detached" });
  assert.equal(await toggle(page).count(), 0);
});

for (const [name, options] of Object.entries({
  light: { colorScheme: "light", ...WIDE },
  dark: { colorScheme: "dark", ...WIDE },
  phone: { colorScheme: "light", viewport: { width: 360, height: 720 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
})) {
  test(`the rooms fit the page: ${name}`, async (t) => {
    const service = await start(t);
    for (const domain of ["night-sky", "tea", "a room with a name that is far too long to be shown as a whole anywhere"]) await say(service, "Hello", { domain });
    await talk(service, "lobby");
    const page = await openPage(t, browser, service, { ...options, author: { username: "Ada", color: "#a9502d", entity: "echo" } });
    if (name === "phone") await toggle(page).tap();
    await links(page).nth(3).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false);
    const heights = await links(page).evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
    assert.ok(heights.every((height) => height >= 24), String(heights));
    await keep(page, `rooms-${name}`);
  });
}
