// The page follows its domain: by a stream where it can, otherwise as well as the network lets it, and misses nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Proxy } from "../proxy.js";
import { Service, comments, connection, look, openPage, say, startBrowser, texts, write } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

test("two browsers see each other's comments as they are stored", async (t) => {
  const service = await Service.start(t);
  const [one, other] = [await openPage(t, browser, service), await openPage(t, browser, service)];
  await write(one, { name: "Ada", entity: "", text: "Is it you?" });
  await comments(other, "Is it you?").waitFor();
  await write(other, { name: "Bob", entity: "", text: "It is." });
  await comments(one, "It is.").waitFor();
  for (const page of [one, other]) {
    assert.deepEqual(await texts(page), ["Is it you?", "It is."]);
    assert.deepEqual(page.complaints, []);
  }
});

test("an edit and a removal are seen by who has the page open", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  const { id, editToken } = await say(service, "Frist!");
  await comments(page, "Frist!").waitFor();
  const by = { Authorization: `Bearer ${editToken}` };
  await service.send(`/api/comments/${id}`, { text: "First!" }, { method: "PATCH", headers: by });
  await comments(page, "First!").waitFor();
  await service.send(`/api/comments/${id}`, undefined, { method: "DELETE", headers: by });
  await comments(page, "This comment was removed.").waitFor();
  assert.equal(await page.getByRole("listitem").count(), 1);
});

test("a server that is killed and comes back is met again, without a gap and without a double", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await say(service, "before");
  await comments(page, "before").waitFor();
  await service.stop();
  await connection(page, "reconnecting…");
  await service.start();
  await say(service, "after");
  await comments(page, "after").waitFor();
  await connection(page, "live");
  assert.deepEqual(await texts(page), ["before", "after"]);
});

test("a server that comes back with other data is shown as it is now", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await say(service, "of the old log");
  await comments(page, "of the old log").waitFor();
  await service.stop();
  await service.forget();
  await service.start();
  await say(service, "of the new log");
  await comments(page, "of the new log").waitFor();
  assert.deepEqual(await texts(page), ["of the new log"]);
});

test("where streams cannot be had, comments come by long-poll as soon as they are stored", async (t) => {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service, { refused: new Set(["stream"]) });
  const page = await openPage(t, browser, proxy);
  assert.equal(await page.getByRole("status").getAttribute("data-way"), "long-poll");
  for (const text of ["one", "two", "three"]) {
    await say(service, text);
    await comments(page, text).waitFor();
  }
  assert.deepEqual(await texts(page), ["one", "two", "three"]);
  assert.ok(proxy.counts.wait >= 3 && proxy.counts.page <= 4, JSON.stringify(proxy.counts));
});

test("where long-polls cannot be had either, the page polls, and quickly while an answer is awaited", async (t) => {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service, { refused: new Set(["stream", "wait"]) });
  const page = await openPage(t, browser, proxy, { shows: "up to date" });
  await say(service, "one");
  await comments(page, "one").waitFor();
  await write(page, { name: "Ada", entity: "echo", text: "two" });
  await page.getByText("echo · answered").waitFor();
  await comments(page, "two").nth(1).waitFor();
  assert.deepEqual(await texts(page), ["one", "two", "two"]);
});

test("a page without a network says so, and goes on when it is back", async (t) => {
  const service = await Service.start(t);
  const page = await openPage(t, browser, service);
  await page.context().setOffline(true);
  await connection(page, "offline");
  await say(service, "meanwhile");
  await page.context().setOffline(false);
  await comments(page, "meanwhile").waitFor();
  await connection(page, "live");
});

test("a portal that answers everything with 200 is no server: nothing is shown as news, nothing is taken as stored", async (t) => {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service, { answered: new Set(["stream", "wait", "page", "post"]) });
  const page = await openPage(t, browser, proxy, { shows: "reconnecting…" });
  await write(page, { name: "Ada", entity: "", text: "Is this the network?" });
  await page.getByRole("alert").filter({ hasText: "cannot be reached" }).waitFor();
  assert.equal(await page.getByLabel("Comment", { exact: true }).inputValue(), "Is this the network?");
  assert.deepEqual(await texts(page), []);
  proxy.answered.clear();
  await look(page);
  await connection(page, "live");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await comments(page, "Is this the network?").waitFor();
  assert.deepEqual(page.complaints, []);
});
