// Compares the client's types with the server's document, by the TypeScript compiler.

import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

/** What has to be the same: the name of a type of the client, and where the document has it. */
const SAME = {
  Message: 'wire.components["schemas"]["Message"]',
  BotParams: 'wire.components["schemas"]["BotParams"]',
  NewComment: 'wire.components["schemas"]["NewComment"]',
  Posted: 'wire.components["schemas"]["Posted"]',
  ChangesPage: 'wire.components["schemas"]["ChangesPage"]',
  Room: 'wire.components["schemas"]["Room"]',
  RoomsPage: 'wire.components["schemas"]["RoomsPage"]',
  Status: 'wire.components["schemas"]["Status"]',
};
/** What each call of the client sends: its own options without the signal, and the query of the document. */
const QUERIES = {
  messages: '"/api/comments"',
  conversation: '"/api/conversation"',
  changes: '"/api/comments/changes"',
};

/**
 * Reads the server's OpenAPI document; the answer tells what differs from it in the client's types, in the compiler's
 * words, nothing where they agree.
 * @param {object} document
 * @returns {Promise<(types: string) => string[]>}
 */
export async function against(document) {
  // Which fields go together is no matter of types.
  const { allOf: _, ...comment } = document.components.schemas.NewComment;
  document = { ...document, components: { ...document.components, schemas: { ...document.components.schemas, NewComment: comment } } };
  const wire = astToString(await openapiTS(document));
  const options = { strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, types: [] };
  const parsed = new Map();
  return (types) => {
    const files = { "/wire.d.ts": wire, "/repartee.d.ts": types, "/check.ts": check() };
    const host = ts.createCompilerHost(options);
    const { fileExists, readFile, getSourceFile } = host;
    host.fileExists = (name) => name in files || fileExists(name);
    host.readFile = (name) => files[name] ?? readFile(name);
    // The same sources are parsed once: what changes is the client's types.
    host.getSourceFile = (name, version) => {
      const key = name in files ? name + files[name] : name;
      if (!parsed.has(key)) parsed.set(key, name in files ? ts.createSourceFile(name, files[name], version) : getSourceFile(name, version));
      return parsed.get(key);
    };
    const found = ts.getPreEmitDiagnostics(ts.createProgram(Object.keys(files), options, host));
    return found.map((one) => {
      const line = one.file?.text.slice(one.start).split("\n")[0] ?? "";
      return `${ts.flattenDiagnosticMessageText(one.messageText, "\n")} at ${line}`;
    });
  };
}

/** Types that differ in a field, in its type, or in whether it must be there, are not the same. */
function check() {
  const same = Object.entries(SAME).map(([name, path]) => `export const ${name}: Same<Plain<client.${name}>, Plain<${path}>> = true;`);
  const query = (path) => `NonNullable<wire.paths[${path}]["get"]["parameters"]["query"]>`;
  const queries = Object.entries(QUERIES).map(([call, path]) =>
    `export const ${call}: Fits<keyof Omit<Sent<"${call}">, "signal" | "ways" | "drafts">, keyof ${query(path)}> = true;\n`
    + `export const ${call}Types: Fits<Omit<Sent<"${call}">, "signal" | "ways" | "drafts">, Partial<${query(path)}>> = true;`);
  return `
    import type * as client from "./repartee";
    import type * as wire from "./wire";
    type Plain<T> = T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
    type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
    type Fits<A, B> = [A] extends [B] ? true : false;
    type Sent<C extends keyof client.Repartee> = NonNullable<Parameters<client.Repartee[C]>[0]>;
    ${same.join("\n")}
    ${queries.join("\n")}
  `;
}
