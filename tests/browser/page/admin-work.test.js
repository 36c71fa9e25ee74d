// How operators find messages on their page, look at one, and act on many, in a real browser, against the real binary.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Bot } from "../bot.js";
import { Service, newContext, openTab, say, startBrowser } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** The operator's page at a place, signed in. */
async function open(t, service, { place = "", ...options } = {}) {
  const context = await newContext(t, browser, { viewport: { width: 1100, height: 1300 }, ...options });
  const page = await openTab(context, new URL(`admin${place}#token=${service.operatorToken}`, service.url).href);
  await page.getByRole("status").filter({ hasText: "live" }).waitFor();
  return page;
}

const table = (page, name) => page.getByRole("region", { name });
const rows = (page, text) => table(page, "Messages to bots").getByRole("row").filter({ hasText: text });
const texts = (page) => page.locator("#work .words:not(.error) > p").allTextContents();

/** Waits until the list has these texts. */
async function lists(page, expected) {
  await page.waitForFunction((expected) =>
    JSON.stringify([...document.querySelectorAll("#work .words:not(.error) > p")].map((one) => one.textContent)) === expected, JSON.stringify(expected));
}

/** Somebody who has asked nothing before asks a bot. */
let people = 0;
const ask = async (service, text, entity) => (await say(service, text, { username: `Ann ${(people += 1)}`, botParams: { entity } })).message;

/** A message that its bot has given up. */
async function givenUp(service, text, entity, error) {
  const message = await ask(service, text, entity);
  const { lease } = await service.send("/api/queue/claim", { messageId: message.id, workerId: `worker of ${entity}` });
  await service.send("/api/queue/fail", { messageId: message.id, leaseToken: lease.token, error, retryable: false });
  return message;
}

test("messages are found by what is asked for, which stands in the address and can be gone back to", async (t) => {
  const service = await Service.start(t);
  await givenUp(service, "One.", "poet", "out of memory");
  await givenUp(service, "Two.", "singer", "timeout");
  await ask(service, "Three.", "poet");
  const page = await open(t, service);
  await lists(page, ["Three.", "Two.", "One."]);
  await page.getByLabel("Entity", { exact: true }).fill("poet");
  await page.keyboard.press("Enter");
  await lists(page, ["Three.", "One."]);
  await page.getByRole("combobox", { name: "Status" }).selectOption("failed");
  await page.getByRole("button", { name: "Find", exact: true }).click();
  await lists(page, ["One."]);
  assert.equal(new URL(page.url()).search, "?entity=poet&status=failed");
  await page.goBack();
  await lists(page, ["Three.", "One."]);
  assert.equal(await page.getByRole("combobox", { name: "Status" }).inputValue(), "");
  await page.reload();
  await lists(page, ["Three.", "One."]);
  assert.equal(await page.getByLabel("Entity", { exact: true }).inputValue(), "poet");
  await page.getByRole("button", { name: "Show all" }).click();
  await lists(page, ["Three.", "Two.", "One."]);
  await page.getByLabel("Last error has").fill("MEMORY");
  await page.keyboard.press("Enter");
  await lists(page, ["One."]);
  await page.getByLabel("Last error has").fill("");
  await page.getByLabel("Worker", { exact: true }).fill("worker of singer");
  await page.keyboard.press("Enter");
  await lists(page, ["Two."]);
  await page.getByLabel("Worker", { exact: true }).fill("nobody");
  await page.keyboard.press("Enter");
  await page.getByText("No message is like that.").waitFor();
  await page.getByLabel("Author", { exact: true }).fill("somebody");
  await page.keyboard.press("Enter");
  await page.getByText(/author.*must be 32 hex digits/).waitFor();
  await page.getByRole("status").filter({ hasText: "live" }).waitFor();
  assert.ok(page.complaints.every((complaint) => complaint.includes("400")), `${page.complaints}`);
});

test("many are chosen, cancelled after a question, and put back, and the log says why", async (t) => {
  const service = await Service.start(t);
  for (const text of ["One.", "Two.", "Three."]) await ask(service, text, "poet");
  const page = await open(t, service);
  await lists(page, ["Three.", "Two.", "One."]);
  await page.getByLabel("Choose all that are shown").check();
  await page.getByText("3 chosen").waitFor();
  await page.getByLabel(/Choose: .*Two/).uncheck();
  await page.getByRole("button", { name: "Cancel chosen" }).click();
  const question = page.getByRole("dialog", { name: "Cancel 2 messages?" });
  await question.getByRole("button", { name: "No" }).click();
  await question.waitFor({ state: "hidden" });
  assert.equal(await page.locator("#work .status").filter({ hasText: "pending" }).count(), 3, "nothing was done");
  await page.getByRole("button", { name: "Cancel chosen" }).click();
  await question.getByLabel(/Why/).fill("spam");
  await question.getByRole("button", { name: "Cancel them" }).click();
  await rows(page, "One.").filter({ hasText: "failed" }).waitFor();
  await rows(page, "Three.").filter({ hasText: "failed" }).waitFor();
  assert.match(await rows(page, "Two.").textContent(), /pending/);
  await table(page, "What operators did").getByRole("row").filter({ hasText: /cancelled the message.*spam/ }).first().waitFor();
  await page.getByText("chosen", { exact: false }).filter({ hasText: /\d chosen/ }).waitFor({ state: "hidden" });

  await page.getByLabel(/Choose: .*One/).check();
  await page.getByLabel(/Choose: .*Two/).check();
  await page.getByRole("button", { name: "Retry chosen" }).click();
  await page.getByRole("dialog", { name: "Retry 2 messages?" }).getByRole("button", { name: "Retry them" }).press("Enter");
  await rows(page, "One.").filter({ hasText: "pending" }).waitFor();
  assert.deepEqual(page.complaints, []);
});

test("a message has a view of its own, with its attempts, its conversation and its request, at an address of its own", async (t) => {
  const service = await Service.start(t);
  const { message } = await service.send("/api/comments",
    { domain: "lobby", text: "Why?", username: "Ann", color: "047122169", botParams: { entity: "poet" } },
    { headers: { "X-Request-ID": "request-17" } });
  const { lease } = await service.send("/api/queue/claim", { messageId: message.id, workerId: "gpu-7" });
  await service.send("/api/queue/fail", { messageId: message.id, leaseToken: lease.token, error: "out of memory", retryable: true });
  const page = await open(t, service);
  await rows(page, "Why?").getByRole("button", { name: "View" }).click();
  const view = page.locator("#view");
  await view.getByText("request-17").waitFor();
  await table(page, "Attempts").getByRole("row").filter({ hasText: /gpu-7.*failed.*out of memory/ }).waitFor();
  await view.getByRole("listitem").filter({ hasText: /Ann Why\?/ }).waitFor();
  await page.waitForFunction(() => document.activeElement.id === "of-view");
  await page.reload();
  await view.getByText("request-17").waitFor();
  assert.equal(new URL(page.url()).search, `?message=${message.id}`);
  await view.getByRole("button", { name: "Close" }).click();
  await view.waitFor({ state: "hidden" });
  await page.goBack();
  await view.getByText("request-17").waitFor();
  assert.deepEqual(page.complaints, []);
});

test("lists longer than a page have a next one, and the log of acts too", async (t) => {
  const service = await Service.start(t);
  for (let at = 0; at < 51; at += 1) await ask(service, `number ${at}`, "poet");
  const waiting = (await service.send("/api/queue/pending?limit=1000", undefined, { method: "GET" })).pending;
  await service.send("/api/queue/cancel-messages", { messageIds: waiting.map((message) => message.id) });
  const page = await open(t, service);
  await page.locator("#pages-work").getByRole("button", { name: "Next page" }).click();
  await lists(page, ["number 0"]);
  await page.reload();
  await lists(page, ["number 0"]);
  await page.locator("#pages-work").getByRole("button", { name: "First page" }).click();
  await page.waitForFunction(() => document.querySelectorAll("#work tbody tr").length === 50);
  for (const id of ["acts", "failed"]) {
    assert.equal(await page.locator(`#${id} tbody tr`).count(), 50, id);
    await page.locator(`#pages-${id}`).getByRole("button", { name: "Next page" }).click();
    await page.waitForFunction((id) => document.querySelectorAll(`#${id} tbody tr`).length === 1, id);
    await page.locator(`#pages-${id}`).getByRole("button", { name: "Page before" }).click();
    await page.waitForFunction((id) => document.querySelectorAll(`#${id} tbody tr`).length === 50, id);
  }
  assert.deepEqual(page.complaints, []);
});

test("the charts tell the values of a point by the keyboard and under the pointer, and go further back", async (t) => {
  const service = await Service.start(t, { REPARTEE_HISTORY_INTERVAL: "0.2s" });
  await say(service, "A line.");
  const page = await open(t, service);
  const chart = page.getByRole("slider", { name: "Messages a second" });
  await page.waitForFunction(() => document.querySelector("[data-chart=throughput]").alt.startsWith("Now:"));
  await chart.focus();
  await page.getByText(/^now: posted/).waitFor();
  await chart.press("ArrowLeft");
  // The first point of all has no rate yet: the mark keeps its place, and later points come to stand there.
  await page.getByText(/^0\.2 s ago: posted [\d.]+ a second, answered [\d.]+ a second, failed/).waitFor();
  assert.match(await chart.getAttribute("aria-valuetext"), /^0\.2 s ago: posted [\d.]+ a second, answered [\d.]+ a second, failed/);
  await chart.press("Escape");
  await page.locator("#mark-throughput").waitFor({ state: "hidden" });
  await chart.blur();
  const depth = page.getByRole("slider", { name: "Depth" });
  const box = await depth.boundingBox();
  await page.mouse.move(box.x + box.width - 26, box.y + 60);
  await page.getByText(/ago: waiting|now: waiting/).waitFor();
  assert.match(await page.locator(".legend").allTextContents().then((all) => all.join(" ")), /p50p99/);
  await page.getByRole("button", { name: "24 h" }).click();
  await page.waitForFunction(() => document.getElementById("span-24h").ariaPressed === "true");
  assert.equal(new URL(page.url()).search, "?span=24h");
  await page.getByRole("button", { name: "15 min" }).click();
  await page.waitForFunction(() => document.getElementById("span-15m").ariaPressed === "true");
  assert.deepEqual(page.complaints, []);
});

test("a healthy worker without work is idle, and every column has a name", async (t) => {
  const service = await Service.start(t);
  await Bot.start(t, service, { name: "gpu-2", entity: "oracle" });
  await ask(service, "Anyone?", "poet");
  await givenUp(service, "Never.", "poet", "no");
  const page = await open(t, service);
  await table(page, "In work, by worker").getByRole("row").filter({ hasText: /gpu-2.*idle/ }).waitFor();
  await rows(page, "Never.").waitFor();
  const heads = await page.locator("th").evaluateAll((heads) => heads.map((head) => head.textContent || head.querySelector("[aria-label]")?.ariaLabel || ""));
  assert.ok(heads.length > 20 && heads.every((head) => head !== ""), JSON.stringify(heads));
});

test("on a phone each row is a card, with nothing outside of the window", async (t) => {
  const service = await Service.start(t);
  await givenUp(service, "A rather long question, which goes on and on until it needs more than one line.", "poet", "no such number");
  const page = await open(t, service, { viewport: { width: 360, height: 720 }, hasTouch: true, isMobile: true });
  await rows(page, "A rather long").waitFor();
  const [status, fits] = await page.evaluate(() => [
    getComputedStyle([...document.querySelectorAll("#work td")].find((cell) => cell.dataset.head === "Status"), "::before").content,
    [...document.querySelectorAll("td, button")].filter((one) => one.checkVisibility()).every((one) => one.getBoundingClientRect().right <= window.innerWidth),
  ]);
  assert.equal(status, '"Status"');
  await page.getByText("All that are shown").tap();
  await page.getByText("1 chosen").waitFor();
  assert.ok(fits && await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
});

test("the sign-in takes the printed link as well, and says what to do about a token that is refused", async (t) => {
  const service = await Service.start(t);
  const page = await openTab(await newContext(t, browser), new URL("admin", service.url).href);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByLabel("Operator's token").fill(service.workerToken);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("Tokens of workers and gateways open no pages.").waitFor();
  await page.getByLabel("Show what I type").check();
  await page.getByLabel("Operator's token").fill(` ${service.url}/admin#token=${service.operatorToken}\t`);
  assert.equal(await page.getByLabel("Operator's token").getAttribute("type"), "text");
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: "live" }).waitFor();
});
