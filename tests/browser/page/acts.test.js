// What people do with comments, their own and others': answer, change, remove, stop, ask again, copy.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Bot } from "../bot.js";
import { Site } from "../site.js";
import { Service, comments, connection, newContext, openPage, openTab, pageOf, say, startBrowser, texts, write, writing } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

const stored = async (service) => (await (await fetch(new URL("/api/comments?domain=lobby", service.url))).json());
/** An own comment is shown before the server has it. */
const isStored = (page, text) => page.locator(".message[data-state=stored]").filter({ hasText: text }).waitFor();
const box = (page) => page.getByLabel("Comment", { exact: true });

/** One of the buttons of a comment, which are there while somebody points at it. */
async function act(page, text, name) {
  await comments(page, text).hover();
  await comments(page, text).getByRole("button", { name, exact: true }).click();
}

test("a comment is answered, and the answer leads back to it", async (t) => {
  const service = await Service.start(t);
  const { id } = await say(service, "Who is there?");
  const page = await openPage(t, browser, service);
  await comments(page, "Who is there?").waitFor();
  await act(page, "Who is there?", "Reply");
  await page.getByText("To Grace: Who is there?").waitFor();
  await write(page, { name: "Ada", entity: "", text: "It is me." });
  await comments(page, "It is me.").getByRole("button", { name: "to Grace" }).waitFor();
  await isStored(page, "It is me.");
  assert.equal((await stored(service)).at(-1).replyTo, id);
  await write(page, { name: "Ada", entity: "", text: "And me." });
  await isStored(page, "And me.");
  assert.equal((await stored(service)).at(-1).replyTo, null, "the next one answers nobody");
  assert.deepEqual(page.complaints, []);
});

test("an answer to a bot's answer goes to that bot", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await write(page, { name: "Ada", entity: "echo", text: "Hello, cave." });
  await page.getByText("echo · answered").waitFor();
  await write(page, { name: "Ada", entity: "", text: "Only people." });
  await comments(page, "Only people.").waitFor();
  await page.locator(".ai").hover();
  await page.locator(".ai").getByRole("button", { name: "Reply" }).click();
  await box(page).fill("Once more.");
  await page.keyboard.press("Enter");
  await page.getByText("echo · answered").nth(1).waitFor();
  assert.deepEqual(page.complaints, []);
});

test("one's own comment is changed and removed, after a reload and in another tab, too, and nobody else's", async (t) => {
  const service = await Service.start(t);
  await say(service, "Not yours.");
  const page = await openPage(t, browser, service);
  const reader = await openPage(t, browser, service);
  const tab = await openTab(page.context(), pageOf(service));
  await connection(tab, "live");
  await write(page, { name: "Ada", entity: "", text: "Frist!" });
  await page.locator(".message[data-state=stored]").filter({ hasText: "Frist!" }).waitFor();
  await box(page).fill("half of the next");
  await act(page, "Frist!", "Edit");
  assert.equal(await box(page).inputValue(), "Frist!");
  await box(page).fill("First!");
  await page.getByRole("button", { name: "Save" }).click();
  for (const one of [page, reader, tab]) await comments(one, "First!").waitFor();
  assert.equal(await box(page).inputValue(), "half of the next", "what was being written is there again");

  await act(tab, "First!", "Edit");
  await box(tab).press("Escape");
  assert.equal(await box(tab).inputValue(), "");
  await comments(reader, "First!").hover();
  assert.equal(await comments(reader, "First!").getByRole("button", { name: "Edit" }).count(), 0);
  await comments(page, "Not yours.").hover();
  assert.equal(await comments(page, "Not yours.").getByRole("button", { name: "Remove" }).count(), 0);

  await page.reload();
  await comments(page, "First!").waitFor();
  await act(page, "First!", "Remove");
  await comments(page, "First!").getByRole("button", { name: "Remove for good?" }).click();
  for (const one of [page, reader, tab]) await comments(one, "This comment was removed.").waitFor();
  assert.equal((await stored(service)).at(-1).text, "");
  for (const one of [page, reader, tab]) assert.deepEqual(one.complaints, []);
});

test("an answer that is being written is stopped by who asked, and asked for again", async (t) => {
  const service = await Service.start(t);
  const bot = await Bot.start(t, service, { name: "gpu-1", entity: "sage" });
  const page = await openPage(t, browser, service);
  const reader = await openPage(t, browser, service);
  await write(page, { name: "Ada", entity: "sage", text: "Tell me all." });
  await bot.works();
  bot.writes("It began");
  for (const one of [page, reader]) await writing(one).getByText("It began").waitFor();
  assert.equal(await reader.getByRole("button", { name: "Stop" }).count(), 0);
  await page.getByRole("button", { name: "Stop" }).click();
  for (const one of [page, reader]) {
    await one.getByText("sage · stopped").waitFor();
    await writing(one).waitFor({ state: "detached" });
  }
  await page.getByRole("button", { name: "Ask again" }).click();
  await page.getByText("sage · answering…").or(page.getByText("sage · pending")).waitFor();
  assert.deepEqual(await texts(page), ["Tell me all.", "Tell me all."]);
  assert.deepEqual(page.complaints, []);
});

test("readers get a kind sentence about a failure, and its author may ask again", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await write(page, { name: "Ada", entity: "oracle", text: "Divide by zero." });
  await page.getByText("oracle · pending").waitFor();
  const { message, lease } = await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["oracle"] });
  await service.send("/api/queue/fail", { messageId: message.id, leaseToken: lease.token, error: "HTTP 500 at 10.0.0.7", retryable: false });
  await page.getByText("oracle · could not answer").waitFor();
  assert.equal(await page.getByText("10.0.0.7").count(), 0);
  await page.getByRole("button", { name: "Ask again" }).press("Enter");
  await page.getByText("oracle · pending").waitFor();
  assert.equal((await stored(service)).at(-1).botParams.entity, "oracle");
});

test("a comment that cannot be changed any more says why", async (t) => {
  const service = await Service.start(t, { REPARTEE_MAX_EDITS: "1" });
  const page = await openPage(t, browser, service);
  await write(page, { name: "Ada", entity: "", text: "one" });
  await page.locator(".message[data-state=stored]").waitFor();
  for (const [before, now] of [["one", "two"], ["two", "three"]]) {
    await act(page, before, "Edit");
    await box(page).fill(now);
    await page.keyboard.press("Enter");
    await (now === "two" ? comments(page, "two") : page.getByRole("alert").filter({ hasText: /edit/ })).waitFor();
  }
  assert.equal(await box(page).inputValue(), "three", "what was written is kept");
});

test("a comment is copied", async (t) => {
  const service = await Service.start(t);
  await say(service, "Take *this*.");
  const page = await openPage(t, browser, service, { permissions: ["clipboard-read", "clipboard-write"] });
  await comments(page, "Take *this*.").waitFor();
  await act(page, "Take *this*.", "Copy");
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "Take *this*.");
});

test("the buttons of every comment can be reached by keyboard", async (t) => {
  const service = await Service.start(t);
  for (const text of ["one", "two", "three"]) await say(service, text);
  const page = await openPage(t, browser, service);
  await comments(page, "three").waitFor();
  await page.getByRole("log").focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByText("To Grace: two").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.getByText("To Grace: two").isVisible(), false);
});

test("who writes folds away after the first comment, and comes back where something is wrong with it", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  assert.equal(await page.getByLabel("Name").isVisible(), true);
  await write(page, { name: "Ada", entity: "echo", text: "Hello." });
  await page.getByText("echo · answered").waitFor();
  assert.equal(await page.getByLabel("Name").isVisible(), false);
  assert.match(await page.locator("summary").textContent(), /Ada to echo/);
  await page.reload();
  await connection(page, "live");
  assert.equal(await page.getByLabel("Name").isVisible(), false);
  await page.locator("summary").press("Enter");
  await page.getByLabel("Name").fill("ec\u202eho");
  await page.locator("summary").press("Enter");
  await box(page).fill("Hello?");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "U+202E" }).waitFor();
  assert.equal(await page.getByLabel("Name").isVisible(), true);
  assert.equal(await page.getByLabel("Name").getAttribute("aria-invalid"), "true");
});

for (const [name, options] of Object.entries({ desk: {}, phone: { viewport: { width: 360, height: 720 }, hasTouch: true, isMobile: true } })) {
  test(`all that is pressed is 24 px at least, and nothing has to be scrolled sideways: ${name}`, async (t) => {
    const service = await Service.start(t);
    const page = await openPage(t, browser, service, options);
    await write(page, { name: "Ada", entity: "nobody-home", text: "Hello." });
    await page.getByRole("button", { name: "Stop" }).waitFor();
    await service.send("/api/comments", { domain: "lobby", text: "```\ncode\n```", username: "sage", color: "default", "message-type": "AI" }, { headers: { Authorization: `Bearer ${service.operatorToken}` } });
    await page.getByRole("button", { name: "Copy" }).first().waitFor();
    await page.locator("summary").click();
    await comments(page, "Hello.").hover();
    const small = await page.evaluate(() => [...document.querySelector("repartee-comments").shadowRoot.querySelectorAll("button, input, textarea, summary")]
      .filter((one) => one.checkVisibility()).map((one) => ({ name: one.textContent || one.name, ...JSON.parse(JSON.stringify(one.getBoundingClientRect())) }))
      .filter(({ width, height }) => width < 24 || height < 24));
    assert.deepEqual(small, []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false);
    assert.deepEqual(page.complaints, []);
  });
}

test("a tap on a comment shows its buttons, and presses none of them", async (t) => {
  const service = await Service.start(t);
  for (const text of ["one", "two"]) await say(service, text);
  const page = await openPage(t, browser, service, { viewport: { width: 360, height: 720 }, hasTouch: true, isMobile: true });
  await comments(page, "two").waitFor();
  for (const text of ["two", "one"]) {
    const time = await comments(page, text).locator("time").boundingBox();
    await page.touchscreen.tap(time.x + time.width / 2, time.y + time.height / 2);
    await comments(page, text).getByRole("button", { name: "Reply" }).waitFor();
    assert.equal(await page.locator(".about").isVisible(), false);
    assert.equal(await page.getByRole("button", { name: "Copied" }).count(), 0);
  }
  await comments(page, "one").getByRole("button", { name: "Reply" }).tap();
  await page.getByText("To Grace: one").waitFor();
});

test("an answer that was begun in one domain is none in the next", async (t) => {
  const site = await Site.start(t);
  const service = await Service.start(t, { REPARTEE_CORS_ORIGINS: site.origin });
  Object.assign(site, { service: service.url, body: '<repartee-comments domain="lobby"></repartee-comments>' });
  await say(service, "Here.");
  const page = await openTab(await newContext(t, browser), `${site.origin}/`);
  await comments(page, "Here.").waitFor();
  await act(page, "Here.", "Reply");
  await page.getByText("To Grace: Here.").waitFor();
  await page.evaluate(() => document.querySelector("repartee-comments").setAttribute("domain", "garden"));
  await write(page, { name: "Ada", entity: "", text: "There." });
  await page.locator(".message[data-state=stored]").filter({ hasText: "There." }).waitFor();
  const [there] = await (await fetch(new URL("/api/comments?domain=garden", service.url))).json();
  assert.equal(there.replyTo, null);
});

test("in another site, own comments are changed as well", async (t) => {
  const site = await Site.start(t);
  const service = await Service.start(t, { REPARTEE_CORS_ORIGINS: site.origin });
  Object.assign(site, { service: service.url, body: '<repartee-comments domain="lobby"></repartee-comments>' });
  const page = await openTab(await newContext(t, browser), `${site.origin}/`);
  await connection(page, "live");
  await write(page, { name: "Ada", entity: "", text: "From afar" });
  await page.locator(".message[data-state=stored]").waitFor();
  await act(page, "From afar", "Remove");
  await page.getByRole("button", { name: "Remove for good?" }).click();
  await comments(page, "This comment was removed.").waitFor();
  assert.deepEqual(page.complaints, []);
});
