// The page in a real browser, against the real binary with its demo bot.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Service, comments, openPage, startBrowser, write } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

test("a comment to a bot is shown at once and answered by the bot", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await recordStatuses(page);

  await write(page, { name: "Ada", entity: "echo", text: "Why is space black?" });

  await page.getByText("echo · answered").waitFor();
  await comments(page, "Why is space black?").first().waitFor();
  const answer = page.getByRole("listitem").filter({ has: page.locator(".badge:visible") });
  await answer.waitFor();
  assert.equal(await answer.locator(".name").textContent(), "echo");
  assert.equal(await answer.locator(".reply").textContent(), "to Ada");
  assert.match(await answer.locator(".text").textContent(), /Why is space black\?/);
  assert.equal(await page.getByRole("listitem").count(), 2, "the comment and its answer, none twice");
  assert.equal(await page.getByLabel("Comment", { exact: true }).inputValue(), "");
  assertWalk(await page.evaluate(() => window.statuses));
  assert.deepEqual(page.complaints, []);
});

test("a comment without a bot is a post to everybody, without a status", async (t) => {
  const service = await Service.start(t);
  const [writer, reader] = [await openPage(t, browser, service), await openPage(t, browser, service)];
  await write(writer, { name: "Ada", entity: "", text: "Hello, all." });
  for (const page of [writer, reader]) {
    await comments(page, "Hello, all.").waitFor();
    await page.locator(".message:not(.draft)").waitFor();
    assert.equal(await page.locator(".status:visible").count(), 0);
    assert.deepEqual(page.complaints, []);
  }
});

test("a domain shows its own comments only, also after a reload", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service, { domain: "garden/1?&#" });
  await service.send("/api/comments", { domain: "lobby", text: "Elsewhere", username: "Bob", color: "default" });
  await write(page, { name: "Ada", entity: "", text: "Here" });
  await page.locator(".message:not(.draft)").waitFor();
  await page.reload();
  await comments(page, "Here").waitFor();
  assert.equal(await page.getByRole("listitem").count(), 1);
  assert.equal(await page.getByLabel("Name").inputValue(), "Ada", "the author is remembered");
  assert.deepEqual(page.complaints, []);
});

test("a domain that cannot be is refused in words", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service, { domain: "x".repeat(256), shows: "255" });
  assert.equal(await page.getByRole("listitem").count(), 0);
});

test("a failed comment says why", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await write(page, { name: "Ada", entity: "nobody-home", text: "Anyone?" });
  await page.getByText("nobody-home · pending").waitFor();
  const { message } = await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["nobody-home"] });
  await page.getByText("nobody-home · answering…").waitFor();
  await service.send("/api/queue/cancel", { messageId: message.id });
  await page.getByText("nobody-home · failed: cancelled").waitFor();
  assert.deepEqual(page.complaints, []);
});

test("what people write stays text", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  const probes = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>",
    "\"><svg onload=alert(3)>",
    "red;background:url(//a.invalid/x)",
    "{{7*7}}${7*7}<b>bold</b>",
    "javascript:alert(4)",
  ];
  for (const probe of probes) {
    const author = { username: probe, color: probe };
    await service.send("/api/comments", { domain: "lobby", text: probe, ...author, botParams: { entity: probe } });
    await service.send("/api/comments", { domain: "lobby", text: `&lt;i&gt; ${probe}`, ...author });
  }
  await write(page, { name: probes[0], entity: probes[1], text: probes[2] });

  await comments(page, `&lt;i&gt; ${probes.at(-1)}`).waitFor();
  for (const probe of probes) {
    const [line] = await comments(page, probe).all();
    assert.equal(await line.locator(".text").textContent(), probe);
    assert.match(await line.locator(".status").textContent(), /· pending$/);
  }
  const made = await page.locator("#messages :is(img, script, svg, b, i, iframe, [style*='url'])").count();
  assert.equal(made, 0, "no element was made from what people wrote");
  assert.deepEqual(page.complaints, []);
});

test("a refused comment says why and keeps its text", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  const text = "ü".repeat(10_000);
  await write(page, { name: "Ada", entity: "echo", text });
  await page.getByRole("alert").filter({ hasText: "16384" }).or(page.getByRole("alert").filter({ hasText: "16,384" })).waitFor();
  assert.equal(await page.getByLabel("Comment", { exact: true }).inputValue(), text);
  assert.equal(await page.getByRole("listitem").count(), 0);
});

test("a comment without a name is not sent, and the name is asked for", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await write(page, { name: " ", entity: "echo", text: "Hello?" });
  await page.getByRole("alert").filter({ hasText: "name" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "name");
  assert.equal(await page.getByRole("listitem").count(), 0);
  assert.deepEqual(page.complaints, []);
});

test("a comment that finds no server is kept, and sent once when the server is back", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await service.stop();
  await write(page, { name: "Ada", entity: "echo", text: "Still here" });
  await page.getByRole("alert").filter({ hasText: "cannot be reached" }).waitFor();
  assert.equal(await page.getByLabel("Comment", { exact: true }).inputValue(), "Still here");
  assert.equal(await page.getByRole("listitem").count(), 0);
  await page.getByText("reconnecting…").waitFor();

  await service.start();
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("echo · answered").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "text", "the next comment can be written at once");
  await page.getByText("up to date").waitFor();
  assert.equal(await page.getByRole("listitem").count(), 2);
  assert.equal((await page.getByRole("alert").textContent()).trim(), "");
});

test("everything can be reached and used by keyboard", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  const reached = [];
  for (let step = 0; step < 6; step += 1) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() => document.activeElement.id));
  }
  assert.deepEqual(reached, ["log", "name", "color", "entity", "text", "send"]);
});

test("the page comes with a policy that allows its own files only", async (t) => {
  const service = await Service.start(t);
  const policy = (await fetch(service.url)).headers.get("Content-Security-Policy") ?? "";
  const rules = new Map(policy.split(";").map((rule) => rule.trim().split(/\s+/)).map(([name, ...from]) => [name, from.join(" ")]));
  assert.equal(rules.get("default-src"), "'none'");
  assert.equal(rules.get("script-src"), "'self'");
  assert.equal(rules.get("style-src"), "'self'");
  assert.equal(rules.get("connect-src"), "'self'");
});

for (const [name, options] of Object.entries({
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 360, height: 720 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
})) {
  test(`the page fits its window: ${name}`, async (t) => {
    const service = await Service.start(t);
    await talk(service);
    const page = await openPage(t, browser, service, options);
    await page.getByText("Grace").first().waitFor();
    await page.getByLabel("Name").fill("Ada");
    await page.getByLabel("Color").fill("#a9502d");
    await page.evaluate(() => document.activeElement.blur());
    const wider = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.equal(wider, false, "nothing has to be scrolled sideways");
    assert.ok(await page.getByRole("button", { name: "Send" }).isVisible());
    assert.deepEqual(page.complaints, []);
    if (process.env.SCREENSHOT_DIR) {
      await mkdir(process.env.SCREENSHOT_DIR, { recursive: true });
      await page.screenshot({ path: join(process.env.SCREENSHOT_DIR, `page-${name}.png`) });
    }
  });
}

/** Keeps every status that a line of the page goes through. */
async function recordStatuses(page) {
  await page.evaluate(() => {
    window.statuses = [];
    const note = () => {
      const state = document.querySelector(".message .status")?.dataset.state;
      if (state && window.statuses.at(-1) !== state) window.statuses.push(state);
    };
    new MutationObserver(note).observe(document.getElementById("messages"), { subtree: true, childList: true, attributes: true });
  });
}

/** A poll may come after a step, so steps may be missing, but none comes twice or out of order. */
function assertWalk(statuses) {
  const lifecycle = ["sending", "pending", "processing", "complete"];
  const steps = statuses.map((status) => lifecycle.indexOf(status));
  assert.ok(steps.every((step, at) => step > (steps[at - 1] ?? -1)), `out of order: ${statuses.join(" → ")}`);
  assert.equal(statuses[0], "sending");
  assert.equal(statuses.at(-1), "complete");
}

/** A short conversation with every kind of line in it. */
async function talk(service) {
  const domain = "lobby";
  await service.send("/api/comments", {
    domain, text: "Good morning. Is anybody looking at the sky tonight?", username: "Grace", color: "047122169",
  });
  await service.send("/api/comments", {
    domain, text: "Why is space black, if there are stars in every direction?", username: "Ada", color: "169080045",
    botParams: { entity: "astronomer", aiUsername: "Astronomer", aiColor: "080105175" },
  });
  const { message, lease } = await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["astronomer"] });
  await service.send("/api/queue/complete", {
    messageId: message.id, leaseToken: lease.token,
    reply: { text: "Because the universe is young, and it grows. Light from beyond a certain distance has not reached us yet, and what has travelled longest arrives stretched beyond red, where eyes see nothing." },
  });
  await service.send("/api/comments", {
    domain, text: "Write a haiku about that.", username: "Grace", color: "047122169", botParams: { entity: "poet" },
  });
  await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["poet"] });
  const { message: unlucky } = await service.send("/api/comments", {
    domain, text: "And draw it?", username: "Linus", color: "120150060", botParams: { entity: "painter" },
  });
  await service.send("/api/queue/cancel", { messageId: unlucky.id });
  await service.send("/api/comments", {
    domain, text: "Can we hear it, too?", username: "Ada", color: "169080045", botParams: { entity: "singer" },
  });
}
