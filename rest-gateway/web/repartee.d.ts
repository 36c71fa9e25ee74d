// Types of repartee.js. Those of the wire are compared with /openapi.json by a test.

/** Where a message to a bot stands. */
export type Status = "pending" | "processing" | "complete" | "failed";

/** The work for a bot. */
export interface BotParams {
  status: Status;
  /** 0 to 99; the higher is handed out first. */
  priority: number;
  /** The bot that is asked. */
  entity: string;
  aiUsername: string;
  aiColor: string;
  sessionId: string | null;
  claimedBy: string | null;
  /** Unix milliseconds. */
  claimedAt: number | null;
  /** Unix milliseconds. */
  completedAt: number | null;
  attempts: number;
  /** The last error; also while the message is tried again. */
  error: string | null;
  /** Not to be handed out before, Unix milliseconds; absent if its author asked for none. */
  notBefore?: number;
  /** Given up if nobody has taken it by then, Unix milliseconds; absent if its author asked for none. */
  expiresAt?: number;
}

/** One comment, by a human or by an AI, as it was after its last change. */
export interface Message {
  id: string;
  /** When it was stored: the server's clock, Unix milliseconds. */
  timestamp: number;
  /** Number of its last change: of two states of one message, the one with the greater number is newer. */
  seq: number;
  domain: string;
  /** Text, never markup; empty once the message is deleted. */
  text: string;
  username: string;
  color: string;
  "message-type": "human" | "AI";
  replyTo: string | null;
  eqScore: number;
  /** Null on platform posts and on messages by an AI. */
  botParams: BotParams | null;
  /** True, and present, once the message is deleted. */
  deleted?: boolean;
  /** For operators only: 32 hex digits that stand for who posted it. */
  author?: string;
  /** For operators only: 32 hex digits that stand for the address that it came from. */
  address?: string;
  /** For operators only: true, and present, while it is hidden; to all others it is deleted then. */
  hidden?: boolean;
}

/**
 * A comment to be stored. Only the domain, the text and the author are required. Names (domain, username, entity, session)
 * are kept in Unicode's NFC with plain single spaces: compare with those of the stored message, not with those
 * that were sent. Names with characters that nobody sees, or that change the direction of text, are refused.
 */
export interface NewComment {
  domain: string;
  /** Has to show something; kept as it is. */
  text: string;
  /** Not a name that a bot answers under: `NAME_RESERVED`. */
  username: string;
  /** Nine digits, three each for red, green and blue from 000 to 255, such as "169080199", or "default"; no other text is taken. */
  color?: string | null;
  "message-type"?: "human" | "AI" | null;
  replyTo?: string | null;
  eqScore?: number | null;
  humanUsername?: string | null;
  humanColor?: string | null;
  sessionId?: string | null;
  /** The bot that is asked; without it the comment is a post to everybody. */
  botParams?: {
    entity: string;
    priority?: number | null;
    /** A name of that entity: itself in any spelling, or one that the operator has given it. */
    aiUsername?: string | null;
    aiColor?: string | null;
    sessionId?: string | null;
    /** Not to be handed out before, Unix milliseconds, at most 30 days from now. */
    notBefore?: number | null;
    /** Given up if nobody has taken it by then, Unix milliseconds, at most 60 days from now. */
    expiresAt?: number | null;
    /** Where every message begins. */
    status?: "pending" | null;
  } | null;
}

/** What storing a comment answers. */
export interface Posted {
  id: string;
  timestamp: number;
  seq: number;
  /** "success". */
  status: string;
  /** Allows its holder to edit and to delete the comment: keep it secret. */
  editToken: string;
  message: Message;
}

/** One page of the feed by cursor. */
export interface ChangesPage {
  messages: Message[];
  /** The position behind this page. */
  next: string;
  more: boolean;
  /** True where the position was lost: the messages are the newest page. */
  reset: boolean;
  /** Why; only with a reset. */
  reason?: string;
  /** Unix milliseconds. */
  serverTime: number;
}

/** A domain in which somebody has spoken. */
export interface Room {
  domain: string;
  /** When its newest comment that is neither deleted nor hidden was posted, Unix milliseconds. */
  lastActivity: number;
}

/** One page of the list of rooms. */
export interface RoomsPage {
  /** The one that was spoken in last comes first. */
  rooms: Room[];
  more: boolean;
  /** Where the next page goes on; null at the end. */
  next: string | null;
  /** True where the cursor was lost: this is the first page. */
  reset: boolean;
}

/** What a bot has written so far; never stored. */
export interface Draft {
  /** The message that is being answered. */
  messageId: string;
  text: string;
  /** True where the bot stopped, or nobody can say whether it writes on: what it had written is not to be shown any more. */
  ended?: boolean;
}

/** How a feed is followed, the best way first. */
export type Way = "stream" | "long-poll" | "poll";

/** One thing that happens in a feed. */
export type Change =
  /** Forget what is shown and start from these messages. The reason is null on the first page. */
  | { type: "reset"; reason: string | null; messages: Message[]; cursor: string }
  /**
   * A message that is new, or in a new state. The same state may come twice: compare `seq`. Whoever goes on from the
   * `cursor` misses nothing that came behind this change, and may get again what came shortly before it, or itself.
   */
  | { type: "message"; message: Message; cursor: string }
  | { type: "draft"; draft: Draft }
  | { type: "state"; state: "live"; way: Way; detail: null }
  /** `refused` comes with the server's words; it is asked again all the same, ever more seldom. */
  | { type: "state"; state: "connecting" | "reconnecting" | "offline" | "refused"; way: null; detail: string | null };

/** A feed that is being followed. It can be iterated once; leaving the loop closes what is open. */
export interface Changes extends AsyncIterable<Change> {
  /** Somebody uses the page: where the feed is polled, polls come every 5 s again. */
  wake(): void;
  /** Asks for news now, also while a lost server is waited for. */
  now(): void;
  /** The message with this id waits for its answer: where the feed is polled, polls are quick until it is there. */
  awaits(id: string): void;
  /**
   * How long, in ms, something is overdue that a feed that lives would have done by now: a byte of its stream, a poll. 0
   * while nothing is. More than 0 in a page that its browser has stopped, and asks all the same.
   */
  overdue(): number;
  /**
   * Whether a connection may be held open, which is so at first; otherwise the feed is polled. For pages that follow many
   * feeds: over HTTP/1.1 a browser has six connections to a server. A promise is waited for, before the first is opened.
   */
  mayHold(answer: boolean | Promise<boolean>): void;
}

/** A refusal by the server, in its own words. */
export class ReparteeError extends Error {
  status: number;
  fields: { pointer: string; detail: string }[];
  /** A word for programs, such as `QUEUE_FULL`. */
  reason: string | null;
  /** What the server asks to wait, in ms; 0 where it does not. */
  retryAfter: number;
}

/** A random key for one comment: whoever sends the comment again under it never stores it twice. */
export function newKey(): string;

/** One server, by its address. */
export class Repartee {
  /** @param base where the server is, such as `https://talk.example/`; in a page also a relative address */
  constructor(base: string | URL, options?: {
    /**
     * The secret by which the server knows whose conversations are whose, 32 to 128 letters, digits, `-` or `_`. A page of
     * the server's own has a cookie for it; any other is given a random one that the browser keeps; in Node it lives as long
     * as this object.
     */
    visitor?: string;
    /**
     * Gives the W3C `traceparent` of what the page is doing, or nothing. Comments are then posted, edited and removed as parts
     * of that trace, and so is the bot's answer, if the server continues the traces of pages (`--trace-parents all`); otherwise
     * it begins its own, with a link to this one. Asked before each of these calls.
     */
    trace?: () => string | null | undefined;
  });

  /**
   * Stores a comment. Where the network or the server fails in passing it is sent again, always under the same key,
   * so that it is stored once; so is an answer that is not of this server's shape, as of a portal in between. Without a
   * `key` each call has one of its own.
   * @throws ReparteeError where the server refuses it
   */
  post(comment: NewComment, options?: { key?: string; signal?: AbortSignal }): Promise<Posted>;

  /**
   * True if the comment was posted by this client: its edit token is known. A browser keeps those of the newest 500 for each
   * server, elsewhere they live as long as this object. What changes a comment takes another `editToken`, too.
   */
  owns(id: string): boolean;

  /**
   * Changes the text of a comment, and gives its new state.
   * @throws ReparteeError where the server refuses it: without the right token, after too many edits
   */
  edit(id: string, text: string, options?: { editToken?: string; signal?: AbortSignal }): Promise<Message>;

  /** Removes the text of a comment, and leaves a tombstone; work on it is called off. */
  remove(id: string, options?: { editToken?: string; signal?: AbortSignal }): Promise<Message>;

  /** Stops the answer that is waited for, or being written: the comment is `failed` with the error `cancelled`. */
  cancel(id: string, options?: { editToken?: string; signal?: AbortSignal }): Promise<Message>;

  /** The last messages of a conversation, oldest first; 100 where no limit is given, at most 1,000. */
  conversation(who: {
    humanUsername: string;
    humanColor: string;
    aiUsername: string;
    aiColor: string;
    sessionId?: string;
    limit?: number;
    signal?: AbortSignal;
  }): Promise<Message[]>;

  /**
   * One page of messages, oldest first: those after a timestamp, those before the message with an id, or the newest; of
   * all domains where none is named; at least 50 or `limit` of them where there are as many. `more` says whether the same
   * direction has more.
   */
  messages(which?: {
    domain?: string;
    after?: number;
    beforeId?: string;
    limit?: number;
    signal?: AbortSignal;
  }): Promise<{ messages: Message[]; more: boolean }>;

  /**
   * Follows a feed, from the newest page or from a cursor: by an event stream; by long-polls where streams fail; by
   * polls where these fail too, every 5 s at first and ever more seldom until `wake`. A better way is tried again after
   * a minute, later after up to ten. Where it goes on for another feed, `drafts` are the ids of the messages whose drafts
   * are shown already: each of them is told on, or ended.
   */
  changes(which?: {
    domain?: string;
    cursor?: string;
    limit?: number;
    ways?: Way[];
    drafts?: Iterable<string>;
    signal?: AbortSignal;
  }): Changes;
}
