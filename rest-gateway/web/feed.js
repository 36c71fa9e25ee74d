// What this page knows of a domain: the newest comments in order, and the own ones that are still on their way.
// Pure: no network, no page, no clock.

/** How many comments a page keeps; older ones leave it. */
export const KEEP = 500;
/** An unfinished comment is watched until its answer comes, or until this many newer ones stand below it. */
export const WATCHED = 100;

const UNFINISHED = new Set(["pending", "processing"]);

/**
 * One line of the page. `key` stays the same for as long as the line is shown, `message` is replaced by newer states;
 * `draft` is true until the server has stored the message.
 *
 * @typedef {{key: string, draft: boolean, own: boolean, message: object}} Entry
 */

/** True while a bot still has to answer the message. */
export function isUnfinished(message) {
  return !message.deleted && UNFINISHED.has(message.botParams?.status);
}

/** The comments of one domain as far as this page has seen them. */
export class Feed {
  /** @type {Entry[]} stored messages, oldest first */
  #stored = [];
  /** @type {Map<string, Entry>} */
  #byId = new Map();
  /** @type {Map<string, Entry>} */
  #drafts = new Map();
  #read = 0;

  /** All lines, oldest first, what is still on its way last. @returns {Entry[]} */
  entries() {
    return [...this.#stored, ...this.#drafts.values()];
  }

  /** The message with this id, where this page still has it. */
  find(id) {
    return this.#byId.get(id)?.message;
  }

  /**
   * The timestamp to read on from, 0 for the newest page. Polls by timestamp bring new comments, not new states of old
   * ones; so the position stays just before the oldest comment whose answer is awaited, and what is known already comes
   * once more, to be told apart by `seq`.
   */
  position() {
    const waiting = this.#stored.slice(-WATCHED).find((entry) => isUnfinished(entry.message));
    return waiting ? Math.min(this.#read, waiting.message.timestamp - 1) : this.#read;
  }

  /** Takes in one page of the feed, oldest first. */
  merge(messages) {
    for (const message of messages) {
      this.#adopt(message);
      this.#put(message);
    }
    const last = messages.at(-1);
    if (last) this.#read = Math.max(this.#read, last.timestamp);
    this.#tidy();
  }

  /** Starts over from the newest page: what lies between it and the lines known so far was never seen. */
  restart(messages) {
    const kept = new Set(messages.map((message) => message.id));
    this.#stored = this.#stored.filter((entry) => kept.has(entry.message.id));
    this.#byId = new Map(this.#stored.map((entry) => [entry.message.id, entry]));
    this.#read = 0;
    this.merge(messages);
  }

  /** Shows an own comment before the server has answered. `key` is its idempotency key. */
  post(key, message) {
    this.#drafts.set(key, { key, draft: true, own: true, message });
  }

  /** The server has stored the own comment. The reading position stays: others may have written just before it. */
  confirm(key, message) {
    const draft = this.#drafts.get(key);
    this.#drafts.delete(key);
    this.#put(message, draft?.key);
    this.#byId.get(message.id).own = true;
    this.#tidy();
  }

  /** The own comment could not be sent. */
  withdraw(key) {
    this.#drafts.delete(key);
  }

  /** True while an own comment waits for its answer. */
  awaitsAnswer() {
    return this.#stored.some((entry) => entry.own && isUnfinished(entry.message));
  }

  /** A poll can bring an own comment before the answer to its post: it takes the draft's place, so that none shows twice. */
  #adopt(message) {
    if (this.#byId.has(message.id)) return;
    for (const draft of this.#drafts.values()) {
      const same = ["text", "username", "color"].every((field) => draft.message[field] === message[field])
        && draft.message.botParams?.entity === message.botParams?.entity;
      if (same) {
        this.#drafts.delete(draft.key);
        this.#put(message, draft.key);
        this.#byId.get(message.id).own = true;
        return;
      }
    }
  }

  #put(message, key = message.id) {
    const known = this.#byId.get(message.id);
    if (!known) {
      const entry = { key, draft: false, own: false, message };
      this.#byId.set(message.id, entry);
      this.#stored.push(entry);
    } else if (message.seq > known.message.seq) {
      known.message = message;
    }
  }

  #tidy() {
    this.#stored.sort((a, b) => a.message.timestamp - b.message.timestamp);
    for (const gone of this.#stored.splice(0, this.#stored.length - KEEP)) this.#byId.delete(gone.message.id);
  }
}
