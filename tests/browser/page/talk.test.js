// Writing on the page, and what it shows of a comment, in a real browser, against the real binary with its demo bot.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertNoDouble, assertWalk, record } from "./seen.js";
import { Service, comments, connection, openPage, startBrowser, write } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

test("a comment to a bot is shown at once and answered by the bot", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await record(page);

  await write(page, { name: "Ada", entity: "echo", text: "Why is space black?" });

  await page.getByText("echo · answered").waitFor();
  await comments(page, "Why is space black?").first().waitFor();
  const answer = page.locator(".message[data-state=stored]").filter({ has: page.locator(".badge:visible") });
  await answer.waitFor();
  assert.equal(await answer.locator(".name").textContent(), "echo");
  assert.equal(await answer.locator(".reply").textContent(), "to Ada");
  assert.match(await answer.locator(".text").textContent(), /Why is space black\?/);
  assert.equal(await page.getByRole("listitem").count(), 2, "the comment and its answer, none twice");
  assert.equal(await page.getByLabel("Comment", { exact: true }).inputValue(), "");
  await assertWalk(page, "Why is space black?");
  assert.deepEqual(page.complaints, []);
});

test("an own comment is shown before the server has answered, and never twice", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/api/comments", async (route) => {
    if (route.request().method() === "POST") await held;
    await route.continue();
  });

  await write(page, { name: "Ada", entity: "", text: "Hello, all." });
  await page.locator(".message[data-state=sending]").filter({ hasText: "Hello, all." }).waitFor();
  release();
  await page.locator(".message[data-state=stored]").filter({ hasText: "Hello, all." }).waitFor();
  assert.equal(await page.getByRole("listitem").count(), 1);
  assert.deepEqual(page.complaints, []);
});

test("a comment without a bot is a post to everybody, without a status", async (t) => {
  const service = await Service.start(t);
  const [writer, reader] = [await openPage(t, browser, service), await openPage(t, browser, service)];
  await write(writer, { name: "Ada", entity: "", text: "Hello, all." });
  for (const page of [writer, reader]) {
    await comments(page, "Hello, all.").waitFor();
    await page.locator(".message[data-state=stored]").waitFor();
    assert.equal(await page.locator(".status:visible").count(), 0);
    assert.deepEqual(page.complaints, []);
  }
});

test("a domain shows its own comments only, also after a reload", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service, { domain: "garden/1?&#" });
  await service.send("/api/comments", { domain: "lobby", text: "Elsewhere", username: "Bob", color: "default" });
  await write(page, { name: "Ada", entity: "", text: "Here" });
  await page.locator(".message[data-state=stored]").waitFor();
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

test("a comment that was stopped says so", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await write(page, { name: "Ada", entity: "nobody-home", text: "Anyone?" });
  await page.getByText("nobody-home · pending").waitFor();
  const { message } = await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["nobody-home"] });
  await page.getByText("nobody-home · answering…").waitFor();
  await service.send("/api/queue/cancel", { messageId: message.id });
  await page.getByText("nobody-home · stopped").waitFor();
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
    const author = { username: probe, color: "169080199" };
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
  const made = await page.locator(".messages :is(img, script, svg, b, i, iframe, [style*='url'])").count();
  assert.equal(made, 0, "no element was made from what people wrote");
  assert.deepEqual(page.complaints, []);
});

test("what bots are called, answer and report stays text", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  const probe = "<img src=x onerror=alert(1)>\"><b>bold</b>";
  // Visitors may not choose such a name for a bot; operators may.
  const ask = (text, entity) => service.send("/api/comments", {
    domain: "lobby", text, username: "Ada", color: "169080199",
    botParams: { entity, aiUsername: probe },
  }, { headers: { Authorization: `Bearer ${service.operatorToken}` } });
  const claim = (entity) => service.send("/api/queue/claim-next", { workerId: probe, entities: [entity] });

  await ask("Answer me.", "sage");
  const answered = await claim("sage");
  await service.send("/api/queue/complete", {
    messageId: answered.message.id, leaseToken: answered.lease.token, reply: { text: probe },
  });
  await ask("Fail me.", "fool");
  const failed = await claim("fool");
  await service.send("/api/queue/fail", {
    messageId: failed.message.id, leaseToken: failed.lease.token, error: probe, retryable: false,
  });

  await page.getByText("fool · could not answer").waitFor();
  assert.equal(await page.getByText("onerror").filter({ has: page.locator(".status") }).count(), 0, "what went wrong is for operators");
  const reply = page.locator(".message").filter({ has: page.locator(".badge:visible") });
  await reply.waitFor();
  assert.equal(await reply.locator(".name").textContent(), probe);
  assert.equal(await reply.locator(".text").textContent(), probe);
  const made = await page.locator(".messages :is(img, b, [style*='url'])").count();
  assert.equal(made, 0, "no element was made from what bots wrote");
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
  assert.equal(await focused(page), "name");
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
  await connection(page, "reconnecting…");

  await service.start();
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("echo · answered").waitFor();
  assert.equal(await focused(page), "text", "the next comment can be written at once");
  await connection(page, "live");
  assert.equal(await page.getByRole("listitem").count(), 2);
  assert.equal((await page.getByRole("alert").textContent()).trim(), "");
});

test("everything can be reached and used by keyboard", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  const reached = [];
  for (let step = 0; step < 6; step += 1) {
    await page.keyboard.press("Tab");
    reached.push(await focused(page));
  }
  assert.deepEqual(reached, ["log", "color", "name", "entity", "text", "send"]);
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

/** What has the focus, by its id or its class. */
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement.shadowRoot?.activeElement ?? document.activeElement;
    return element.id || element.className;
  });
}

test("half an emoji is sent as the sign for what cannot be read, and shown once", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await record(page);
  await page.getByLabel("Name").fill("Ada");
  await page.getByLabel("Comment", { exact: true }).evaluate((text) => { text.value = "cut \ud83d"; });
  await page.getByLabel("Comment", { exact: true }).press("Enter");
  await page.locator(".message[data-state=stored]").filter({ hasText: "cut \ufffd" }).waitFor();
  await assertNoDouble(page);
  assert.equal(await page.getByRole("alert").textContent(), "");
  assert.deepEqual(page.complaints, []);
});
