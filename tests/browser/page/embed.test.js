// The comments in another site: on another origin, under a strict policy, styled by that site, small.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Proxy } from "../proxy.js";
import { Site } from "../site.js";
import { talk } from "./talk.js";
import { Service, comments, connection, keep, newContext, openTab, say, sentBytes, startBrowser, texts, write } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** A site and a service that allows it; `body` is what the site's page holds in place of its own. */
async function world(t, { body = null, allowed = true } = {}) {
  const site = await Site.start(t);
  const service = await Service.start(t, { REPARTEE_CORS_ORIGINS: allowed ? site.origin : "https://elsewhere.example" });
  Object.assign(site, { service: service.url, body });
  return { site, service };
}

async function visit(t, site, options) {
  return openTab(await newContext(t, browser, options), `${site.origin}/`);
}

test("a site on another origin shows the comments and takes new ones, under a strict policy", async (t) => {
  const { site, service } = await world(t);
  const page = await visit(t, site);
  await connection(page, "live");
  assert.equal(await page.getByLabel("To bot").isVisible(), false, "the site has chosen the bot");
  await write(page, { name: "Ada", text: "Could it be dust?" });
  await page.getByText("astronomer · pending").waitFor();
  const { message, lease } = await service.send("/api/queue/claim-next", { workerId: "w1", entities: ["astronomer"] });
  assert.equal(message.domain, "night-sky");
  await service.send("/api/queue/complete", { messageId: message.id, leaseToken: lease.token, reply: { text: "Dust would glow." } });
  await comments(page, "Dust would glow.").waitFor();
  await page.getByText("astronomer · answered").waitFor();
  assert.deepEqual(await texts(page), ["Could it be dust?", "Dust would glow."]);
  assert.deepEqual(page.complaints, []);
});

test("what people write stays text in another site too", async (t) => {
  const { site, service } = await world(t);
  const page = await visit(t, site);
  const probe = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>";
  await say(service, probe, { domain: "night-sky", username: probe, botParams: { entity: probe } });
  await comments(page, probe).first().waitFor();
  assert.equal(await page.locator("repartee-comments :is(img, script)").count(), 0);
  assert.deepEqual(page.complaints, []);
});

test("a site that is not allowed is told that it cannot read", async (t) => {
  const { site } = await world(t, { allowed: false });
  const page = await visit(t, site);
  await connection(page, "reconnecting…");
  assert.deepEqual(await texts(page), []);
});

test("all that the element loads is less than 25 KB compressed", async (t) => {
  const { service } = await world(t);
  const sizes = {};
  const load = async (name) => {
    if (name in sizes) return;
    const source = await (await fetch(new URL(name, service.url))).text();
    sizes[name] = await sentBytes(service, name);
    for (const [, next] of source.matchAll(/(?:from|import) "\.\/([^"]+)"/g)) await load(next);
  };
  await load("embed.js");
  const sum = Object.values(sizes).reduce((all, size) => all + size, 0);
  assert.ok(Object.keys(sizes).length > 5, "its imports were followed");
  assert.ok(sum < 25_000, `${sum} bytes: ${JSON.stringify(sizes)}`);
});

test("the element can be used by keyboard alone", async (t) => {
  const { site, service } = await world(t, { body: '<repartee-comments domain="night-sky"></repartee-comments>' });
  await say(service, "Hello", { domain: "night-sky" });
  const page = await visit(t, site);
  await comments(page, "Hello").waitFor();
  const reached = [];
  for (let step = 0; step < 8; step += 1) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() => {
      const { activeElement: at } = document.activeElement.shadowRoot;
      return at.getAttribute("aria-label") ?? (at.name || at.textContent);
    }));
  }
  assert.deepEqual(reached, ["Comments", "Reply", "Copy", "color", "username", "entity", "text", "Send"]);
  await page.getByLabel("Name").focus();
  await page.keyboard.type("Ada");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.type("By hand");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("in two lines");
  await page.keyboard.press("Enter");
  await comments(page, "By hand in two lines").waitFor();
  assert.deepEqual(await texts(page), ["Hello", "By hand\nin two lines"]);
});

test("a site styles the element by custom properties, and its own rules do not reach in", async (t) => {
  const { site } = await world(t);
  const page = await visit(t, site, { colorScheme: "light" });
  await connection(page, "live");
  const look = (selector, name) => page.locator(selector).evaluate((element, name) => getComputedStyle(element).getPropertyValue(name), name);
  assert.equal(await look("#send", "background-color"), "rgb(36, 84, 143)");
  assert.equal(await look("repartee-comments", "max-height"), "480px");
  assert.doesNotMatch(await look(".log", "font-family"), /Georgia/);
});

test("the element is as high as what is in it, up to a limit", async (t) => {
  const { site, service } = await world(t);
  const page = await visit(t, site);
  await connection(page, "live");
  const element = page.locator("repartee-comments");
  const height = () => element.evaluate((one) => one.getBoundingClientRect().height);
  await write(page, { name: "Ada", text: "zero" });
  await page.locator(".message[data-state=stored]").waitFor();
  const heights = [await height()];
  for (const text of ["one", "two", "three"]) {
    await say(service, text, { domain: "night-sky" });
    await comments(page, text).waitFor();
    heights.push(await height());
  }
  assert.ok(heights.every((one, at) => one > (heights[at - 1] ?? 0)) && heights[3] < 480, String(heights));
  for (let at = 0; at < 12; at += 1) await say(service, `number ${at}`, { domain: "night-sky" });
  await comments(page, "number 11").waitFor();
  assert.equal(await height(), 480);
  const bottom = await page.getByRole("log").evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
  assert.ok(bottom < 2, "the newest is seen");
});

test("several elements in one page keep apart, and one that is taken away closes its stream", async (t) => {
  const { site, service } = await world(t);
  const proxy = await Proxy.start(t, service);
  site.body = ["one", "two", "two"].map((domain) => `<repartee-comments domain="${domain}" server="${proxy.url}"></repartee-comments>`).join("");
  site.service = proxy.url;
  const page = await visit(t, site);
  await page.getByRole("status").filter({ hasText: "live" }).nth(2).waitFor();
  assert.equal(proxy.openStreams, 2, "one stream for each domain");
  await say(service, "to two", { domain: "two" });
  await comments(page, "to two").nth(1).waitFor();
  assert.equal(await comments(page, "to two").count(), 2);
  const closed = proxy.closed();
  await page.evaluate(() => document.querySelector("repartee-comments").remove());
  await closed;
  assert.equal(proxy.openStreams, 1);
  await page.evaluate(() => document.querySelector("repartee-comments").setAttribute("domain", "three"));
  await say(service, "to three", { domain: "three" });
  await comments(page, "to three").waitFor();
  assert.equal(await comments(page, "to two").count(), 1);
});

for (const [name, options] of Object.entries({
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 360, height: 720 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
})) {
  test(`the element fits its site: ${name}`, async (t) => {
    const { site, service } = await world(t);
    await talk(service, "night-sky");
    const page = await visit(t, site, { ...options, author: { username: "Ada", color: "#24548f" } });
    await connection(page, "live");
    await page.getByText("Grace").first().waitFor();
    await page.locator(".prose").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false);
    if (name === "phone") await page.getByRole("heading", { name: "What readers say" }).evaluate((heading) => heading.scrollIntoView());
    await keep(page, `embed-${name}`);
  });
}
