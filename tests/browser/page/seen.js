// What people see of the list of comments over time: every state that it was drawn in, not only the last.

import assert from "node:assert/strict";

const LIFECYCLE = ["sending", "pending", "processing", "complete"];

/** From now on, keeps what the list shows each time that it is drawn. */
export function record(page) {
  return page.evaluate(() => {
    const list = document.querySelector("repartee-comments").shadowRoot.querySelector(".messages");
    const text = (line, part) => line.querySelector(part).textContent;
    window.seen = [];
    const note = () => window.seen.push([...list.children].map((line) => ({
      state: line.dataset.state,
      text: text(line, ".text"),
      name: text(line, ".name"),
      status: line.querySelector(".status").dataset.state,
    })));
    new MutationObserver(note).observe(list, { subtree: true, childList: true, attributes: true, characterData: true });
  });
}

/** All that was shown since `record`, oldest first: each time a list of lines with `state`, `text`, `name` and `status`. */
export function seen(page) {
  return page.evaluate(() => window.seen);
}

/** The statuses that the line with this text went through. A poll may pass over some, but none comes twice or too late. */
export async function assertWalk(page, text) {
  const shown = (await seen(page)).map((lines) => lines.find((line) => line.text === text)?.status);
  const statuses = shown.filter((status, at) => status && status !== shown[at - 1]);
  const steps = statuses.map((status) => LIFECYCLE.indexOf(status));
  assert.ok(steps.every((step, at) => step > (steps[at - 1] ?? -1)), `out of order: ${statuses.join(" → ")}`);
  assert.equal(statuses.at(-1), "complete");
}

/** Nobody ever saw one comment in two lines: what is said in these tests is said once, by one author. */
export async function assertNoDouble(page) {
  for (const lines of await seen(page)) {
    const said = lines.map(({ name, text }) => `${name}: ${text}`);
    assert.deepEqual(said, [...new Set(said)], "a line was shown twice");
  }
}
