// Each way to follow, as proxies force it on a page: long-polls only, polls only, streams that are cut. With a bot, and
// while many others talk: in the end the page shows what the server has.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Bot } from "../bot.js";
import { Proxy } from "../proxy.js";
import { People, assertShowsAll, watchForDoubles } from "./people.js";
import { assertNoDouble, assertWalk, record, seen } from "./seen.js";
import { Service, comments, look, openPage, say, startBrowser, texts, write } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

const WAYS = {
  "long-polls only": { refused: ["stream"], shows: "live", way: "long-poll" },
  "polls only": { refused: ["stream", "wait"], shows: "up to date", way: "poll" },
};

/** A page that has to follow by this way, and a bot. */
async function follow(t, { refused, shows, way }) {
  const service = await Service.start(t);
  const bot = await Bot.start(t, service, { name: "gpu-1", entity: "sage" });
  const proxy = await Proxy.start(t, service, { refused: new Set(refused) });
  const page = await openPage(t, browser, proxy, { shows });
  assert.equal(await page.getByRole("status").getAttribute("data-way"), way);
  return { service, bot, page };
}

/** Settles once those who follow by stream were told what a bot is writing. */
async function draftIsTold(service) {
  const stop = new AbortController();
  const { body } = await fetch(new URL("/api/comments/stream?domain=lobby", service.url), { signal: stop.signal });
  let told = "";
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    told += piece;
    if (told.includes("event: draft")) break;
  }
  stop.abort();
}

for (const [name, settings] of Object.entries(WAYS)) {
  test(`with ${name} no draft is shown, statuses walk, and the reply comes once`, async (t) => {
    const { service, bot, page } = await follow(t, settings);
    await record(page);
    await write(page, { name: "Ada", entity: "sage", text: "How did it begin?" });
    await bot.works();
    bot.writes("It began");
    await draftIsTold(service);
    await say(service, "Let it think.");
    await look(page);
    await comments(page, "Let it think.").waitFor();
    await page.getByText("sage · answering…").waitFor();
    bot.writes(" with a bang.");
    bot.ends();
    await page.getByText("sage · answered").waitFor();
    assert.deepEqual(await texts(page), ["How did it begin?", "Let it think.", "It began with a bang."]);
    assert.ok((await seen(page)).flat().every(({ state }) => state !== "writing"), "drafts come by streams alone");
    await assertWalk(page, "How did it begin?");
    await assertNoDouble(page);
  });

  test(`with ${name} a page shows what the server has after hundreds of posts, edits and removals`, async (t) => {
    const { service, bot, page } = await follow(t, settings);
    const people = new People(service);
    await watchForDoubles(page);
    await people.talk(80);
    await write(page, { name: "Ada", entity: "sage", text: "Does anybody listen?" });
    await Promise.all([people.talk(80), bot.works().then(() => bot.writes("I do."))]);
    bot.ends();
    await people.talk(80);
    await page.getByText("sage · answered").waitFor();
    await say(service, "the last word");
    await look(page);
    await comments(page, "the last word").waitFor();
    await comments(page, "I do.").waitFor();
    await assertShowsAll(page, service);
  });
}

test("streams that a proxy cuts every three seconds show what the server has while hundreds talk", async (t) => {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service, { cutAfter: 3_000 });
  const page = await openPage(t, browser, proxy);
  const people = new People(service);
  await watchForDoubles(page);
  for (let round = 0; proxy.cuts < 2; round += 1) {
    await people.talk(30);
    await say(service, `round ${round}`);
    await comments(page, `round ${round}`).waitFor();
  }
  await people.talk(30);
  await say(service, "the last word");
  await comments(page, "the last word").waitFor();
  await assertShowsAll(page, service);
});
