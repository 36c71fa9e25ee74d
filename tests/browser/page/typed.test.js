// A typed client in TypeScript, generated from the document that the gateway serves, compiled, and used against that gateway.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

import { Service } from "../service.js";

const OPTIONS = {
  strict: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: [],
  lib: ["lib.es2023.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
};

/** Compiles a file; the answer tells what is wrong with it, in the compiler's words. */
function compile(file) {
  const program = ts.createProgram([file], OPTIONS);
  const { diagnostics } = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

test("what is written to the types of the document compiles, and does at the gateway what they say", async (t) => {
  const service = await Service.start(t, { REPARTEE_DEMO_BOT: "false" });
  const folder = await mkdtemp(join(tmpdir(), "repartee-typed-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const here = (path) => fileURLToPath(new URL(path, import.meta.url));
  await symlink(here("../node_modules"), join(folder, "node_modules"));
  const document = await (await fetch(new URL("/openapi.json", service.url))).json();
  await writeFile(join(folder, "wire.d.ts"), astToString(await openapiTS(document)));
  await writeFile(join(folder, "package.json"), '{"type": "module"}');
  const uses = await readFile(here("../typed/use.ts"), "utf8");
  const file = join(folder, "use.ts");

  for (const [right, wrong, told] of [
    ['text: "Hello" }', "text: 5 }", /number/],
    ["posted.editToken", "posted.edit_token", /edit_token/],
    ['botParams: { entity: "helper" }', "botParams: {}", /entity/],
    ["leaseToken: claimed.lease.token, ", "", /leaseToken|workerId/],
  ]) {
    assert.ok(uses.includes(right), right);
    await writeFile(file, uses.replace(right, wrong));
    const found = compile(file);
    assert.ok(found.some((one) => told.test(one)), `${right} → ${wrong}: ${found}`);
  }
  await writeFile(file, uses);
  assert.deepEqual(compile(file), []);

  const { use } = await import(pathToFileURL(join(folder, "use.js")));
  assert.deepEqual(await use(service.url.slice(0, -1), service.workerToken), {
    listed: [true],
    first: ["Hello"],
    edited: "Hello, all",
    removed: true,
    last: true,
    claimed: true,
    completed: true,
    answered: "complete",
    problem: { status: 400, pointers: ["/text"] },
  });
});
