// What the tests of the page stand on: a real browser. Nothing here knows what the page should do.

import { chromium } from "playwright-core";

import { DEADLINE } from "../service.js";

export { DEADLINE, Service } from "../service.js";

/** Starts the browser. CHROMIUM names its program. */
export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      // Tests run as root in containers, where the sandbox cannot start; they visit no host but their own server.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/**
 * Opens the page in a browser of its own, and waits until its connection `shows` this. `page.complaints` collects what a healthy page never has: errors on the
 * console (violations of the Content-Security-Policy among them), uncaught errors, and dialogs.
 */
export async function openPage(t, browser, service, { domain = "lobby", shows = "up to date", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 840 }, ...options });
  context.setDefaultTimeout(DEADLINE);
  t.after(() => context.close());
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("dialog", async (dialog) => {
    page.complaints.push(`a dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  await page.goto(`${service.url}?domain=${encodeURIComponent(domain)}`);
  await page.getByRole("status").filter({ hasText: shows }).waitFor();
  return page;
}

/** The comments on the page whose text is exactly this. */
export function comments(page, text) {
  return page.getByRole("listitem").filter({ has: page.getByText(text, { exact: true }) });
}

/** Writes a comment by keyboard and sends it. */
export async function write(page, { name, entity, text }) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("To bot").fill(entity);
  await page.getByLabel("Comment", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}
