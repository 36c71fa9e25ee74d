// A proxy in front of a service, as browsers meet them: it may cut streams, refuse ways, hold answers back, and it
// counts what comes through.

import { createServer, request } from "node:http";
import { once } from "node:events";

export class Proxy {
  /** Kinds of calls that are refused with 404: "stream", "wait". */
  refused = new Set();
  /** After this long, in ms, an event stream is cut; 0 never. */
  cutAfter = 0;
  cuts = 0;
  /** How many calls of each kind came: "stream", "wait" (a long-poll), "page" (a poll), "other". */
  counts = { stream: 0, wait: 0, page: 0, other: 0 };
  #server;
  #target;
  #open = new Set();

  static async start(t, service, settings = {}) {
    const proxy = Object.assign(new Proxy(), settings);
    proxy.#target = service;
    proxy.#server = createServer((asked, answer) => proxy.#pass(asked, answer));
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    t.after(() => proxy.#stop());
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}/`;
  }

  /** Cuts every stream that is open now. */
  cut() {
    for (const stream of [...this.#open]) stream.destroy();
  }

  /** Settles when a stream that is open now has ended. */
  closed() {
    return Promise.race([...this.#open].map((stream) => once(stream, "close")));
  }

  get openStreams() {
    return this.#open.size;
  }

  #pass(asked, answer) {
    const kind = kindOf(asked.url);
    this.counts[kind] += 1;
    if (this.refused.has(kind)) {
      answer.writeHead(404, { "Content-Type": "text/plain" }).end("this proxy does not do that");
      return;
    }
    // The page's own origin, so that it is not taken for a page of another site.
    const { host } = new URL(this.#target.url);
    const own = asked.headers.origin === this.url.slice(0, -1);
    const headers = { ...asked.headers, host, ...(own && { origin: `http://${host}` }) };
    const upstream = request(new URL(asked.url, this.#target.url), { method: asked.method, headers }, (came) => {
      answer.writeHead(came.statusCode, came.headers);
      came.pipe(answer);
      came.on("error", () => answer.destroy());
      if (kind === "stream") this.#watch(answer);
    });
    upstream.on("error", () => answer.destroy());
    answer.on("close", () => upstream.destroy());
    asked.pipe(upstream);
  }

  #watch(answer) {
    this.#open.add(answer);
    const cut = () => {
      this.cuts += 1;
      answer.destroy();
    };
    const timer = this.cutAfter ? setTimeout(cut, this.cutAfter) : null;
    answer.on("close", () => {
      clearTimeout(timer);
      this.#open.delete(answer);
    });
  }

  #stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

function kindOf(url) {
  const { pathname, searchParams } = new URL(url, "http://any");
  if (pathname === "/api/comments/stream") return "stream";
  if (pathname === "/api/comments/changes") return searchParams.has("wait") ? "wait" : "page";
  return "other";
}
