// What a view knows of a domain: comments in order, own ones that are on their way, and what bots are writing just now.
// Pure: no network, no page, no clock.

/** How many comments are kept while somebody reads the newest; older ones leave, and can be read again. */
export const KEEP = 300;
/** How many are kept while somebody reads far back; no more older ones are read then. */
export const MOST = 5_000;

const UNFINISHED = new Set(["pending", "processing"]);

/**
 * One line of the view. `key` stays the same for as long as the line is shown, `message` is replaced by newer states.
 * `state` is "sending" until the server has stored an own comment, "writing" for what a bot has written so far, and
 * "stored" otherwise. `early` is true for an own comment that is stored, until the feed has brought it too.
 *
 * @typedef {{key: string, state: "sending"|"writing"|"stored", own: boolean, early?: boolean, message: object}} Entry
 */

/** True while a bot still has to answer the message. */
export function isUnfinished(message) {
  return !message.deleted && UNFINISHED.has(message.botParams?.status);
}

/**
 * Where the newest `keep` of these messages, oldest first, begin. What shares a timestamp stays together: a new state of
 * one that was cut off would look like a new comment.
 */
export function newestFrom(messages, keep) {
  let at = Math.max(0, messages.length - keep);
  while (at > 0 && messages[at - 1].timestamp === messages[at].timestamp) at -= 1;
  return at;
}

/** The comments of one domain as far as this view has seen them. */
export class Feed {
  /** @type {Entry[]} stored messages, oldest first */
  #stored = [];
  /** @type {Map<string, Entry>} */
  #byId = new Map();
  /** @type {Map<string, Entry>} own comments on their way, by their idempotency key */
  #sending = new Map();
  /** @type {Map<string, Entry>} what bots are writing, by the message that they answer */
  #writing = new Map();
  #drafts = 0;
  #more = false;

  /** All lines, oldest first; what is being sent or written stands last. @returns {Entry[]} */
  entries() {
    const writing = [...this.#writing.values()].filter(({ message }) => this.#isAsked(message.replyTo));
    return [...this.#stored, ...this.#sending.values(), ...writing];
  }

  /** The message with this id, where this view still has it. */
  find(id) {
    return this.#byId.get(id)?.message;
  }

  /** True where older comments can be read. */
  get hasOlder() {
    return this.#more && this.#stored.length > 0 && this.#stored.length < MOST;
  }

  /** The oldest comment: its id is the cursor to those before it. */
  get oldest() {
    return this.#stored[0]?.message;
  }

  /** Starts over from the newest page. `more` says whether there may be older comments. */
  restart(messages, more) {
    const known = this.#byId;
    this.#stored = [];
    this.#byId = new Map();
    this.#writing.clear();
    this.#more = more;
    for (const message of messages) {
      const entry = known.get(message.id);
      if (!entry) this.#adopt(message);
      this.#put(message, entry?.key, entry?.own);
    }
  }

  /** Takes in a comment that is new, or in a new state. */
  take(message) {
    this.#settle(message);
    if (this.#byId.has(message.id)) return this.#put(message);
    // A new state of a comment that was not read back yet: it comes with its page.
    if (this.#isBefore(message)) return undefined;
    return this.#adopt(message) || this.#put(message, this.#written(message));
  }

  /** Takes in a page of older comments. `more` says whether there may be still older ones. */
  older(messages, more) {
    for (const message of messages) this.#put(message);
    this.#more = more && messages.length > 0;
  }

  /** Lets the oldest go, where nobody reads them. */
  trim() {
    const gone = this.#stored.splice(0, newestFrom(this.#stored.map(({ message }) => message), KEEP));
    for (const { message } of gone) this.#byId.delete(message.id);
    this.#more ||= gone.length > 0;
  }

  /** Takes in what a bot has written so far. */
  draft({ messageId, text, ended }) {
    if (ended || !this.#isAsked(messageId)) {
      this.#writing.delete(messageId);
      return;
    }
    const { aiUsername, aiColor } = this.find(messageId).botParams;
    const message = { text, username: aiUsername, color: aiColor, "message-type": "AI", replyTo: messageId, botParams: null };
    // A reply may have taken the line of what was written before: a key is that of one line only.
    const key = this.#writing.get(messageId)?.key ?? `draft ${this.#drafts += 1}`;
    this.#writing.set(messageId, { key, state: "writing", own: false, message });
  }

  /** Shows an own comment before the server has answered. `key` is its idempotency key. */
  post(key, message) {
    // Sent again: the feed may have brought it meanwhile.
    if (this.#stored.some((entry) => entry.key === key)) return;
    this.#sending.set(key, { key, state: "sending", own: true, message });
  }

  /** The server has stored the own comment. */
  confirm(key, message) {
    this.#sending.delete(key);
    // Somebody else's comment in the same words may have taken the line: the key says whose it is.
    const other = this.#stored.find((entry) => entry.key === key && entry.message.id !== message.id);
    if (other) Object.assign(other, { key: other.message.id, own: false });
    // Sent before, and so long ago that it has left the view: it comes with its page.
    if (!this.#byId.has(message.id) && this.#isBefore(message)) return;
    this.#put(message, key, true, true);
  }

  /** The own comment could not be sent. */
  withdraw(key) {
    this.#sending.delete(key);
  }

  /**
   * The feed can bring an own comment before the answer to its post. What reads the same takes the line at once, so that
   * none shows twice; whether it is the one is certain with the answer, by its key.
   */
  #adopt(message) {
    for (const { key, message: sent } of this.#sending.values()) {
      const same = ["text", "username", "color"].every((field) => sent[field] === message[field])
        && sent.botParams?.entity === message.botParams?.entity;
      if (!same) continue;
      this.#sending.delete(key);
      this.#put(message, key, true);
      return true;
    }
    return false;
  }

  /** True where a message is older than what was read back. */
  #isBefore({ timestamp }) {
    return this.#more && timestamp < (this.oldest?.timestamp ?? -Infinity);
  }

  /** A reply takes the line of what its bot had written. */
  #written(message) {
    const draft = this.#writing.get(message.replyTo);
    if (!draft || message["message-type"] !== "AI") return undefined;
    this.#writing.delete(message.replyTo);
    return draft.key;
  }

  /** True while what a bot writes for this message is shown: there may never be a reply once it is complete. */
  #isAsked(id) {
    const asked = this.find(id);
    return asked !== undefined && isUnfinished(asked);
  }

  /** What was written for work that was given back or given up is over; of what was completed the reply takes the line. */
  #settle(message) {
    const status = message.botParams?.status;
    if (message.deleted || status === "pending" || status === "failed") this.#writing.delete(message.id);
  }

  /** `early` is what the feed has not brought yet: what it brings of the same timestamp before that stands before it. */
  #put(message, key = message.id, own = false, early = false) {
    const known = this.#byId.get(message.id);
    if (known) {
      if (own) Object.assign(known, { key, own });
      known.early &&= early;
      if (message.seq > known.message.seq) known.message = message;
      return;
    }
    const entry = { key, state: "stored", own, early, message };
    this.#byId.set(message.id, entry);
    const stays = (before) => before.message.timestamp < message.timestamp || (before.message.timestamp === message.timestamp && !before.early);
    let at = this.#stored.length;
    while (at > 0 && !stays(this.#stored[at - 1])) at -= 1;
    this.#stored.splice(at, 0, entry);
  }
}
