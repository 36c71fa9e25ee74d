// The lines of the README that start a worker, the small one and the whole one of each language, run in a copy of what they
// need, as after a clone: only addresses are those of the test's own server.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { DEADLINE, Service } from "../service.js";
import { blocks, readme } from "./snippet.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
/** For each language whether `tests/run` could install what its worker needs. */
const READY = {
  Python: "REPARTEE_PYTHON" in process.env,
  Node: "REPARTEE_NODE_WORKERS" in process.env,
  Go: "REPARTEE_GO_WORKERS" in process.env,
};
/** How long the installation of packages may take, in ms. */
const INSTALLED = 10 * 60_000;

for (const [language, ready] of Object.entries(READY)) {
  const skip = !ready && `what a worker in ${language} needs is not installed`;
  test(`the lines about a worker in ${language} start two that answer`, { skip, timeout: INSTALLED }, async (t) => {
    const service = await Service.start(t);
    const kept = (path) => !/node_modules|tests\/go\/repartee|__pycache__/.test(path);
    for (const part of ["buf.yaml", "proto", `tests/${language.toLowerCase()}`]) {
      await cp(join(root, part), join(service.folder, part), { recursive: true, filter: kept });
    }
    const [install, ...starts] = blocks(`A worker in ${language}`, "sh");
    assert.equal(starts.length, 2, "one block installs, one starts the small worker, one the whole one");
    const installed = run(t, service.folder, install);
    assert.equal((await once(installed.process, "close"))[0], 0, installed.said());
    for (const start of starts) {
      assert.match(start, / 127\.0\.0\.1:50051 /);
      const worker = run(t, service.folder, start.replaceAll("127.0.0.1:50051", new URL(service.queueUrl).host));
      const closed = once(worker.process, "close");
      const ended = closed.then(([code]) => assert.fail(`it ended with ${code}:\n${worker.said()}`));
      const question = { domain: "lobby", username: "Ann", color: "200120040", text: "Is anybody there?", botParams: { entity: "shout" } };
      const { id } = await service.send("api/comments", question);
      await Promise.race([ended, answered(service, id)]);
      ended.catch(() => {});
      process.kill(-worker.process.pid, "SIGKILL");
      await closed;
    }
  });
}

test("each worker has as many lines as the README says", async () => {
  const told = [...readme.matchAll(/\]\((tests\/[^)]+)\) is [^.:]*?in\s(\d+)\slines/g)];
  assert.equal(told.length, 2 * Object.keys(READY).length);
  for (const [, path, lines] of told) {
    const source = await readFile(join(root, path), "utf8");
    assert.equal(source.split("\n").length - 1, Number(lines), path);
  }
});

/** Runs lines of the shell, with all that they start in a group of its own, which ends with the test. */
function run(t, cwd, lines) {
  const shell = spawn("bash", ["-euc", lines], { cwd, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => shell.exitCode === null && shell.signalCode === null && process.kill(-shell.pid, "SIGKILL"));
  let said = "";
  for (const stream of [shell.stdout, shell.stderr]) stream.on("data", (words) => { said += words; });
  return { process: shell, said: () => said };
}

/** Settles once the message has the right reply. */
async function answered(service, id) {
  let url = new URL(`/api/comments/changes?domain=lobby&wait=25`, service.url);
  for (;;) {
    const page = await (await fetch(url, { signal: AbortSignal.timeout(DEADLINE) })).json();
    const reply = page.messages.find((message) => message.replyTo === id);
    if (reply) return assert.equal(reply.text, "IS ANYBODY THERE?");
    url = new URL(`/api/comments/changes?domain=lobby&wait=25&cursor=${page.next}`, service.url);
  }
}
