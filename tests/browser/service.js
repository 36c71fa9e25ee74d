// The real binary on a data directory of its own. A service owns the process that it starts and ends it by its id.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, readFile, rm, watch } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long anything may take before a test gives up on it, in ms. */
export const DEADLINE = 30_000;

/** One `repartee` process; `stop` ends it, `start` starts it again on the same data and the same ports. */
export class Service {
  #folder;
  #process = null;
  #env = {};
  #log = "";
  #http = "127.0.0.1:0";
  #grpc = "127.0.0.1:0";

  /** A service on a new folder; `env` are settings beside its flags. */
  static async start(t, env = {}) {
    const service = new Service();
    service.#env = env;
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

  /** Where workers connect. */
  get queueUrl() {
    return `http://${this.#grpc}`;
  }

  async start() {
    const folder = process.env.REPARTEE_BIN_DIR;
    assert.ok(folder, "REPARTEE_BIN_DIR names the folder of the built binaries");
    const ready = join(this.#folder, "ready.json");
    await rm(ready, { force: true });
    const seen = appears(ready, this.#folder);
    this.#process = spawn(
      join(folder, "repartee"),
      ["--data-dir", join(this.#folder, "data"), "--http-addr", this.#http, "--grpc-addr", this.#grpc, "--ready-file", ready],
      { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...this.#env } },
    );
    this.#process.stderr.on("data", (lines) => { this.#log += lines; });
    const ended = once(this.#process, "exit").then(([code]) => {
      throw new Error(`repartee ended with ${code} before it was ready:\n${this.#log}`);
    });
    await Promise.race([seen, ended]);
    ended.catch(() => {});
    ({ http: this.#http, grpc: this.#grpc } = JSON.parse(await readFile(ready, "utf8")));
  }

  /** Ends the process by its id, at once: what it had acknowledged is on disk. */
  async stop() {
    const running = this.#process;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, "exit");
    process.kill(running.pid, "SIGKILL");
    await ended;
  }

  /** Removes all data of a stopped service: it begins anew. */
  async forget() {
    await rm(join(this.#folder, "data"), { recursive: true, force: true });
  }

  /** Sends JSON past the page, as other people and bots do. */
  async send(path, body, { method = "POST", headers = {} } = {}) {
    const response = await fetch(new URL(path, this.url), {
      method,
      headers: { "Content-Type": "application/json", ...headers },
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
