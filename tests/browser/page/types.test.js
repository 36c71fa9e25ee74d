// The client's types say what the server's document says.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import * as client from "../../../rest-gateway/web/repartee.js";
import { Service } from "../service.js";
import { against } from "../types.js";

const types = await readFile(new URL("../../../rest-gateway/web/repartee.d.ts", import.meta.url), "utf8");

test("the types of the client are those of /openapi.json, and differences are found", async (t) => {
  const service = await Service.start(t);
  const document = await (await fetch(new URL("/openapi.json", service.url))).json();
  const differences = await against(document);
  assert.deepEqual(differences(types), []);

  const changed = (before, after) => {
    assert.ok(types.includes(before), before);
    return differences(types.replace(before, after));
  };
  for (const [before, after, named] of [
    ["  eqScore: number;\n", "", /Message/],
    ["  replyTo: string | null;", "  replyTo: string;", /Message/],
    ["  deleted?: boolean;", "  deleted: boolean;", /Message/],
    ["  attempts: number;", "  attempts: string;", /BotParams/],
    ["  priority?: number | null;", "", /NewComment/],
    ['"pending" | "processing"', '"pending"', /Status/],
    ["  editToken: string;", "", /Posted/],
    ["  serverTime: number;", "  serverTime: Date;", /ChangesPage/],
    ["    beforeId?: string;", "    upto?: string;", /messages/],
    ["    aiColor: string;", "    aiColor: number;", /conversation/],
  ]) {
    const found = changed(before, after);
    assert.ok(found.some((one) => named.test(one)), `${before.trim()} → ${after.trim()}: ${found}`);
  }
});

test("the module has what the types say", () => {
  const named = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(Object.keys(client).sort(), named.sort());
  const within = (name) => types.slice(types.indexOf(`export class ${name} {`)).split(/^}/m)[0];
  const methods = [...within("Repartee").matchAll(/^ {2}(\w+)\(/gm)].map(([, name]) => name);
  assert.deepEqual(Object.getOwnPropertyNames(client.Repartee.prototype).sort(), methods.sort());
});
