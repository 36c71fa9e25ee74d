// The operator's page, in a real browser, against the real binary.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Bot } from "../bot.js";
import { talk } from "./talk.js";
import { Service, keep, newContext, openTab, say, startBrowser } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** Points as often as tests look. */
const OFTEN = { REPARTEE_HISTORY_INTERVAL: "0.5s" };

/** The operator's page, by a link that carries this token; without one, nobody is signed in. */
async function open(t, service, { token = service.operatorToken, ...options } = {}) {
  const link = new URL(token === null ? "admin" : `admin#token=${token}`, service.url);
  const page = await openTab(await newContext(t, browser, { viewport: { width: 1100, height: 1300 }, ...options }), link.href);
  await shows(page, /live|signed out/);
  return page;
}

const shows = (page, state) => page.getByRole("status").filter({ hasText: state }).waitFor();

/** Signs in by hand. */
async function give(page, token) {
  await page.getByLabel("Token").fill(token);
  await page.keyboard.press("Enter");
}

/** The rows of a table that hold a text. */
const rows = (page, table, text) => page.getByRole("region", { name: table }).getByRole("row").filter({ hasText: text });

const tile = (page, name) => page.locator(".tile").filter({ has: page.getByText(name, { exact: true }) }).locator("dd");

/** A message that its bot has given up. */
async function givenUp(service, text, error) {
  const { message } = await say(service, text, { botParams: { entity: "calculator" } });
  const { lease } = await service.send("/api/queue/claim", { messageId: message.id, workerId: "w1" });
  await service.send("/api/queue/fail", { messageId: message.id, leaseToken: lease.token, error, retryable: false });
  return message;
}

test("depth and oldest age are told per entity", async (t) => {
  const service = await Service.start(t, OFTEN);
  for (let count = 0; count < 3; count += 1) await say(service, `question ${count}`, { username: `Ann ${count}`, botParams: { entity: "oracle" } });
  await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["oracle"] });
  const page = await open(t, service);
  await rows(page, "Queue, by entity", /oracle.*2.*1.*s/).waitFor();
  assert.equal(await tile(page, "Waiting").textContent(), "2");
  assert.equal(await tile(page, "In work").textContent(), "1");
  assert.deepEqual(page.complaints, []);
});

test("a worker that holds a lease and falls silent is told", async (t) => {
  const service = await Service.start(t, OFTEN);
  const bot = await Bot.start(t, service, { name: "gpu-2", entity: "oracle" });
  await say(service, "Anyone?", { botParams: { entity: "oracle" } });
  await bot.works();
  const page = await open(t, service);
  const row = rows(page, "In work, by worker", "gpu-2");
  await row.filter({ hasText: /\d s ago/ }).waitFor();
  assert.match(await row.textContent(), /gpu-2[0-9a-f-]{36}11/, "its session, one stream, one lease");
  bot.freeze();
  await row.getByText(/silent for \d+ s/).waitFor();
  bot.thaw();
  await row.getByText(/silent/).waitFor({ state: "detached" });
});

test("a worker that brings no results is named, with what is held back from it", async (t) => {
  const service = await Service.start(t, OFTEN);
  const { message } = await say(service, "Anyone?", { botParams: { entity: "oracle" } });
  for (let time = 0; time < 4; time += 1) {
    const { lease } = await service.send("/api/queue/claim", { messageId: message.id, workerId: "hollow" });
    await service.send("/api/queue/release", { messageId: message.id, leaseToken: lease.token });
  }
  const page = await open(t, service);
  await rows(page, "In work, by worker", "hollow").filter({ hasText: "3 leases lost in a row: gets one at a time" }).waitFor();
  assert.deepEqual(page.complaints, []);
});

test("a worker that claims without a session is shown, and told once it falls silent", async (t) => {
  const service = await Service.start(t, OFTEN);
  const page = await open(t, service);
  const { message } = await say(service, "Anyone?", { botParams: { entity: "oracle" } });
  const { lease } = await service.send("/api/queue/claim", { messageId: message.id, workerId: "curl-1" });
  const row = rows(page, "In work, by worker", "curl-1");
  await row.filter({ hasText: /never renewed/ }).waitFor();
  assert.match(await row.textContent(), /^curl-1–01never renewed/, "no session, no stream, one lease");
  await service.send("/api/queue/renew", { messageId: message.id, leaseToken: lease.token, leaseSeconds: 60 });
  await row.filter({ hasText: /\d s ago/ }).waitFor();
  await row.getByText(/silent for \d+ s/).waitFor();
  await service.send("/api/queue/complete", { messageId: message.id, leaseToken: lease.token });
  await row.waitFor({ state: "detached" });
  assert.deepEqual(page.complaints, []);
});

test("a failed message is shown with its errors, and tried again", async (t) => {
  const service = await Service.start(t, OFTEN);
  const { id } = await givenUp(service, "Divide by zero.", "no such number");
  const page = await open(t, service);
  const row = rows(page, "Failed", "Divide by zero.");
  await row.getByText("no such number").waitFor();
  await row.getByRole("button", { name: "Retry" }).click();
  await rows(page, "Waiting", "Divide by zero.").waitFor();
  await page.getByText("Nothing has failed.").waitFor();
  assert.equal((await (await fetch(new URL(`/api/comments/${id}`, service.url))).json()).botParams.status, "pending");

  await rows(page, "Waiting", "Divide by zero.").getByRole("button", { name: "Cancel" }).press("Enter");
  await rows(page, "Failed", "Divide by zero.").waitFor();
  await page.getByText("Nothing waits.").waitFor();
  assert.deepEqual(page.complaints, []);
});

test("a failed message is cancelled, keeps its errors, and can still be tried again", async (t) => {
  const service = await Service.start(t, OFTEN);
  await givenUp(service, "Divide by zero.", "no such number");
  const page = await open(t, service);
  const row = rows(page, "Failed", "Divide by zero.");
  await row.getByRole("button", { name: "Cancel" }).press("Enter");
  await row.filter({ hasText: /no such number.*cancelled/ }).waitFor();
  await row.getByRole("button", { name: "Cancel" }).waitFor({ state: "detached" });
  assert.equal(await tile(page, "Failed").textContent(), "1", "it stays failed");
  await row.getByRole("button", { name: "Retry" }).click();
  await rows(page, "Waiting", "Divide by zero.").waitFor();
  assert.deepEqual(page.complaints, []);
});

test("of more waiting messages than fit, the next are shown, and how many there are", async (t) => {
  const service = await Service.start(t);
  for (let at = 0; at < 51; at += 1) await say(service, `number ${at}`, { botParams: { entity: "poet" } });
  const page = await open(t, service);
  await page.getByRole("heading", { name: "Waiting, the next 50 of 51" }).waitFor();
  assert.equal(await page.locator("#waiting tbody tr").count(), 50);
  await page.locator("#waiting").getByRole("button", { name: "Cancel" }).first().click();
  await page.getByRole("heading", { name: "Waiting, the next ones first" }).waitFor();
  assert.equal(await page.getByRole("heading", { name: "Failed", exact: true }).count(), 1);
});

test("the storage is told by call, with the bill of a month at the prices that are entered", async (t) => {
  const service = await Service.start(t, OFTEN);
  const page = await open(t, service);
  await tile(page, "Posted / s").filter({ hasText: "0.0" }).waitFor();
  await say(service, "This costs.");
  const bill = async (reads, writes) => {
    await page.getByLabel("A million reads cost").fill(reads);
    await page.getByLabel("A million writes cost").fill(writes);
    const told = page.locator("#projection");
    await told.filter({ hasText: "a month" }).waitFor();
    return Number.parseFloat(await told.textContent());
  };
  const row = rows(page, "Storage, by call", "PostMessage");
  await row.waitFor();
  assert.equal(await bill("0", "0"), 0);
  assert.ok((await bill("0", "1000000")) > 0);
  await page.reload();
  assert.equal(await page.getByLabel("A million writes cost").inputValue(), "1000000", "prices are remembered");
});

test("charts, streams and watchers of the last hour are there", async (t) => {
  const service = await Service.start(t, OFTEN);
  const visitor = await openTab(await newContext(t, browser), service.url);
  await visitor.getByRole("status").filter({ hasText: "live" }).waitFor();
  const page = await open(t, service);
  await tile(page, "SSE clients").filter({ hasText: "1" }).waitFor();
  await tile(page, "Watchers").filter({ hasText: "1" }).waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll("[data-chart]")].every((image) => image.complete && image.naturalWidth > 0));
  // The first points of the history are on their way.
  await page.waitForFunction(() => [...document.querySelectorAll("[data-chart]")].every((image) => /^Now|^No comment|^Nothing was answered/.test(image.alt)));
  assert.deepEqual(page.complaints, []);
});

test("the printed link signs the operator in, and its token leaves the page in one header only", async (t) => {
  const service = await Service.start(t, OFTEN);
  const [link] = await service.printed(/http:\S+#token=\S+/);
  const token = service.operatorToken;
  assert.ok(link.endsWith(`/admin#token=${token}`));
  const page = await openTab(await newContext(t, browser), "about:blank");
  const told = [];
  const sent = [];
  page.on("request", (request) => sent.push(request.allHeaders().then((headers) => {
    const { authorization, ...others } = headers;
    if (authorization) told.push(authorization);
    return JSON.stringify([request.url(), others, request.postData()]);
  })));
  await page.goto(link);
  await shows(page, "live");
  assert.equal(page.url(), new URL("admin", service.url).href, "the address has no token");
  await page.goBack();
  await page.goForward();
  await shows(page, "live");
  assert.equal(page.url(), new URL("admin", service.url).href, "nor has it on the way back");
  await page.evaluate(() => { location.href = "./"; });
  await page.getByText("live").waitFor();
  assert.equal(await page.evaluate(() => document.referrer), "", "the next page is not told where people come from");
  const requests = await Promise.all(sent);
  assert.ok(told.length >= 4 && told.every((value) => value === `Bearer ${token}`));
  assert.deepEqual(requests.filter((request) => request.includes(token)), []);
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage)).then((kept) => kept.includes(token)), false);
  assert.deepEqual(page.complaints, []);
});

test("without a token the page shows nothing and asks nothing, and a token is kept for one tab", async (t) => {
  const service = await Service.start(t, OFTEN);
  const page = await open(t, service, { token: null });
  assert.equal(await page.locator("#board").isVisible(), false);
  await page.getByText("operator-token").waitFor();
  assert.deepEqual(page.complaints, [], "no call was refused, since none was made");
  await give(page, service.operatorToken);
  await shows(page, "live");
  await tile(page, "Waiting").waitFor();
  await page.reload();
  await shows(page, "live");
  const other = await openTab(page.context(), page.url());
  await shows(other, "signed out");
  // A link that is opened in a tab which has the page already.
  await other.evaluate((token) => { location.hash = `token=${token}`; }, service.operatorToken);
  await shows(other, "live");
  assert.equal(other.url(), page.url());
});

test("a token that is wrong, of another role, revoked or expired is said to be so", async (t) => {
  const service = await Service.start(t, OFTEN);
  const page = await open(t, service, { token: null });
  const why = page.getByRole("alert").filter({ hasText: /token/ });
  const unknown = service.operatorToken.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
  for (const [token, says] of [
    ["two words", /cannot be a token/],
    [unknown, /unknown here or was revoked/],
    [service.workerToken, /needs an operator's token/],
  ]) {
    await give(page, token);
    await why.filter({ hasText: says }).waitFor();
    assert.equal(await page.locator("#board").isVisible(), false);
  }
  const revoked = await service.newToken("operator", "--name", "night shift");
  await give(page, revoked);
  await shows(page, "live");
  await service.token("revoke", revoked.split("_")[1]);
  await why.filter({ hasText: /^This token is unknown here or was revoked\.$/ }).waitFor();
  assert.equal(await page.locator("#board").isVisible(), false, "what was shown is hidden");
  await give(page, await service.newToken("operator", "--expires", "4s"));
  await why.filter({ hasText: /^This token has expired\.$/ }).waitFor();
  await page.reload();
  await shows(page, "signed out");
  assert.equal(await page.locator("#why").textContent(), "", "a token that was refused is not tried again");
});

test("what people write stays text on the operator's page", async (t) => {
  const service = await Service.start(t, OFTEN);
  const probe = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>";
  const { message } = await say(service, probe, { username: probe, domain: probe, botParams: { entity: probe } });
  const { lease } = await service.send("/api/queue/claim", { messageId: message.id, workerId: probe });
  await service.send("/api/queue/fail", { messageId: message.id, leaseToken: lease.token, error: probe, retryable: false });
  await Bot.start(t, service, { name: probe, entity: "nothing" });
  await say(service, probe, { username: `2${probe}`, botParams: { entity: probe } });
  const page = await open(t, service);
  for (const table of ["In work, by worker", "Queue, by entity", "Failed", "Waiting"]) await rows(page, table, probe).first().waitFor();
  assert.equal(await page.locator("table :is(img, script)").count(), 0);
  assert.deepEqual(page.complaints, []);
});

/** Half a minute of life, so that the pictures show what charts are for. */
async function live(service) {
  for (let at = 0; at < 600; at += 1) {
    const burst = 1 + Math.round(1.5 * (1 + Math.sin(at / 45)));
    await Promise.all(Array.from({ length: burst }, (_, one) =>
      say(service, `Line ${at}`, { username: `Guest ${at} ${one}`, ...(one % 2 === 0 && { botParams: { entity: "echo" } }) })));
    await new Promise((wake) => setTimeout(wake, 45));
  }
}

for (const [name, options] of Object.entries({
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 360, height: 720 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
})) {
  test(`the operator's page fits its window: ${name}`, async (t) => {
    const service = await Service.start(t, process.env.SCREENSHOT_DIR ? { REPARTEE_HISTORY_INTERVAL: "0.1s" } : OFTEN);
    await talk(service);
    const bot = await Bot.start(t, service, { name: "gpu-2", entity: "singer" });
    await bot.works();
    const page = await open(t, service, options);
    if (process.env.SCREENSHOT_DIR) await live(service);
    await page.waitForFunction(() => [...document.querySelectorAll("[data-chart]")].every((image) => image.complete && image.naturalWidth > 0 && image.alt.startsWith("N")));
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false, "nothing has to be scrolled sideways");
    assert.deepEqual(page.complaints, []);
    await keep(page, `admin-${name}`);
  });
}
