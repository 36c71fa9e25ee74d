// What operators do on their page with what strangers post, in a real browser, against the real binary.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Service, comments, newContext, openPage, openTab, say, startBrowser } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** The operator's page, signed in. */
async function open(t, service) {
  const context = await newContext(t, browser, { viewport: { width: 1300, height: 1300 } });
  const page = await openTab(context, new URL(`admin#token=${service.operatorToken}`, service.url).href);
  await page.getByRole("status").filter({ hasText: "live" }).waitFor();
  return page;
}

/** The rows of a table that hold a text. */
const rows = (page, table, text) => page.getByRole("region", { name: table }).getByRole("row").filter({ hasText: text });
const press = (row, name) => row.getByRole("button", { name }).press("Enter");

/** A question by a visitor who keeps a secret. */
const ask = (service, text) =>
  service.send("/api/comments", { domain: "lobby", text, username: "Grace", color: "047122169", botParams: { entity: "oracle" } },
    { headers: { "X-Visitor": "grace-0123456789abcdef0123456789abcdef" } });

test("an entity is paused and goes on, and the log says so", async (t) => {
  const service = await Service.start(t);
  await say(service, "Anyone?", { botParams: { entity: "oracle" } });
  const page = await open(t, service);
  const row = rows(page, "Queue, by entity", "oracle");
  await press(row, "Pause");
  await row.getByText("paused", { exact: true }).waitFor();
  await rows(page, "What operators did", /paused oracle/).waitFor();
  await press(row, "Resume");
  await row.getByText("paused", { exact: true }).waitFor({ state: "detached" });
  await rows(page, "What operators did", /let go on oracle/).waitFor();
  assert.deepEqual(page.complaints, []);
});

test("a waiting comment is hidden from everybody who looks and shown again at its place", async (t) => {
  const service = await Service.start(t);
  await say(service, "Before.");
  await ask(service, "Buy pills!");
  const [page, reader] = [await open(t, service), await openPage(t, browser, service)];
  await comments(reader, "Buy pills!").waitFor();
  await press(rows(page, "Waiting", "Buy pills!"), "Hide");
  await rows(page, "Hidden", "Buy pills!").waitFor();
  await comments(reader, "This comment was removed.").waitFor();
  assert.equal(await reader.getByText("Buy pills!").count(), 0);
  await press(rows(page, "Hidden", "Buy pills!"), "Restore");
  await comments(reader, "Buy pills!").waitFor();
  await page.getByText("Nothing is hidden.").waitFor();
  assert.deepEqual(await reader.locator(".message .text").allTextContents(), ["Before.", "Buy pills!"]);
  await rows(page, "What operators did", /showed again the message/).waitFor();
  assert.deepEqual([...page.complaints, ...reader.complaints], []);
});

test("a comment that waits for no bot is hidden by its id", async (t) => {
  const service = await Service.start(t);
  const { id } = await say(service, "Buy pills!");
  const page = await open(t, service);
  await page.getByLabel("Hide the comment with this id").fill(id);
  await page.keyboard.press("Enter");
  await rows(page, "Hidden", "Buy pills!").waitFor();
  assert.equal((await (await fetch(new URL(`/api/comments/${id}`, service.url))).json()).deleted, true);
  assert.deepEqual(page.complaints, []);
});

test("an author is blocked for the chosen span, listed, and let in again", async (t) => {
  const service = await Service.start(t);
  await ask(service, "Buy pills!");
  const page = await open(t, service);
  await page.getByLabel("A new block lasts").selectOption("7 days");
  await press(rows(page, "Waiting", "Buy pills!"), "Block author");
  const row = rows(page, "Blocked", /author [0-9a-f]{8}/);
  await row.filter({ hasText: /for 7 d more/ }).waitFor();
  await rows(page, "What operators did", /blocked author [0-9a-f]{8} for 7d/).waitFor();
  await assert.rejects(ask(service, "Buy more!"), /BLOCKED/);
  await say(service, "A neighbour may.");
  await press(row, "Lift");
  await page.getByText("Nobody is blocked.").waitFor();
  await ask(service, "I will behave.");
  assert.deepEqual(page.complaints, []);
});
