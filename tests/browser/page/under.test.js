// Everything works below a path that a proxy takes away: nothing of the pages leads out of it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Proxy } from "../proxy.js";
import { Site } from "../site.js";
import { Service, comments, connection, newContext, openPage, openTab, startBrowser, write } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

async function below(t, env = {}) {
  const service = await Service.start(t, env);
  const proxy = await Proxy.start(t, service, { under: "/talk/" });
  return { service, proxy };
}

test("the page follows and writes below a path", async (t) => {
  const { proxy } = await below(t);
  const page = await openPage(t, browser, proxy);
  await write(page, { name: "Ada", entity: "echo", text: "Anybody down here?" });
  await page.getByText("echo · answered").waitFor();
  await comments(page, "Anybody down here?").nth(1).waitFor();
  assert.ok(proxy.counts.stream > 0);
  assert.deepEqual([proxy.strays, page.complaints], [[], []]);
});

test("the element follows and writes from below a path, in a site of its own", async (t) => {
  const site = await Site.start(t);
  const { service, proxy } = await below(t, { REPARTEE_CORS_ORIGINS: site.origin });
  Object.assign(site, { service: proxy.url });
  const page = await openTab(await newContext(t, browser), `${site.origin}/`);
  await connection(page, "live");
  await write(page, { name: "Ada", text: "Could it be dust?" });
  await page.getByText("astronomer · pending").waitFor();
  const { message } = await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["astronomer"] });
  assert.equal(message.domain, "night-sky");
  assert.deepEqual([proxy.strays, page.complaints], [[], []]);
});

for (const address of ["admin", "admin/"]) {
  test(`the operator's page works below a path: ${address}`, async (t) => {
    const { service, proxy } = await below(t, { REPARTEE_HISTORY_INTERVAL: "0.5s" });
    const page = await openTab(await newContext(t, browser), `${proxy.url}${address}#token=${service.operatorToken}`);
    await page.getByRole("status").filter({ hasText: "live" }).waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll("[data-chart]")].every((image) => image.complete && image.naturalWidth > 0));
    assert.deepEqual([proxy.strays, page.complaints], [[], []]);
  });
}

for (const address of ["docs", "docs/"]) {
  test(`the reader of the API's description works below a path: ${address}`, async (t) => {
    const { proxy } = await below(t);
    const page = await openTab(await newContext(t, browser), `${proxy.url}${address}`);
    await page.getByText("/api/comments", { exact: true }).first().waitFor();
    assert.ok(page.url().startsWith(proxy.url));
    assert.deepEqual(proxy.strays.filter((path) => path !== "/favicon.ico"), []);
  });
}
