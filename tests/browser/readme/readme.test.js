// The snippets of the README, run as they are printed there; only the address is that of the test's own server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";

import { DEADLINE, Service } from "../service.js";

const run = promisify(execFile);
const readme = await readFile(new URL("../../../README.md", import.meta.url), "utf8");

/** The first block of code in a language under a heading, made to speak to a service. */
function snippet(heading, language, service) {
  const section = readme.split(/^## /m).find((part) => part.startsWith(heading));
  assert.ok(section, `the README has a section "${heading}"`);
  const block = section.match(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "m"));
  assert.ok(block, `the section "${heading}" has a block of ${language}`);
  assert.match(block[1], /http:\/\/127\.0\.0\.1:8080\//);
  return block[1].replaceAll("http://127.0.0.1:8080/", service.url);
}

test("the lines of curl do what they say", async (t) => {
  const service = await Service.start(t);
  const lines = snippet("In ten lines of curl", "sh", service).replaceAll("curl -s", "curl -sS --fail-with-body");
  const { stdout } = await run("bash", ["-euc", lines], { timeout: DEADLINE });
  assert.match(stdout, /"status":"success"/);
  assert.match(stdout, /"platformOnly":\[\]/);
  assert.match(stdout, /"changesSinceStart"/);
});

test("the lines of fetch show the bot's answer", async (t) => {
  const service = await Service.start(t);
  const lines = snippet("In ten lines of browser", "js", service);
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", lines], { timeout: DEADLINE });
  assert.equal(stdout, "Hello\n");
});
