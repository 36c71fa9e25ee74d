// What the tests of the page stand on: a real browser. Nothing here knows what the page should do.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

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

/** A browser's profile of its own, for pages that are to be strangers to all others. */
export async function newContext(t, browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 840 }, ...options });
  context.setDefaultTimeout(DEADLINE);
  t.after(() => context.close());
  return context;
}

/**
 * Opens an address. `page.complaints` collects what a healthy page never has: errors on the console (violations of the
 * Content-Security-Policy among them), uncaught errors, and dialogs.
 */
export async function openTab(context, url) {
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
  await page.goto(url);
  return page;
}

/** Opens the page in a profile of its own, and waits until its connection `shows` this. */
export async function openPage(t, browser, service, { domain = "lobby", shows = "live", ...options } = {}) {
  const context = await newContext(t, browser, options);
  const page = await openTab(context, pageOf(service, domain));
  await connection(page, shows);
  return page;
}

/** The address of a domain's page. */
export function pageOf(service, domain = "lobby") {
  return `${service.url}?domain=${encodeURIComponent(domain)}`;
}

/** Waits until the page says this of its connection. */
export function connection(page, shows) {
  return page.getByRole("status").filter({ hasText: shows }).waitFor();
}

/** Somebody looks at the page: it asks for news at once, whatever it waits for. */
export function look(page) {
  return page.evaluate(() => { document.dispatchEvent(new Event("visibilitychange")); });
}

/** The comments on the page whose text is exactly this. */
export function comments(page, text) {
  return page.getByRole("listitem").filter({ has: page.getByText(text, { exact: true }) });
}

/** The texts of all comments, in their order. */
export function texts(page) {
  return page.locator(".message .text").allTextContents();
}

/** The lines in which bots are writing. */
export function writing(page) {
  return page.locator(".message[data-state=writing]");
}

/** Writes a comment by keyboard and sends it. */
export async function write(page, { name, entity, text }) {
  await page.getByLabel("Name").fill(name);
  if (entity !== undefined) await page.getByLabel("To bot").fill(entity);
  await page.getByLabel("Comment", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** Lets somebody else say something. */
export function say(service, text, { domain = "lobby", username = "Grace", ...more } = {}) {
  return service.send("/api/comments", { domain, text, username, color: "047122169", ...more });
}

/** Keeps a picture, where pictures are wanted. */
export async function keep(page, name) {
  if (!process.env.SCREENSHOT_DIR) return;
  await mkdir(process.env.SCREENSHOT_DIR, { recursive: true });
  await page.screenshot({ path: join(process.env.SCREENSHOT_DIR, `${name}.png`) });
}
