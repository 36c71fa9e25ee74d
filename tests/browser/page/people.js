// Many people in one domain, past the page: they post, edit and remove, several at the same time.

import assert from "node:assert/strict";

import { say } from "./world.js";

/** People who act at the same time. */
const AT_ONCE = 6;
/** The page keeps at least so many of the newest. */
const KEPT = 300;

export class People {
  #service;
  #count = 0;

  constructor(service) {
    this.#service = service;
  }

  /** So many comments are posted; every third is edited then, every sixth removed. */
  async talk(count) {
    let left = count;
    const person = async (name) => {
      while (left > 0) {
        left -= 1;
        await this.#act(name, this.#count += 1);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => person(`Person ${at}`)));
  }

  async #act(username, number) {
    const { id, editToken } = await say(this.#service, `number ${number}`, { username });
    const headers = { Authorization: `Bearer ${editToken}` };
    const change = (method, body) => this.#service.send(`/api/comments/${id}`, body, { method, headers });
    if (number % 3 === 0) await change("PATCH", { text: `number ${number}, edited` });
    if (number % 6 === 0) await change("DELETE");
  }
}

/** Keeps in mind whether one comment ever stood there twice. */
export function watchForDoubles(page) {
  return page.evaluate(() => {
    const list = document.querySelector("repartee-comments").shadowRoot.querySelector(".messages");
    window.doubles = 0;
    const look = () => {
      const ids = [...list.children].map((line) => line.dataset.id).filter((id) => id !== "");
      if (new Set(ids).size < ids.length) window.doubles += 1;
    };
    new MutationObserver(look).observe(list, { subtree: true, childList: true, attributes: true });
  });
}

/** The page shows what the server has, in its order, each once, and nothing else; at least the newest. */
export async function assertShowsAll(page, service) {
  const answer = await fetch(new URL("/api/comments?domain=lobby&limit=1000", service.url));
  const stored = (await answer.json()).map(({ id, text, deleted }) => [id, deleted ? "This comment was removed." : text]);
  const shown = await page.locator(".message").evaluateAll((lines) => lines.map((line) => [line.dataset.id, line.querySelector(".text").textContent]));
  assert.ok(shown.length >= Math.min(KEPT, stored.length), `only ${shown.length} of ${stored.length}`);
  assert.deepEqual(shown, stored.slice(-shown.length));
  assert.equal(await page.evaluate(() => window.doubles), 0, "times that a comment stood there twice");
}
