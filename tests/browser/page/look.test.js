// How the page looks: it fits its window, in light, in dark and on a phone. The pictures are those of the README.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { talk } from "./talk.js";
import { Service, keep, openPage, startBrowser } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

for (const [name, options] of Object.entries({
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 360, height: 720 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
})) {
  test(`the page fits its window: ${name}`, async (t) => {
    const service = await Service.start(t);
    await talk(service);
    const page = await openPage(t, browser, service, { ...options, author: { username: "Ada", color: "#a9502d", entity: "echo" } });
    await page.getByText("Grace").first().waitFor();
    await page.locator(".prose").waitFor();
    const wider = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.equal(wider, false, "nothing has to be scrolled sideways");
    assert.ok(await page.getByRole("button", { name: "Send" }).isVisible());
    assert.deepEqual(page.complaints, []);
    await keep(page, `page-${name}`);
  });
}
