// Many tabs while a bot writes: tabs come and go in the middle of a draft, and nobody sees more than that it grows.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Bot } from "../bot.js";
import { Proxy } from "../proxy.js";
import { assertNoDouble, record, seen } from "./seen.js";
import { Service, connection, newContext, openTab, pageOf, startBrowser, texts, write, writing } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** Ten tabs of one profile behind a proxy, and a bot that has begun to answer what the tab `asker` asked. */
async function crowd(t, { asker }) {
  const service = await Service.start(t);
  const bot = await Bot.start(t, service, { name: "gpu-1", entity: "sage" });
  const proxy = await Proxy.start(t, service);
  const context = await newContext(t, browser);
  const open = async () => {
    const tab = await openTab(context, pageOf(proxy));
    await connection(tab, "live");
    return tab;
  };
  const tabs = [];
  while (tabs.length < 10) tabs.push(await open());
  await write(tabs[asker], { name: "Ada", entity: "sage", text: "How did it begin?" });
  await bot.works();
  for (const tab of tabs) await record(tab);
  bot.writes("It began");
  for (const tab of tabs) await draft(tab, "It began");
  return { bot, proxy, tabs, open };
}

const draft = (tab, text) => writing(tab).getByText(text, { exact: true }).waitFor();

/** One tab follows for all, the last one of `leaders`; on a busy machine one of them may have been deposed for its silence. */
function assertOneFollows(proxy, leaders) {
  assert.equal(proxy.openStreams, 1);
  assert.ok(proxy.counts.stream <= leaders + 1, JSON.stringify(proxy.counts));
}

/** The draft has become the reply, once, and its line never went away and never stood twice. */
async function assertAnswered(tab, reply) {
  await tab.getByText("sage · answered").waitFor();
  await writing(tab).waitFor({ state: "detached" });
  assert.deepEqual(await texts(tab), ["How did it begin?", reply]);
  await assertNoDouble(tab);
  const answers = (await seen(tab)).map((lines) => lines.filter(({ name }) => name === "sage"));
  const drawn = answers.slice(answers.findIndex((lines) => lines.length > 0));
  assert.ok(drawn.every((lines) => lines.length === 1), `the answer in one line: ${JSON.stringify(drawn)}`);
  assert.deepEqual(tab.complaints, []);
}

test("ten tabs see a draft grow over one stream, and the reply in its place when the leading tab is gone", async (t) => {
  const { bot, proxy, tabs } = await crowd(t, { asker: 4 });
  assertOneFollows(proxy, 1);
  await tabs.shift().close();
  bot.writes(" with a bang.");
  for (const tab of tabs) await draft(tab, "It began with a bang.");
  bot.ends();
  for (const tab of tabs) await assertAnswered(tab, "It began with a bang.");
  assertOneFollows(proxy, 2);
});

test("tabs go on when the tab that asked is closed, and a new one sees at once what was written so far", async (t) => {
  const { bot, proxy, tabs, open } = await crowd(t, { asker: 4 });
  await tabs.splice(4, 1)[0].close();
  const fresh = await open();
  await draft(fresh, "It began");
  await record(fresh);
  tabs.push(fresh);
  bot.writes(" with a bang.");
  for (const tab of tabs) await draft(tab, "It began with a bang.");
  bot.ends();
  for (const tab of tabs) await assertAnswered(tab, "It began with a bang.");
  assertOneFollows(proxy, 1);
});

test("the tab that leads may be the one that asked: it is closed, and the others see the answer", async (t) => {
  const { bot, proxy, tabs, open } = await crowd(t, { asker: 0 });
  await tabs.shift().close();
  const fresh = await open();
  await draft(fresh, "It began");
  await record(fresh);
  tabs.push(fresh);
  bot.ends();
  for (const tab of tabs) await assertAnswered(tab, "It began");
  assert.equal(proxy.openStreams, 1);
});
