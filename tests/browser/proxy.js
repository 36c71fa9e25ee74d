// A proxy in front of a service, as browsers meet them: it may cut streams, refuse ways, hold back what it passes on, and
// it counts what comes through.

import { createServer, request } from "node:http";
import { once } from "node:events";

export class Proxy {
  /** Kinds of calls that are refused with 404: "stream", "wait". */
  refused = new Set();
  /** Kinds of calls that it answers itself, with `{}` and 200, as portals do that ask for a password first. */
  answered = new Set();
  /** Below this path the service is served, which knows nothing of it; everything else is 404. */
  under = "/";
  /** What was asked for outside of that path. */
  strays = [];
  /** After this long, in ms, an event stream is cut; 0 never. */
  cutAfter = 0;
  cuts = 0;
  /** How many calls of each kind came: "stream", "wait" (a long-poll), "page" (a poll), "post" (a comment), "other". */
  counts = { stream: 0, wait: 0, page: 0, post: 0, other: 0 };
  /** The idempotency key of each comment that came, in order. */
  keys = [];
  #server;
  #target;
  /** @type {Map<import("node:http").ServerResponse, import("node:http").IncomingMessage>} open streams and their sources */
  #open = new Map();
  /** @type {Hold[]} for the next comments, in order */
  #holds = [];

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
    return `${this.origin}${this.under}`;
  }

  get origin() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Cuts every stream that is open now. */
  cut() {
    for (const stream of [...this.#open.keys()]) stream.destroy();
  }

  /** Settles when a stream that is open now has ended. */
  closed() {
    return Promise.race([...this.#open.keys()].map((stream) => once(stream, "close")));
  }

  /** Streams that are open now pass on nothing more. */
  freeze() {
    for (const source of this.#open.values()) source.pause();
  }

  /** Holds back one of the next comments, in the order of the calls: its "request", or the "answer" to it. */
  hold(part) {
    const hold = new Hold(part);
    this.#holds.push(hold);
    return hold;
  }

  get openStreams() {
    return this.#open.size;
  }

  #pass(asked, answer) {
    if (!asked.url.startsWith(this.under)) {
      this.strays.push(asked.url);
      answer.writeHead(404).end();
      return;
    }
    asked.url = `/${asked.url.slice(this.under.length)}`;
    const kind = kindOf(asked);
    this.counts[kind] += 1;
    if (kind === "post") this.keys.push(asked.headers["idempotency-key"]);
    const hold = kind === "post" ? this.#holds.shift() : undefined;
    if (this.refused.has(kind)) {
      answer.writeHead(404, { "Content-Type": "text/plain" }).end("this proxy does not do that");
      return;
    }
    if (this.answered.has(kind)) {
      answer.writeHead(200, { "Content-Type": "application/json" }).end("{}");
      return;
    }
    if (hold?.part === "request") hold.take(answer, () => this.#forward(asked, answer, kind));
    else this.#forward(asked, answer, kind, hold);
  }

  #forward(asked, answer, kind, hold) {
    // The page's own origin, so that it is not taken for a page of another site.
    const { host } = new URL(this.#target.url);
    const own = asked.headers.origin === this.origin;
    const headers = { ...asked.headers, host, ...(own && { origin: `http://${host}` }) };
    const upstream = request(new URL(asked.url, this.#target.url), { method: asked.method, headers }, (came) => {
      came.on("error", () => answer.destroy());
      const pass = () => {
        answer.writeHead(came.statusCode, came.headers);
        came.pipe(answer);
        if (kind === "stream") this.#watch(answer, came);
      };
      hold ? hold.take(answer, pass) : pass();
    });
    upstream.on("error", () => answer.destroy());
    answer.on("close", () => upstream.destroy());
    asked.pipe(upstream);
  }

  #watch(answer, source) {
    this.#open.set(answer, source);
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

/** Something that a proxy does not pass on yet. */
class Hold {
  #taken;
  #answer;
  #pass;

  constructor(part) {
    this.part = part;
    /** Settles once the proxy has what is held back. */
    this.reached = new Promise((resolve) => { this.#taken = resolve; });
  }

  take(answer, pass) {
    this.#answer = answer;
    this.#pass = pass;
    this.#taken();
  }

  /** Passes it on. */
  release() {
    this.#pass();
  }

  /** Loses it, with its connection. */
  cut() {
    this.#answer.destroy();
  }
}

function kindOf({ method, url }) {
  const { pathname, searchParams } = new URL(url, "http://any");
  if (pathname === "/api/comments" && method === "POST") return "post";
  if (pathname === "/api/comments/stream") return "stream";
  if (pathname === "/api/comments/changes") return searchParams.has("wait") ? "wait" : "page";
  return "other";
}
