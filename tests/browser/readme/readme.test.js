// The snippets of the README, run as they are printed there; only the address is that of the test's own server.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { DEADLINE, Service } from "../service.js";
import { block, snippet } from "./snippet.js";

const run = promisify(execFile);
test("the lines of curl do what they say", async (t) => {
  const service = await Service.start(t);
  const lines = snippet("In ten lines of curl", "sh", service).replaceAll("curl -s", "curl -sS --fail-with-body");
  const { stdout } = await run("bash", ["-euc", lines], { timeout: DEADLINE, cwd: service.folder });
  assert.match(stdout, /"status":"success"/);
  assert.match(stdout, /"platformOnly":\[\]/);
  assert.match(stdout, /"changesSinceStart"/);
});

test("the lines about tokens make one, list it and revoke it", async (t) => {
  const service = await Service.start(t);
  const lines = block("Who may do what", "sh").replace(/revoke [0-9a-f]{12}/, 'revoke "$(cut -d_ -f2 helper-token)"');
  const env = { ...process.env, PATH: `${process.env.REPARTEE_BIN_DIR}:${process.env.PATH}` };
  const { stdout } = await run("bash", ["-euc", lines], { timeout: DEADLINE, cwd: service.folder, env });
  assert.match(stdout, /^[0-9a-f]{12} +worker .* helper +gpu 2$/m);
  assert.match(stdout, /^revoked [0-9a-f]{12}/m);
  const token = await readFile(join(service.folder, "helper-token"), "utf8");
  assert.match(token, /^rpt_[0-9a-f]{12}_[0-9a-f]{64}\n$/);
  assert.ok(!stdout.includes(token.trim()));
});

test("the lines of fetch show the bot's answer", async (t) => {
  const service = await Service.start(t);
  const lines = snippet("In ten lines of browser", "js", service);
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", lines], { timeout: DEADLINE });
  assert.equal(stdout, "Hello\n");
});

test("the lines of long-polling show what is said until the last word", async (t) => {
  const service = await Service.start(t);
  const lines = snippet("Live by long-poll", "js", service);
  const running = spawn(process.execPath, ["--input-type=module", "--eval", lines], { timeout: DEADLINE });
  let stdout = "";
  running.stdout.on("data", (said) => { stdout += said; });
  const ended = once(running, "exit");
  const say = (text) => service.send("api/comments", { domain: "lobby", username: "Ann", color: "001001001", text });
  // Once it shows what is said, it follows; what was said before it came is not shown.
  while (!stdout.includes("Hello \n") && running.exitCode === null) await say("Hello");
  await say("Goodbye");
  assert.deepEqual(await ended, [0, null]);
  assert.ok(stdout.endsWith("Goodbye \n"), stdout);
});

test("the lines of the client show the bot's answer", async (t) => {
  const service = await Service.start(t);
  const lines = snippet("The client: live", "js", service);
  const client = new URL("../../../rest-gateway/web/repartee.js", import.meta.url).href;
  // Node loads modules from files, browsers from the server: it is the same module.
  const here = lines.replace(new URL("repartee.js", service.url).href, client);
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", here], { timeout: DEADLINE });
  assert.equal(stdout.split("\n").at(-2), "Hello");
});
