// Tabs of one browser share a connection.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { PLACES } from "../../../rest-gateway/web/places.js";
import { Proxy } from "../proxy.js";
import { DEADLINE, Service, comments, connection, newContext, openTab, pageOf, say, startBrowser, startPlainBrowser, texts, write } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

test("ten tabs use one stream, and another tab takes over when its tab is closed", async (t) => {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service);
  const context = await newContext(t, browser);
  const tabs = [];
  for (let count = 0; count < 10; count += 1) {
    const tab = await openTab(context, pageOf(proxy));
    await connection(tab, "live");
    tabs.push(tab);
  }
  assert.deepEqual([proxy.openStreams, proxy.counts.stream, proxy.counts.page], [1, 1, 1], "one tab asked, for all");

  await write(tabs[7], { name: "Ada", entity: "echo", text: "Hello, tabs." });
  for (const tab of tabs) {
    await comments(tab, "Hello, tabs.").nth(1).waitFor();
    assert.deepEqual(await texts(tab), ["Hello, tabs.", "Hello, tabs."]);
  }

  for (const rest of [tabs.slice(1), tabs.slice(2)]) {
    await context.pages()[0].close();
    await say(service, `after ${rest.length}`);
    for (const tab of rest) await comments(tab, `after ${rest.length}`).waitFor();
    assert.equal(proxy.openStreams, 1);
  }
  for (const tab of tabs.slice(2)) {
    assert.deepEqual(await texts(tab), ["Hello, tabs.", "Hello, tabs.", "after 9", "after 8"]);
    assert.deepEqual(tab.complaints, []);
  }
});

test("tabs of two domains have a stream each", async (t) => {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service);
  const context = await newContext(t, browser);
  for (const domain of ["garden", "kitchen", "garden"]) await connection(await openTab(context, pageOf(proxy, domain)), "live");
  assert.equal(proxy.openStreams, 2);
});

test("more domains than a browser has connections to a server: all are followed, and all can be written in", async (t) => {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service);
  const context = await newContext(t, browser);
  const tabs = [];
  for (let at = 0; at < 8; at += 1) {
    tabs.push(await openTab(context, pageOf(proxy, `domain ${at}`)));
    await connection(tabs[at], at < PLACES ? "live" : "up to date");
  }
  assert.equal(proxy.openStreams, PLACES);
  for (const [at, tab] of tabs.entries()) {
    await write(tab, { name: "Ada", entity: "echo", text: `Hello, domain ${at}.` });
    await comments(tab, `Hello, domain ${at}.`).nth(1).waitFor();
  }
  const closed = proxy.closed();
  await tabs[0].close();
  await closed;
  await connection(tabs[PLACES], "live");
  assert.equal(proxy.openStreams, PLACES);
});

test("a leading tab that is frozen is replaced, and shows what it missed when it is looked at", async (t) => {
  const service = await Service.start(t);
  const context = await newContext(t, browser);
  const [leader, other] = [await openTab(context, pageOf(service)), await openTab(context, pageOf(service))];
  for (const tab of [leader, other]) await connection(tab, "live");
  const session = await context.newCDPSession(leader);
  // Stopped in a debugger, as a frozen tab is: it keeps its lock and answers nobody.
  await session.send("Debugger.enable");
  await session.send("Debugger.pause");
  const stopped = new Promise((resolve) => session.once("Debugger.paused", resolve));
  session.send("Runtime.evaluate", { expression: "1" }).catch(() => {});
  await stopped;
  await other.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await say(service, "Who leads?");
  await comments(other, "Who leads?").waitFor();
  await session.send("Debugger.resume");
  await comments(leader, "Who leads?").waitFor();
});

/** Two tabs on a domain, of which the first leads; `freeze` stops it as browsers do, while the other one is looked at. */
async function twoTabs(t, prepare = () => {}) {
  const service = await Service.start(t);
  const proxy = await Proxy.start(t, service);
  const context = await startPlainBrowser(t);
  await context.addInitScript(prepare);
  const leader = await openTab(context, pageOf(proxy));
  await connection(leader, "live");
  const other = await openTab(context, pageOf(proxy));
  await connection(other, "live");
  await other.bringToFront();
  const session = await context.newCDPSession(leader);
  const becomes = (state) => session.send("Page.setWebLifecycleState", { state });
  return { service, proxy, leader, other, freeze: () => becomes("frozen"), thaw: () => becomes("active") };
}

test("a leading tab that its browser freezes gives up the lead, and shows what it missed when it goes on", async (t) => {
  const { service, proxy, leader, other, freeze, thaw } = await twoTabs(t);
  await freeze();
  await say(service, "Who leads now?");
  await comments(other, "Who leads now?").waitFor();
  await connection(other, "live");
  await thaw();
  await comments(leader, "Who leads now?").waitFor();
  await say(service, "And now?");
  for (const tab of [leader, other]) {
    await comments(tab, "And now?").waitFor();
    assert.deepEqual(await texts(tab), ["Who leads now?", "And now?"]);
    assert.deepEqual(tab.complaints, []);
  }
  assert.equal(proxy.openStreams, 1);
});

test("a leading tab that is frozen without a word, and answers that it leads, is replaced while somebody only reads", async (t) => {
  const { service, other, freeze } = await twoTabs(t, () => {
    // As in a browser that tells a page neither that it is frozen nor that it is hidden.
    Object.defineProperty(document, "visibilityState", { get: () => "visible" });
    for (const event of ["freeze", "visibilitychange"]) document.addEventListener(event, (told) => told.stopImmediatePropagation(), { capture: true });
  });
  await freeze();
  await say(service, "Who leads now?");
  await comments(other, "Who leads now?").waitFor({ timeout: 2 * DEADLINE });
  await connection(other, "live");
});
