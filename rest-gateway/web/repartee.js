// Repartee's client for browsers and Node: post, read, and follow a feed. A plain module without a build step; its types
// are in repartee.d.ts. Owns the calls and their errors; changes.js owns how a feed is followed.

import { Changes } from "./changes.js";

/** A call without an answer for this long, in ms, has failed. */
const PATIENCE = 15_000;
const STREAM = "text/event-stream";
/** Pauses before a comment is sent again, in ms. */
const RESEND = [500, 1_500, 4_000];
/** Where the server asks for a longer pause than this, in ms, the caller is told instead. */
const LONGEST_PAUSE = 5_000;
/** Answers after which sending again under the same key may help: nothing was stored, or it is not known. */
const PASSING = new Set([408, 429, 500, 502, 503, 504]);

/** A refusal by the server, in its own words. */
export class ReparteeError extends Error {
  /**
   * @param {Response} response
   * @param {object|null} problem its `application/problem+json`, where there is one
   */
  constructor(response, problem) {
    const fields = Array.isArray(problem?.errors) ? problem.errors : [];
    const whole = String(problem?.detail ?? problem?.title ?? `The server answered ${response.status}.`);
    const more = fields.filter(({ detail }) => !whole.includes(detail)).map(({ pointer, detail }) => `${pointer}: ${detail}`);
    super([whole, ...more].join("\n"));
    this.name = "ReparteeError";
    this.status = response.status;
    this.fields = fields;
    this.reason = problem?.reason ?? null;
    this.retryAfter = Number(response.headers.get("Retry-After") ?? 0) * 1_000 || 0;
  }
}

/** A random key for one comment: whoever sends the comment again under it never stores it twice. */
export function newKey() {
  // `crypto.randomUUID` is missing where a page is not served over TLS or from this machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One server, by its address. */
export class Repartee {
  #base;
  #parts;
  #visitor;

  /**
   * @param {string|URL} base where the server is, such as `https://talk.example/`; in a page also a relative address
   * @param {object} [parts] `visitor`, the secret by which the server knows whose conversations are whose: a page of the
   *   server's own has a cookie for it, any other one is given a random secret that the browser keeps. And replacements for
   *   tests: `fetch`, `now` (a clock in ms that never goes back), `random`
   */
  constructor(base, { visitor, ...parts } = {}) {
    this.#base = new URL(base, globalThis.location?.href);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    this.#parts = {
      fetch: (url, options) => fetch(url, options),
      now: () => performance.now(),
      random: Math.random,
      ...parts,
    };
    const own = globalThis.location?.origin === this.#base.origin;
    this.#visitor = visitor ?? (own ? null : secretFor(this.#base.origin));
  }

  /** Stores a comment. It is sent again where the network or the server fails in passing, always under the same key. */
  async post(comment, { key = newKey(), signal } = {}) {
    const options = {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key, ...this.#asVisitor() },
      body: JSON.stringify(comment, asStored),
    };
    for (const pause of [...RESEND, null]) {
      try {
        const response = await this.#call("api/comments", {}, { ...options, signal });
        return await response.json();
      } catch (error) {
        const known = error instanceof ReparteeError && !PASSING.has(error.status);
        if (known || signal?.aborted || pause === null || error.retryAfter > LONGEST_PAUSE) throw error;
        await sleep(Math.max(pause, error.retryAfter ?? 0), signal);
      }
    }
    throw new Error("unreachable: the last pause is null");
  }

  /** The last messages of a conversation, oldest first. */
  async conversation({ signal, ...who }) {
    return (await this.#call("api/conversation", who, { headers: this.#asVisitor(), signal })).json();
  }

  /** One page of messages: those after a timestamp, those before another message, or the newest; oldest first. */
  async messages({ signal, ...which } = {}) {
    const response = await this.#call("api/comments", which, { signal });
    return { messages: await response.json(), more: response.headers.get("X-More") === "true" };
  }

  /** Follows a feed: an async iterable of what happens in it, from now on or from a cursor. */
  changes({ domain, cursor, limit, ways, drafts, signal } = {}) {
    const server = {
      ...this.#parts,
      page: async (query, options) => (await this.#call("api/comments/changes", { domain, limit, ...query }, options)).json(),
      stream: async (query, options) =>
        (await this.#call("api/comments/stream", { domain, ...query }, { ...options, headers: { Accept: STREAM } })).body,
    };
    return new Changes(server, { cursor, ways, drafts, signal });
  }

  /** What a conversation belongs by, where there is no cookie for it. */
  #asVisitor() {
    return this.#visitor === null ? {} : { "X-Visitor": this.#visitor };
  }

  /** One call; `patience`, in ms, is for the whole answer, of a stream for its head. */
  async #call(path, query, { signal, patience = PATIENCE, ...options }) {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
    }
    const deadline = within(patience, signal);
    let streams = false;
    try {
      // Never from the browser's cache: it may show an answer that is one call old.
      const asked = { cache: "no-store", credentials: "same-origin", ...options, signal: deadline.signal };
      const response = await this.#parts.fetch(url, asked);
      if (!response.ok) throw new ReparteeError(response, await response.json().catch(() => null));
      if (options.headers?.Accept !== STREAM) return await whole(response);
      streams = true;
      return response;
    } finally {
      deadline.clear(streams);
    }
  }
}

/** The secret of this browser towards a server; a new one where the browser keeps nothing. */
function secretFor(origin) {
  const name = `repartee.visitor ${origin}`;
  const fresh = newKey() + newKey();
  try {
    const kept = localStorage.getItem(name);
    if (kept === null) localStorage.setItem(name, fresh);
    return kept ?? fresh;
  } catch {
    return fresh;
  }
}

/** Text as the server takes it: without halves of characters, and names in NFC, the form in which they are kept. */
function asStored(name, value) {
  if (typeof value !== "string") return value;
  const whole = value.toWellFormed?.() ?? value;
  return name === "text" ? whole : whole.normalize("NFC");
}

/** The response with its body read, so that a deadline covers the body too. */
async function whole(response) {
  const text = await response.text();
  return { headers: response.headers, json: () => JSON.parse(text) };
}

/**
 * A signal that is aborted after `ms` or with `outer`, whichever is first. `clear` ends the first, and the second too
 * unless something `goesOn`: a listener for each call would stay with a signal that lives for days.
 */
function within(ms, outer) {
  const controller = new AbortController();
  const abort = () => controller.abort(outer.reason);
  if (outer?.aborted) abort();
  outer?.addEventListener("abort", abort, { once: true });
  const late = () => controller.abort(new DOMException(`no answer within ${ms} ms`, "TimeoutError"));
  const timer = setTimeout(late, ms);
  const clear = (goesOn) => {
    clearTimeout(timer);
    if (!goesOn) outer?.removeEventListener("abort", abort);
  };
  return { signal: controller.signal, clear };
}

/** Waits for `ms`; rejects once `signal` is aborted. */
function sleep(ms, signal) {
  return new Promise((resume, reject) => {
    const ended = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", ended);
      if (signal?.aborted) reject(signal.reason);
      else resume();
    };
    const timer = setTimeout(ended, ms);
    signal?.addEventListener("abort", ended, { once: true });
  });
}
