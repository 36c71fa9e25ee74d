// A server without a socket, for tests that turn the clock themselves: it keeps one log of changes and answers the calls
// of a follower by each way, or fails as it is told. Nothing in it waits.

import { mock } from "node:test";

/** The state of a message in the feed. */
export function message(id, seq, more = {}) {
  const bot = more.status ? { status: more.status, entity: "echo", aiUsername: "echo", aiColor: "default" } : null;
  return { id, timestamp: seq, seq, text: `text of ${id}`, username: "Ada", color: "default", replyTo: null, botParams: bot, ...more };
}

/** What a follower meets: `page`, `longPoll` and `stream` say how each way behaves now. */
export class FakeServer {
  /** "ok", "away" (no connection), a status, or for long-polls "cut", "held" and "at once". */
  page = "ok";
  longPoll = "ok";
  /** Also "held" (no head of an answer), "mute" (a head, no hello), "cut" (ends after its hello). */
  stream = "ok";
  retryAfter = null;
  /** False if the server does not hear of changes itself. */
  live = true;
  epoch = "a";
  log = [];
  calls = [];
  #waiting = new Set();
  #streams = new Set();

  /** Calls by their kind, in order, and forgets them. */
  taken() {
    return this.calls.splice(0).map((call) => call.kind);
  }

  get streams() {
    return this.#streams.size;
  }

  publish(...messages) {
    this.log.push(...messages);
    for (const stream of this.#streams) for (const one of messages) stream.send("message", one, this.#cursor(one.seq));
    for (const waiter of this.#waiting) waiter();
  }

  /** Every open stream gets this event. */
  say(type, data, id) {
    for (const stream of this.#streams) stream.send(type, data, id);
  }

  raw(text) {
    for (const stream of this.#streams) stream.write(text);
  }

  /** Every open stream ends. */
  cut() {
    for (const stream of [...this.#streams]) stream.end();
  }

  fetch = async (url, { method = "GET", headers = {}, body, signal } = {}) => {
    const { pathname, searchParams } = new URL(url);
    const kind = pathname.endsWith("/stream") ? "stream" : pathname.endsWith("/changes") ? (searchParams.has("wait") ? "longPoll" : "page") : "other";
    this.calls.push({ kind, pathname, query: Object.fromEntries(searchParams), method, headers, body });
    signal?.throwIfAborted();
    const mode = this[kind] ?? "ok";
    if (mode === "away") throw new TypeError("fetch failed");
    if (mode === "held") return aborted(signal);
    if (typeof mode === "number") return this.#refusal(mode);
    if (kind === "stream") return this.#open(searchParams.get("cursor"), signal);
    if (kind === "other") return this.answer({ method, pathname, searchParams, body });
    return this.#changes(searchParams.get("cursor"), kind === "longPoll", signal);
  };

  /** What other calls answer; a test puts its own here. */
  answer = () => json({}, 200);

  #cursor(seq) {
    return `${this.epoch}.${seq}`;
  }

  #refusal(status) {
    const headers = this.retryAfter === null ? {} : { "Retry-After": String(this.retryAfter) };
    return json({ title: "No", detail: `no: ${status}`, status }, status, headers);
  }

  async #changes(cursor, waits, signal) {
    const next = () => this.#cursor(this.log.at(-1)?.seq ?? 0);
    const said = this.live ? {} : { "X-Live": "false" };
    const [epoch, seq] = (cursor ?? "").split(".");
    const news = () => this.log.filter((one) => one.seq > Number(seq));
    if (waits && epoch === this.epoch && news().length === 0 && this.longPoll === "ok") {
      await Promise.race([aborted(signal), this.#change()]);
    }
    if (waits && this.longPoll === "cut") throw new TypeError("terminated");
    if (cursor === null || epoch !== this.epoch) {
      const reset = cursor !== null;
      return json({ messages: this.#newest(), next: next(), more: false, reset, ...(reset && { reason: "another log" }), serverTime: 0 }, 200, said);
    }
    return json({ messages: news(), next: next(), more: false, reset: false, serverTime: 0 }, 200, said);
  }

  /** Settles with the next change, or after 25 s of the test's clock. */
  #change() {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(done, 25_000);
      this.#waiting.add(done);
    });
  }

  #newest() {
    const newest = new Map(this.log.map((one) => [one.id, one]));
    return [...newest.values()].slice(-50);
  }

  #open(cursor, signal) {
    const streams = this.#streams;
    let stream;
    const body = new ReadableStream({
      start(controller) {
        const encoder = new TextEncoder();
        stream = {
          write: (text) => controller.enqueue(encoder.encode(text)),
          send: (type, data, id) => stream.write(`event: ${type}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`),
          end: () => {
            if (streams.delete(stream)) controller.close();
          },
        };
        streams.add(stream);
        signal?.addEventListener("abort", () => {
          if (streams.delete(stream)) controller.error(signal.reason);
        });
      },
      cancel: () => streams.delete(stream),
    });
    if (this.stream !== "mute") {
      stream.send("hello", { cursor: this.#cursor(this.log.at(-1)?.seq ?? 0) });
      const [epoch, seq] = cursor.split(".");
      if (epoch !== this.epoch) stream.send("reset", { reason: "another log" });
      else for (const one of this.log) if (one.seq > Number(seq)) stream.send("message", one, this.#cursor(one.seq));
      if (this.stream === "cut") stream.end();
    }
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }
}

export function json(value, status, headers = {}) {
  return new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json", ...headers } });
}

function aborted(signal) {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
}

/** A clock that the test turns. What was started settles before the clock goes on. */
export function turnTime(t) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const settle = async () => {
    for (let round = 0; round < 20; round += 1) await new Promise(setImmediate);
  };
  const turn = async (ms, step = 500) => {
    await settle();
    for (let at = 0; at < ms; at += step) {
      mock.timers.tick(step);
      await settle();
    }
  };
  return { settle, turn, now: () => Date.now() };
}
