// Repartee's client for browsers and Node: post, read, and follow a feed. A plain module without a build step; its types
// are in repartee.d.ts. Owns the calls and their errors; changes.js owns how a feed is followed.

import { Changes } from "./changes.js";
import { EditTokens } from "./edits.js";
import { expected, isListOfMessages, isMessage, isPage, isPosted, wellFormed } from "./shapes.js";

/** A call without an answer for this long, in ms, has failed. */
const PATIENCE = 15_000;
/** For this long, in ms, a list is asked for with what a comment has reached, so that no gateway that is behind leaves it out. */
const REACHED = 10_000;
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
  #edits;
  #trace;
  /** What a write has reached, and until when lists have to be asked for with it. */
  #reached = null;

  /**
   * @param {string|URL} base where the server is, such as `https://talk.example/`; in a page also a relative address
   * @param {object} [parts] `visitor`, the secret by which the server knows whose conversations are whose: a page of the
   *   server's own has a cookie for it, any other one is given a random secret that the browser keeps. `trace`, a function
   *   that gives the W3C `traceparent` of what the page is doing, or nothing: comments are then posted, edited and removed as
   *   parts of that trace. And replacements for tests: `fetch`, `now` (a clock in ms that never goes back), `random`
   */
  constructor(base, { visitor, trace, ...parts } = {}) {
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
    this.#edits = new EditTokens(this.#base);
    this.#trace = trace;
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
        const posted = expected("a stored comment", isPosted, response.json());
        this.#edits.keep(posted.id, posted.editToken);
        return posted;
      } catch (error) {
        const known = error instanceof ReparteeError && !PASSING.has(error.status);
        if (known || signal?.aborted || pause === null || error.retryAfter > LONGEST_PAUSE) throw error;
        await sleep(Math.max(pause, error.retryAfter ?? 0), signal);
      }
    }
    throw new Error("unreachable");
  }

  /** True if the comment was written here, so that it can be changed, removed and stopped. */
  owns(id) {
    return this.#edits.get(id) !== undefined;
  }

  /** Changes the text of an own comment. */
  edit(id, text, options) {
    return this.#change(id, `api/comments/${id}`, { ...options, method: "PATCH", body: { text } });
  }

  /** Removes an own comment: its text goes, a tombstone stays. */
  async remove(id, options) {
    const message = await this.#change(id, `api/comments/${id}`, { ...options, method: "DELETE" });
    this.#edits.forget(id);
    return message;
  }

  /** Takes an own comment back from its bot, which stops writing; it stays, as failed. */
  cancel(id, options) {
    return this.#change(id, "api/queue/cancel", { ...options, method: "POST", body: { messageId: id } });
  }

  /** The last messages of a conversation, oldest first. */
  async conversation({ signal, ...who }) {
    const response = await this.#call("api/conversation", who, { headers: this.#asVisitor(), signal });
    return expected("a conversation", isListOfMessages, response.json());
  }

  /** One page of messages: those after a timestamp, those before another message, or the newest; oldest first. */
  async messages({ signal, ...which } = {}) {
    const reached = this.#reached?.until > this.#parts.now() ? this.#reached.position : null;
    const response = await this.#call("api/comments", { ...which, reached }, { signal });
    return { messages: expected("a list", isListOfMessages, response.json()), more: response.headers.get("X-More") === "true" };
  }

  /** Follows a feed: an async iterable of what happens in it, from now on or from a cursor. */
  changes({ domain, cursor, limit, ways, drafts, signal } = {}) {
    const server = {
      ...this.#parts,
      page: async (query, options) => {
        const response = await this.#call("api/comments/changes", { domain, limit, ...query }, options);
        const page = expected("a page", isPage, response.json());
        return { ...page, live: response.headers.get("X-Live") !== "false" };
      },
      stream: async (query, options) =>
        (await this.#call("api/comments/stream", { domain, ...query }, { ...options, headers: { Accept: STREAM } })).body,
    };
    return new Changes(server, { cursor, ways, drafts, signal });
  }

  /** A change that needs the edit token of a message; gives its new state. */
  async #change(id, path, { editToken = this.#edits.get(id), method, body, signal } = {}) {
    const headers = { "Content-Type": "application/json", ...(editToken && { Authorization: `Bearer ${editToken}` }) };
    const response = await this.#call(path, {}, { method, headers, body: body && JSON.stringify(body, asStored), signal });
    const answer = response.json();
    return expected("a message", isMessage, answer?.message ?? answer);
  }

  /** What a conversation belongs by, where there is no cookie for it. */
  #asVisitor() {
    return this.#visitor === null ? {} : { "X-Visitor": this.#visitor };
  }

  /** A write as a part of what the page is doing. Reads are polls, which would be most of a trace. */
  #traced(options) {
    const traceparent = options.method ? this.#trace?.() : null;
    return traceparent ? { ...options, headers: { ...options.headers, traceparent } } : options;
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
      const asked = { cache: "no-store", credentials: "same-origin", ...this.#traced(options), signal: deadline.signal };
      const response = await this.#parts.fetch(url, asked);
      if (!response.ok) throw new ReparteeError(response, await response.json().catch(() => null));
      // Every write says what it has reached.
      const position = response.headers.get("X-Reached");
      if (position) this.#reached = { position, until: this.#parts.now() + REACHED };
      if (options.headers?.Accept !== STREAM) return await whole(response);
      streams = true;
      expected("a stream", (type) => type?.startsWith(STREAM), response.headers.get("Content-Type"));
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
  const whole = wellFormed(value);
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
