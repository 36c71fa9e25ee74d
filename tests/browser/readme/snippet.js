// The snippets of the README, as they are printed there.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

/** All of it. */
export const readme = await readFile(new URL("../../../README.md", import.meta.url), "utf8");

/** All blocks of code in a language under a heading. */
export function blocks(heading, language) {
  const section = readme.split(/^## /m).find((part) => part.startsWith(heading));
  assert.ok(section, `the README has a section "${heading}"`);
  const found = section.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm"));
  return Array.from(found, ([, lines]) => lines);
}

/** The first of them. */
export function block(heading, language) {
  const [first] = blocks(heading, language);
  assert.ok(first, `the section "${heading}" has a block of ${language}`);
  return first;
}

/** The same, made to speak to a service. */
export function snippet(heading, language, service) {
  const lines = block(heading, language);
  assert.match(lines, /http:\/\/127\.0\.0\.1:8080\//);
  return lines.replaceAll("http://127.0.0.1:8080/", service.url);
}
