// One connection for all tabs: the tab that holds a lock follows the feed and tells the others. Where a browser has no
// locks or no channels, as in a page that was not served securely, each tab follows by itself.
//
// Browsers stop tabs that nobody looks at: their timers, their connections, all of them, and sometimes they let them hear
// their channels all the same. So a tab gives up the lead when it is about to be frozen, a tab that is looked at takes it
// from a hidden one, and a leader's answer says whether its feed does what a feed that lives would do.

import { isUnfinished, newestFrom } from "./feed.js";
import { QUICK_FOR } from "./schedule.js";

/** A leader that does not answer for this long, in ms, is deposed: its tab is frozen, or broken. */
const PATIENCE = 5_000;
/** A tab that is looked at, or used, asks whether its leader lives, this often, in ms, unless it hears from it anyway. */
const ASK_EVERY = 10_000;
/** A timer that is later than this, in ms, belongs to a tab that was stopped itself. */
const LATE = 2_000;
/** How many of the newest comments a leader keeps for a tab that is opened. */
const SNAPSHOT = 100;

/**
 * The changes of a feed, followed by one of all tabs that use the same name.
 *
 * @param {(options: {cursor?: string, signal: AbortSignal}) => import("./repartee.js").Changes} open follows the feed
 * @param {string} name of what is followed
 * @param {AbortSignal} signal ends it
 * @param {object} [parts] `locks`, `Channel` and `page`, for tests
 */
export function shared(open, name, signal, parts = browser()) {
  return parts.locks && parts.Channel ? new Shared(open, `repartee ${name}`, signal, parts) : open({ signal });
}

function browser() {
  return { locks: globalThis.navigator?.locks, Channel: globalThis.BroadcastChannel, page: globalThis.document };
}

class Shared {
  #open;
  #name;
  #signal;
  #locks;
  #channel;
  #page;
  #id = Math.random();
  /** The feed, while this tab leads. */
  #feed = null;
  #cursor;
  /** @type {Map<string, object>} the newest comments by id */
  #newest = new Map();
  /** @type {Map<string, object>} what bots are writing, by the message that they answer */
  #drafts = new Map();
  /** @type {Map<string, number>} own comments that wait for their answer, and since when */
  #awaited = new Map();
  #state = null;
  #begun = false;
  #patience = null;
  /** When this tab last asked for its leader, and last heard that its feed lives. */
  #asked = -Infinity;
  #heard = -Infinity;
  /** Ends the lead of this tab. */
  #term = new AbortController();
  /** Settles once this tab is not frozen. */
  #thawed = Promise.resolve();
  #thaw = () => {};
  #asks = null;
  /** Ends the wait for the lock, so that it can be taken away from who holds it. */
  #waiting = null;
  #depose = false;
  /** True where this tab may not use locks: it neither tells nor hears the others. */
  #alone = false;
  #told = [];
  #wake = () => {};

  constructor(open, name, signal, { locks, Channel, page }) {
    this.#open = open;
    this.#name = name;
    this.#signal = signal;
    this.#locks = locks;
    this.#page = page;
    this.#channel = new Channel(name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    const on = { visibilitychange: () => this.#look(), freeze: () => this.#freeze(), resume: () => this.#resume() };
    for (const [event, act] of Object.entries(on)) page?.addEventListener(event, act, { signal });
  }

  wake() {
    this.#feed ? this.#feed.wake() : this.#say({ type: "wake" });
    if (Date.now() - this.#asked >= ASK_EVERY) this.#ask();
  }

  now() {
    this.#feed ? this.#feed.now() : this.#say({ type: "now" });
    this.#ask();
  }

  awaits(id) {
    this.#awaited.set(id, Date.now());
    this.#tellAwaited(id);
    this.#ask();
  }

  async *[Symbol.asyncIterator]() {
    this.#queue();
    this.#ask();
    this.#askOn();
    const stop = () => {
      this.#waiting?.abort();
      this.#wake();
    };
    this.#signal.addEventListener("abort", stop, { once: true });
    try {
      while (!this.#signal.aborted) {
        if (this.#told.length > 0) yield this.#told.shift();
        else await new Promise((wake) => { this.#wake = wake; });
      }
    } finally {
      this.#relax();
      clearTimeout(this.#asks);
      this.#channel.close();
    }
  }

  /** Waits to lead; who is deposed waits again. A page that may have no locks, as in a sandbox, follows by itself. */
  async #queue() {
    while (!this.#signal.aborted) {
      await this.#thawed;
      this.#waiting = new AbortController();
      const options = this.#depose ? { steal: true } : { signal: this.#waiting.signal };
      this.#depose = false;
      const term = new AbortController();
      this.#term = term;
      // Once it is over the lock is free, whatever the feed still does.
      const over = new Promise((resolve) => term.signal.addEventListener("abort", resolve, { once: true }));
      try {
        await this.#locks.request(this.#name, options, () => Promise.race([this.#lead(term.signal), over]));
      } catch (error) {
        // Otherwise the lock was taken away, or is not waited for any more.
        if (error.name !== "AbortError") this.#alone = true;
      }
      this.#feed = null;
      term.abort();
      if (this.#alone) return this.#lead(new AbortController().signal);
    }
    return undefined;
  }

  async #lead(term) {
    this.#relax();
    if (this.#signal.aborted || term.aborted) return;
    const stop = new AbortController();
    for (const signal of [term, this.#signal]) signal.addEventListener("abort", () => stop.abort(), { once: true });
    this.#feed = this.#open({ cursor: this.#cursor, drafts: this.#drafts.keys(), signal: stop.signal });
    this.#say({ type: "leads" });
    this.#recallAwaited();
    for await (const change of this.#feed) {
      if (stop.signal.aborted) return;
      // Those who see the feed already need not know that somebody else connects now.
      if (change.state === "connecting" && this.#begun) continue;
      this.#note(change);
      this.#say({ type: "change", change });
    }
  }

  #tellAwaited(id) {
    this.#feed ? this.#feed.awaits(id) : this.#say({ type: "awaits", id });
  }

  /** A new leader knows nothing of what this tab still waits for. */
  #recallAwaited() {
    for (const [id, since] of this.#awaited) {
      if (Date.now() - since < QUICK_FOR) this.#tellAwaited(id);
      else this.#awaited.delete(id);
    }
  }

  /** Is there a leader? Its answer also has what was missed where this tab has seen nothing yet. */
  #ask() {
    if (this.#feed) return;
    this.#asked = Date.now();
    this.#say({ type: "ask", from: this.#id, cursor: this.#cursor });
    // A question that has no answer yet is not made younger by another one.
    const due = Date.now() + PATIENCE;
    this.#patience ??= setTimeout(() => {
      this.#patience = null;
      // An answer may wait to be heard, if it is this tab that was stopped.
      if (Date.now() - due > LATE) this.#ask();
      else this.#takeOver();
    }, PATIENCE);
  }

  /** Somebody may only look: then nothing but time says that the leader is to be asked. */
  #askOn() {
    this.#asks = setTimeout(() => {
      if (this.#isLookedAt && Date.now() - Math.max(this.#asked, this.#heard) >= ASK_EVERY) this.#ask();
      this.#askOn();
    }, ASK_EVERY);
  }

  get #isLookedAt() {
    return this.#page?.visibilityState === "visible";
  }

  #takeOver() {
    this.#depose = true;
    this.#waiting?.abort();
  }

  /** A leader that nobody looks at any more says so; a tab that is looked at asks who leads. */
  #look() {
    if (!this.#feed) return this.#isLookedAt ? this.#ask() : undefined;
    return this.#isLookedAt ? undefined : this.#say({ type: "hidden" });
  }

  /** This tab is about to be stopped: whoever waits leads. What goes on by itself has to end within this event. */
  #freeze() {
    if (this.#alone) return;
    this.#thawed = new Promise((thaw) => { this.#thaw = thaw; });
    this.#relax();
    this.#feed = null;
    this.#depose = false;
    this.#term.abort();
    this.#waiting?.abort();
  }

  #resume() {
    this.#thaw();
    this.#ask();
  }

  #relax() {
    clearTimeout(this.#patience);
    this.#patience = null;
  }

  #hear(told) {
    if (this.#alone) return;
    if (told.type === "change") {
      this.#relax();
      this.#heard = Date.now();
      if (!this.#feed && (this.#begun || told.change.type === "reset")) this.#note(told.change);
    } else if (told.type === "snapshot" && told.to === this.#id && !this.#feed) {
      this.#relax();
      if (told.overdue > 0 || (told.hidden && this.#isLookedAt)) this.#takeOver();
      else this.#heard = Date.now();
      // What was told since the question may have closed the gap.
      for (const change of told.changes) if (change.type !== "reset" || change.cursor !== this.#cursor) this.#note(change);
    } else if (told.type === "leads") {
      // Who asked before somebody led has no answer yet.
      this.#relax();
      this.#ask();
      this.#recallAwaited();
    } else if (told.type === "hidden") {
      if (this.#isLookedAt && !this.#feed) this.#takeOver();
    } else if (this.#feed && told.type === "ask") {
      const lives = { overdue: this.#feed.overdue(), hidden: !this.#isLookedAt };
      this.#say({ type: "snapshot", to: told.from, changes: this.#missed(told.cursor), ...lives });
    } else if (this.#feed && told.type === "awaits") {
      this.#feed.awaits(told.id);
    } else if (this.#feed && (told.type === "wake" || told.type === "now")) {
      this.#feed[told.type]();
    }
  }

  /** What a tab at this cursor has not seen. */
  #missed(cursor) {
    const page = { type: "reset", reason: null, messages: this.#snapshot(), cursor: this.#cursor };
    return [...(this.#begun && cursor !== this.#cursor ? [page] : []), ...this.#drafts.values(), ...(this.#state ? [this.#state] : [])];
  }

  #note(change) {
    if (change.type === "state") this.#state = change;
    if (change.type === "reset") {
      this.#begun = true;
      this.#drafts.clear();
      this.#newest = new Map(change.messages.map((message) => [message.id, message]));
    }
    if (change.type === "draft") this.#drafts.set(change.draft.messageId, change);
    if (change.draft?.ended) this.#drafts.delete(change.draft.messageId);
    if (change.type === "message" && change.message.botParams?.status !== "processing") this.#drafts.delete(change.message.id);
    for (const message of change.messages ?? [change.message]) {
      if (message && !isUnfinished(message)) this.#awaited.delete(message.id);
    }
    if (change.type === "message" && this.#isNewest(change.message)) {
      this.#newest.set(change.message.id, change.message);
      if (this.#newest.size > 2 * SNAPSHOT) this.#shrink();
    }
    this.#cursor = change.cursor ?? this.#cursor;
    this.#told.push(change);
    this.#wake();
  }

  /** A new state of a comment older than all that are kept is none of the newest: there would be a gap behind it. */
  #isNewest({ id, timestamp }) {
    if (this.#newest.size === 0 || this.#newest.has(id)) return true;
    for (const known of this.#newest.values()) if (known.timestamp <= timestamp) return true;
    return false;
  }

  #shrink() {
    this.#newest = new Map(this.#snapshot().map((message) => [message.id, message]));
  }

  #snapshot() {
    const messages = [...this.#newest.values()].sort((a, b) => a.timestamp - b.timestamp);
    return messages.slice(newestFrom(messages, SNAPSHOT));
  }

  #say(told) {
    if (!this.#signal.aborted && !this.#alone) this.#channel.postMessage(told);
  }
}
