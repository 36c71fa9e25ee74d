// The real binary on a data directory of its own. A service owns the process that it starts and ends it by its id.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, readFile, rm, watch } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** Which token calls need; others are made as visitors make them. */
const NEEDED = [
  [/^\/api\/(stats|admin\/|queue\/(failed|retry|cancel|pause|resume)\b)/, "operator"],
  [/^\/api\/queue\//, "worker"],
];

/** How long anything may take before a test gives up on it, in ms. */
export const DEADLINE = 30_000;

/** One `repartee` process; `stop` ends it, `start` starts it again on the same data and the same ports. */
export class Service {
  #folder;
  #process = null;
  #env = {};
  #log = "";
  #printed = "";
  #http = "127.0.0.1:0";
  #grpc = "127.0.0.1:0";
  #tokens = {};

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

  /** Its folder; the data is in `data` below it. */
  get folder() {
    return this.#folder;
  }

  /** The file with the worker's token of the first start. */
  get workerTokenFile() {
    return join(this.#folder, "data", "worker-token");
  }

  /** The operator's token of the first start. */
  get operatorToken() {
    return this.#tokens.operator;
  }

  /** The worker's token of the first start. */
  get workerToken() {
    return this.#tokens.worker;
  }

  /** What the process prints for people, once it has printed this. */
  async printed(pattern) {
    while (!pattern.test(this.#printed)) await once(this.#process.stdout, "data");
    return this.#printed.match(pattern);
  }

  /** A new token of this role, once it is accepted: the service looks at its tokens every second. */
  async newToken(role, ...words) {
    const token = await this.token("new", "--role", role, ...words);
    const headers = { Authorization: `Bearer ${token}` };
    const calls = role === "worker" ? "api/queue/pending" : "api/stats";
    while ((await fetch(new URL(calls, this.url), { headers })).status === 403);
    return token;
  }

  /** Runs `repartee token …` on the data of this service, and gives what it prints. */
  async token(...words) {
    const command = ["token", ...words, "--data-dir", join(this.#folder, "data")];
    const { stdout } = await promisify(execFile)(join(process.env.REPARTEE_BIN_DIR, "repartee"), command);
    return stdout.trim();
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
      { stdio: ["ignore", "pipe", "pipe"], env: { REPARTEE_CLIENT_LIMITS: "off", ...process.env, ...this.#env } },
    );
    this.#printed = "";
    this.#process.stdout.on("data", (lines) => { this.#printed += lines; });
    this.#process.stderr.on("data", (lines) => { this.#log += lines; });
    const ended = once(this.#process, "exit").then(([code]) => {
      throw new Error(`repartee ended with ${code} before it was ready:\n${this.#log}`);
    });
    await Promise.race([seen, ended]);
    ended.catch(() => {});
    ({ http: this.#http, grpc: this.#grpc } = JSON.parse(await readFile(ready, "utf8")));
    for (const role of ["operator", "worker"]) {
      this.#tokens[role] = (await readFile(join(this.#folder, "data", `${role}-token`), "utf8")).trim();
    }
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

  /** Sends JSON past the page, as other people, bots and operators do: with their token if the call needs one. */
  async send(path, body, { method = "POST", headers = {} } = {}) {
    const url = new URL(path, this.url);
    const role = NEEDED.find(([calls]) => calls.test(url.pathname))?.[1];
    const response = await fetch(url, {
      method,
      headers: { "Content-Type": "application/json", ...(role && { Authorization: `Bearer ${this.#tokens[role]}` }), ...headers },
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
