// Follows one feed: by an event stream, by long-polls where streams fail, by polls where these fail too, and back again.
// Owns the position in the feed. A way is blamed only where a plain read works meanwhile: a server that is away is waited
// for, and then asked by the best way again.

import { eventsOf } from "./events.js";
import { ACTIVE, Ladder, WAYS, nextDelay } from "./schedule.js";
import { expected, isDraft, isHello, isMessage } from "./shapes.js";

/** How long a long-poll may wait at the server, in s, and how much longer here, in ms. */
const WAIT = 25;
const WAIT_GRACE = 10_000;
/** How long a read of a page may take, in ms. */
const READ = 15_000;
/** A stream that has not said hello after this long, in ms, is held back by somebody between. */
const HELLO = 8_000;
/** A stream without a byte for this long, in ms, is dead: the server sends a comment every 15 s. */
const SILENCE = 40_000;
/** What the server leaves between two bytes of a stream, in ms, as far as is known, and how much later one may come. */
const HEARTBEAT = 15_000;
const HEARTBEAT_GRACE = 5_000;
/** How much later than planned a poll may begin, in ms. */
const POLL_GRACE = 2_000;
/** A stream or a long-poll that lived this long, in ms, has served well. */
const STEADY = 20_000;
/** The longest pause before a stream is opened again, in ms, whatever it asks for. */
const LONGEST_RETRY = 10_000;
/** Between two long-polls that were both answered at once with nothing, in ms. */
const BREATH = 1_000;

/** What the events have to be that say something. */
const SHAPES = { hello: isHello, message: isMessage, draft: isDraft };

/** What happens in a feed, as an async iterable; it can be iterated once. */
export class Changes {
  #server;
  #cursor;
  #ladder;
  #stopped = new AbortController();
  #attempt = null;
  #sleeper = null;
  #told = "";
  /** False while the server itself does not hear of changes: what is shown may be old. */
  #live = true;
  #retry = 0;
  #ended = 0;
  #steady = ACTIVE;
  #active = true;
  #awaited = new Map();
  /** Whether a connection may be held open, or a promise of that. */
  #mayHold = true;
  /** True while one is. */
  #holds = false;
  /** Messages that bots are writing for, as far as is known. */
  #drafts;
  /** By when something has to happen if this feed lives. */
  #due = Infinity;

  /**
   * @param {object} server its `page` and `stream`, and `now` and `random`
   * @param {object} options
   * @param {string} [options.cursor] the position behind what is known already
   * @param {string[]} [options.ways] the ways that may be taken
   * @param {Iterable<string>} [options.drafts] the messages whose drafts are shown already
   * @param {AbortSignal} [options.signal] ends the iteration
   */
  constructor(server, { cursor, ways, drafts = [], signal }) {
    this.#server = server;
    this.#cursor = cursor ?? null;
    this.#drafts = new Set(drafts);
    this.#ladder = new Ladder(WAYS.filter((way) => !ways || ways.includes(way)));
    if (signal?.aborted) this.#stop();
    else signal?.addEventListener("abort", () => this.#stop(), { once: true, signal: this.#stopped.signal });
  }

  /** Somebody uses the page: polls come at the active pace again, never sooner than planned. */
  wake() {
    this.#active = true;
    this.#sleeper?.hurry(Math.max(0, this.#ended + ACTIVE - this.#server.now()));
  }

  /** Asks for news as soon as may be; what waits for a lost server waits no longer. */
  now() {
    this.#active = true;
    this.#sleeper?.hurry(0);
  }

  /** An own message waits for its answer: polls are quick until that is there. */
  awaits(id) {
    this.#awaited.set(id, this.#server.now());
    this.now();
  }

  /**
   * How long, in ms, something has been overdue that a feed that lives would have done: a byte of its stream, a poll. 0
   * while nothing is. A page that is frozen runs nothing, but may still be asked.
   */
  overdue() {
    return Math.max(0, this.#server.now() - this.#due);
  }

  /** Where no connection may be held open, the feed is polled. */
  mayHold(answer) {
    this.#mayHold = answer;
    if (answer === true) this.#sleeper?.hurry(0);
    else if (answer === false && this.#holds) this.#attempt.abort();
  }

  async *[Symbol.asyncIterator]() {
    const network = { online: () => this.now(), offline: () => this.#attempt?.abort() };
    for (const [event, act] of Object.entries(network)) globalThis.addEventListener?.(event, act);
    try {
      yield* this.#follow();
    } finally {
      for (const [event, act] of Object.entries(network)) globalThis.removeEventListener?.(event, act);
      this.#stop();
    }
  }

  async *#follow() {
    yield* this.#tell({ state: "connecting" });
    let failures = 0;
    let last = {};
    while (!this.#stopped.signal.aborted) {
      if (!last.again) {
        try {
          yield* this.#read();
        } catch (error) {
          if (this.#stopped.signal.aborted) return;
          failures += 1;
          // The server or the network was away: that explains what went wrong before.
          last = {};
          yield* this.#endDrafts(this.#drafts);
          yield* this.#tell(lost(error));
          await this.#pause(this.#delay(failures, error.retryAfter ?? 0));
          continue;
        }
        failures = 0;
        if (last.blame) this.#ladder.blame(last.way, this.#server.now(), last.blame);
      }
      const way = (await this.#mayHold) ? this.#ladder.best(this.#server.now()) : "poll";
      last = { way, ...(yield* this.#by(way)) };
      if (last.pause) await this.#pause(last.pause);
    }
  }

  /** Follows by one way until that ends; tells whether to go on without a read, whom to blame, and how long to pause. */
  async *#by(way) {
    if (way === "stream") return yield* this.#stream();
    yield* this.#endDrafts(this.#drafts);
    if (way === "long-poll") return yield* this.#longPolls();
    yield* this.#follows(way);
    return { pause: this.#delay(0, 0) };
  }

  /** Reads all that is new; where there is no position yet, or it is lost, the newest page. */
  async *#read({ wait, patience = READ } = {}) {
    for (;;) {
      this.#expect(patience);
      const page = await this.#server.page({ cursor: this.#cursor, wait }, { patience, signal: this.#begin() });
      this.#live = page.live;
      const fresh = this.#cursor === null || page.reset;
      const before = this.#cursor;
      this.#cursor = page.next;
      if (fresh) {
        yield { type: "reset", reason: page.reason ?? null, messages: page.messages, cursor: page.next };
      } else {
        // Who stops within a page goes on at its beginning: nothing is skipped, some comes twice.
        const last = page.messages.at(-1);
        for (const message of page.messages) yield this.#seen(message, message === last ? page.next : before);
      }
      if (fresh || !page.more) return page.messages.length;
    }
  }

  #seen(message, cursor) {
    const status = message.botParams?.status;
    // What is written goes on through an edit.
    if (message.deleted || status !== "processing") this.#drafts.delete(message.id);
    if (message.deleted || (status !== "pending" && status !== "processing")) this.#awaited.delete(message.id);
    return { type: "message", message, cursor };
  }

  async *#stream() {
    const began = this.#server.now();
    const signal = this.#begin();
    const attempt = this.#attempt;
    let timer = null;
    const within = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(() => attempt.abort(), ms);
    };
    // What was written when another stream ended, until this one tells who writes on.
    const doubtful = new Set(this.#drafts);
    let greeted = false;
    let problem = {};
    let [heard, gap] = [began, HEARTBEAT];
    const alive = () => {
      const now = this.#server.now();
      // The server's settings may leave more between two bytes.
      gap = Math.min(SILENCE, Math.max(gap, now - heard));
      heard = now;
      this.#expect(gap + HEARTBEAT_GRACE);
      if (greeted) within(SILENCE);
    };
    this.#holds = true;
    try {
      within(HELLO);
      this.#expect(HELLO);
      const body = await this.#server.stream({ cursor: this.#cursor }, { signal, patience: HELLO });
      for await (const { type, data, id } of eventsOf(body, alive)) {
        const told = SHAPES[type] ? expected(`an event "${type}"`, SHAPES[type], JSON.parse(data)) : null;
        if (id !== null && type !== "reset") this.#cursor = id;
        if (type === "retry") {
          this.#retry = Math.min(LONGEST_RETRY, Number(data));
        } else if (type === "hello" || type === "upstream") {
          greeted = true;
          within(SILENCE);
          this.#live = JSON.parse(data).live ?? true;
          yield* this.#follows("stream");
        } else if (type === "message") {
          yield this.#seen(told, this.#cursor);
        } else if (type === "draft") {
          doubtful.delete(told.messageId);
          if (told.ended) this.#drafts.delete(told.messageId);
          else this.#drafts.add(told.messageId);
          yield { type: "draft", draft: told };
        } else if (type === "id") {
          yield* this.#endDrafts(doubtful);
        } else if (type === "reset") {
          // The page to start over from is read by a call, which is the same by every way.
          this.#cursor = null;
          break;
        } else if (type === "bye") {
          this.#ladder.praise("stream");
          return { again: true, pause: this.#retry };
        }
      }
    } catch (error) {
      problem = refusal(error);
    } finally {
      this.#holds = false;
      clearTimeout(timer);
      attempt.abort();
    }
    if (!(await this.#mayHold)) return {};
    // It ended without a goodbye. Where it lived for long, nobody is to blame.
    const steady = greeted && this.#server.now() - began >= STEADY;
    if (steady) this.#ladder.praise("stream");
    return { blame: steady ? null : problem, pause: this.#retry * this.#server.random() };
  }

  async *#longPolls() {
    yield* this.#follows("long-poll");
    while (!this.#stopped.signal.aborted && (await this.#mayHold) && this.#ladder.best(this.#server.now()) === "long-poll") {
      const began = this.#server.now();
      this.#holds = true;
      try {
        const count = yield* this.#read({ wait: WAIT, patience: WAIT * 1_000 + WAIT_GRACE });
        yield* this.#follows("long-poll");
        const took = this.#server.now() - began;
        if (took >= STEADY || count > 0) this.#ladder.praise("long-poll");
        // A server that stops, or does not wait, is not asked in a circle.
        if (count === 0 && took < BREATH) await this.#pause(BREATH * (1 + this.#server.random()));
      } catch (error) {
        return { blame: (await this.#mayHold) ? refusal(error) : null };
      } finally {
        this.#holds = false;
      }
    }
    return { again: true };
  }

  #delay(failures, retryAfter) {
    const posted = [...this.#awaited.values()].at(-1);
    const awaiting = posted === undefined ? null : this.#server.now() - posted;
    const random = this.#server.random();
    const { delay, steady } = nextDelay({ previous: this.#steady, active: this.#active, awaiting, failures, retryAfter, random });
    this.#active = false;
    this.#steady = steady;
    return delay;
  }

  /** Ends the drafts of which nobody says that they are written on. */
  *#endDrafts(ids) {
    for (const messageId of [...ids]) {
      if (this.#drafts.delete(messageId)) yield { type: "draft", draft: { messageId, text: "", ended: true } };
    }
  }

  *#follows(way) {
    yield* this.#tell(this.#live ? { state: "live", way } : { state: "reconnecting" });
  }

  *#tell(state) {
    const told = { type: "state", way: null, detail: null, ...state };
    const text = JSON.stringify(told);
    if (text === this.#told) return;
    this.#told = text;
    yield told;
  }

  /** A signal for the next call, which ends with the iteration, or when the network goes away. */
  #begin() {
    this.#attempt = new AbortController();
    if (this.#stopped.signal.aborted) this.#attempt.abort();
    return this.#attempt.signal;
  }

  /** Something has to happen within `ms`. */
  #expect(ms) {
    this.#due = this.#server.now() + ms;
  }

  /** Waits, unless it is hurried or stopped. */
  #pause(ms) {
    this.#ended = this.#server.now();
    this.#expect(ms + POLL_GRACE);
    return new Promise((resume) => {
      if (this.#stopped.signal.aborted) {
        resume();
        return;
      }
      let due = this.#ended + ms;
      const end = () => {
        clearTimeout(timer);
        this.#sleeper = null;
        resume();
      };
      let timer = setTimeout(end, ms);
      const hurry = (sooner) => {
        const then = this.#server.now() + sooner;
        if (then >= due) return;
        due = then;
        this.#expect(sooner + POLL_GRACE);
        clearTimeout(timer);
        timer = setTimeout(end, sooner);
      };
      this.#sleeper = { hurry, end };
    });
  }

  #stop() {
    this.#stopped.abort();
    this.#attempt?.abort();
    this.#sleeper?.end();
  }
}

/** Why there is no news. A refusal that asking again does not change is told as the server put it. */
function lost(error) {
  if (globalThis.navigator?.onLine === false) return { state: "offline" };
  const refused = refusal(error).refused;
  return { state: refused ? "refused" : "reconnecting", detail: refused ? error.message : null };
}

/** What a failure says about asking again. */
function refusal({ status, retryAfter = 0 }) {
  return { refused: status >= 400 && status < 500 && status !== 408, retryAfter };
}
