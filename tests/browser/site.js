// A site of its own, on another origin than the service, with the strictest Content-Security-Policy that lets it load
// the comments: no inline script or style, no eval, no markup from text, nothing from anybody else.

import { createServer } from "node:http";
import { once } from "node:events";
import { readFile } from "node:fs/promises";

const FOLDER = new URL("./embed/", import.meta.url);
const TYPES = { html: "text/html; charset=utf-8", css: "text/css; charset=utf-8" };

export class Site {
  /** Where the service is; set once it is known. */
  service = "";
  /** The body that is served in place of the page's own comments, for tests of the element. */
  body = null;
  #server;

  static async start(t) {
    const site = new Site();
    site.#server = createServer((asked, answer) => site.#serve(asked, answer).catch(() => answer.writeHead(404).end()));
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    t.after(() => {
      site.#server.closeAllConnections();
      site.#server.close();
    });
    return site;
  }

  get origin() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  async #serve(asked, answer) {
    const name = asked.url === "/" ? "index.html" : asked.url.slice(1);
    const at = new URL(this.service).href.slice(0, -1);
    const from = new URL(this.service).origin;
    const policy = [
      "default-src 'none'", `script-src ${from}`, `connect-src ${from}`, "style-src 'self'", "base-uri 'none'", "form-action 'none'",
      "require-trusted-types-for 'script'", "trusted-types 'none'",
    ];
    let content = (await readFile(new URL(name, FOLDER), "utf8")).replace("REPARTEE", at);
    if (this.body !== null) content = content.replace(/<main>[^]*<\/main>/, this.body);
    answer.writeHead(200, { "Content-Type": TYPES[name.split(".").at(-1)], "Content-Security-Policy": policy.join("; ") });
    answer.end(content);
  }
}
