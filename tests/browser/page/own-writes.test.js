// What a page writes with a bare `fetch` is in its next list: no cache of the browser shows the one of before.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Service, newContext, openTab, pageOf, startBrowser } from "./world.js";

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

test("a list right after a post, an edit or a deletion shows it, by fetch as it is", async (t) => {
  const service = await Service.start(t);
  const page = await openTab(await newContext(t, browser), pageOf(service));
  const seen = await page.evaluate(async () => {
    const list = async () => (await fetch("api/comments?domain=own")).json();
    const send = async (method, path, body, headers = {}) => {
      const options = { method, headers: { "Content-Type": "application/json", ...headers } };
      if (body) options.body = JSON.stringify(body);
      return (await fetch(path, options)).json();
    };
    const rounds = [];
    await list();
    for (let number = 0; number < 4; number += 1) {
      const text = `Comment ${number}.`;
      const { id, editToken } = await send("POST", "api/comments", { domain: "own", username: "Ada", color: "001001001", text });
      const posted = (await list()).some((comment) => comment.text === text);
      const authorization = { Authorization: `Bearer ${editToken}` };
      await send("PATCH", `api/comments/${id}`, { text: `${text} Edited.` }, authorization);
      const edited = (await list()).some((comment) => comment.text === `${text} Edited.`);
      await send("DELETE", `api/comments/${id}`, null, authorization);
      const deleted = (await list()).every((comment) => !comment.text.startsWith(text));
      rounds.push({ posted, edited, deleted });
    }
    return rounds;
  });
  assert.deepEqual(seen, Array(4).fill({ posted: true, edited: true, deleted: true }));
  assert.deepEqual(page.complaints, []);
});
