// What the tests of the page stand on: the real binary on a data directory of its own, and a real browser. A world owns
// the processes that it starts and ends them by their ids; nothing here knows what the page should do.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, readFile, rm, watch } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

/** How long anything may take before a test gives up on it, in ms. */
export const DEADLINE = 30_000;

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

/** One `repartee` process; `stop` ends it, `start` starts it again on the same data and the same port. */
export class Service {
  #folder;
  #process = null;
  #log = "";
  #http = "127.0.0.1:0";

  static async start(t) {
    const service = new Service();
    service.#folder = await mkdtemp(join(tmpdir(), "repartee-page-"));
    t.after(async () => {
      await service.stop();
      await rm(service.#folder, { recursive: true, force: true });
    });
    await service.start();
    return service;
  }

  get url() {
    return `http://${this.#http}/`;
  }

  async start() {
    const folder = process.env.REPARTEE_BIN_DIR;
    assert.ok(folder, "REPARTEE_BIN_DIR names the folder of the built binaries");
    const ready = join(this.#folder, "ready.json");
    await rm(ready, { force: true });
    const seen = appears(ready, this.#folder);
    this.#process = spawn(
      join(folder, "repartee"),
      ["--data-dir", join(this.#folder, "data"), "--http-addr", this.#http, "--grpc-addr", "127.0.0.1:0", "--ready-file", ready],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    this.#process.stderr.on("data", (lines) => { this.#log += lines; });
    const ended = once(this.#process, "exit").then(([code]) => {
      throw new Error(`repartee ended with ${code} before it was ready:\n${this.#log}`);
    });
    await Promise.race([seen, ended]);
    ended.catch(() => {});
    this.#http = JSON.parse(await readFile(ready, "utf8")).http;
  }

  /** Ends the process by its id, at once: what it had acknowledged is on disk. */
  async stop() {
    const running = this.#process;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, "exit");
    process.kill(running.pid, "SIGKILL");
    await ended;
  }

  /** Sends JSON past the page, as other people and bots do. */
  async send(path, body) {
    const response = await fetch(new URL(path, this.url), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    assert.ok(response.ok, `${path} answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer;
  }
}

/** Settles once the file is there. The watch begins before the look, so nothing is missed between. */
async function appears(path, folder) {
  const watched = new AbortController();
  const patience = setTimeout(() => watched.abort(new Error(`${path} did not appear in ${DEADLINE} ms`)), DEADLINE);
  const there = () => access(path).then(() => true, () => false);
  try {
    const events = watch(folder, { signal: watched.signal });
    let next = events.next();
    while (!(await there())) {
      await next;
      next = events.next();
    }
    next.catch(() => {});
  } finally {
    clearTimeout(patience);
    watched.abort();
  }
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
