// The client as an npm package: packed, installed from its tarball, imported in Node, and known to TypeScript.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import ts from "typescript";

import { block } from "../readme/snippet.js";
import { DEADLINE, Service } from "../service.js";

const WEB = fileURLToPath(new URL("../../../rest-gateway/web/", import.meta.url));
const run = promisify(execFile);

/** A project with the tarball installed, without any registry. */
let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "repartee-package-"));
  const { stdout } = await run("npm", ["pack", WEB, "--pack-destination", folder, "--json"], { cwd: folder, timeout: DEADLINE });
  const [{ filename }] = JSON.parse(stdout);
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "project", private: true, type: "module" }));
  await run("npm", ["install", `./${filename}`, "--offline", "--no-audit", "--no-fund"], { cwd: folder, timeout: DEADLINE });
});
after(() => rm(folder, { recursive: true, force: true }));

/** The module that a line of the README imports from. */
const named = (language, heading) => block(heading, language).match(/from "([^"]+)"/)[1];

test("the lines of the client run in Node with the package, as the README says", async (t) => {
  const service = await Service.start(t);
  const forBrowsers = block("The client: live", "js");
  const name = named("ts", "The client: live");
  const lines = forBrowsers.replace(`"${named("js", "The client: live")}"`, `"${name}"`).replaceAll("http://127.0.0.1:8080/", service.url);
  assert.ok(lines.includes(`from "${name}"`));
  await writeFile(join(folder, "ask.js"), lines);
  const { stdout, stderr } = await run(process.execPath, ["ask.js"], { cwd: folder, timeout: DEADLINE });
  assert.deepEqual([stdout.split("\n").at(-2), stderr], ["Hello", ""]);
});

test("TypeScript finds the types of the package", async () => {
  const file = join(folder, "typed.ts");
  const check = async (text) => {
    await writeFile(file, text);
    const options = { strict: true, noEmit: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, types: [], lib: ["lib.es2022.d.ts", "lib.dom.d.ts"] };
    return ts.getPreEmitDiagnostics(ts.createProgram([file], options)).map((one) => ts.flattenDiagnosticMessageText(one.messageText, "\n"));
  };
  const lines = (id) => `import { Repartee, type Message } from "repartee-client";\nexport const edited: Promise<Message> = new Repartee("https://talk.example/").edit(${id}, "text");\n`;
  assert.deepEqual(await check(lines('"a"')), []);
  assert.equal((await check(lines("7"))).length, 1);
});

test("the package has every module that its own import, and nothing of the operator's page", async () => {
  const held = await readdir(join(folder, "node_modules/repartee-client"));
  assert.deepEqual(held.filter((name) => /^(admin|tables|token|app|index|style)/.test(name)), []);
  for (const name of held.filter((one) => one.endsWith(".js"))) {
    const source = await readFile(join(folder, "node_modules/repartee-client", name), "utf8");
    for (const [, other] of source.matchAll(/(?:from|import) ?\(?"\.\/([^"]+)"/g)) assert.ok(held.includes(other), `${name} imports ${other}`);
  }
});
