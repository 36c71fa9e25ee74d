// What the tests of the page stand on: a real browser. Nothing here knows what the page should do.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { DEADLINE } from "../service.js";

export { DEADLINE, Service } from "../service.js";

const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  // Tests run as root in containers, where the sandbox cannot start; they visit no host but their own server.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** How many bytes are sent for a file to a client that takes it compressed in this way. */
export async function sentBytes(service, name, way = "br") {
  const [response] = await once(get(new URL(name, service.url), { headers: { "accept-encoding": way } }), "response");
  if (response.statusCode !== 200) throw new Error(`${name}: ${response.statusCode}`);
  let bytes = 0;
  for await (const piece of response) bytes += piece.length;
  return bytes;
}

/** Starts the browser. CHROMIUM names its program. */
export function startBrowser() {
  return chromium.launch({ executablePath: PROGRAM, args: FLAGS });
}

/**
 * A browser whose tabs are hidden and frozen as those of people are: to the tabs of the other one Playwright says that each
 * of them is looked at. Gives its one profile.
 */
export async function startPlainBrowser(t) {
  const profile = await mkdtemp(join(tmpdir(), "repartee-chromium-"));
  const program = spawn(PROGRAM, [...FLAGS, "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"]);
  t.after(async () => {
    const ended = program.exitCode === null && once(program, "exit");
    program.kill("SIGKILL");
    await ended;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  let said = "";
  let address = null;
  while (address === null) {
    const [lines] = await once(program.stderr, "data");
    said += lines;
    address = said.match(/DevTools listening on (ws:\S+)/)?.[1] ?? null;
  }
  program.stderr.resume();
  const browser = await chromium.connectOverCDP(address, { noDefaults: true });
  const [context] = browser.contexts();
  context.setDefaultTimeout(DEADLINE);
  if (process.env.REPARTEE_WEB_DIR) await serveFrom(context, process.env.REPARTEE_WEB_DIR);
  return context;
}

/** A browser's profile of its own, for pages that are to be strangers to all others; `author` has written there before. */
export async function newContext(t, browser, { author = null, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 840 }, ...options });
  if (author) await context.addInitScript((known) => localStorage.setItem("repartee.author", JSON.stringify(known)), author);
  context.setDefaultTimeout(DEADLINE);
  if (process.env.REPARTEE_WEB_DIR) await serveFrom(context, process.env.REPARTEE_WEB_DIR);
  t.after(() => context.close());
  return context;
}

/** While somebody works on the modules: those of a folder are served in place of the built ones, and nothing has to be built. */
async function serveFrom(context, folder) {
  const names = new Set(await readdir(folder));
  const nameOf = (url) => url.pathname.split("/").at(-1);
  const isOurs = (url) => /\.(js|css)$/.test(url.pathname) && names.has(nameOf(url)) && !url.pathname.includes("/docs/");
  const headers = { "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin" };
  await context.route(isOurs, (route) => route.fulfill({ path: join(folder, nameOf(new URL(route.request().url()))), headers }));
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
  await unfold(page);
  await page.getByLabel("Name").fill(name);
  if (entity !== undefined) await page.getByLabel("To bot").fill(entity);
  await page.getByLabel("Comment", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** Opens the fields of who writes, if they are folded away. */
export async function unfold(page) {
  const who = page.locator("details.who");
  if (!(await who.evaluate((details) => details.open))) await who.locator("summary").click();
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
