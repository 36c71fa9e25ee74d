// When to ask for news, and by which way. Pure: time and chance are arguments.

/** Between two polls while somebody uses the page, in ms. */
export const ACTIVE = 5_000;
/** The longest time between two polls, in ms. */
export const IDLE_MAX = 300_000;
/** Between two polls while an answer to an own comment is awaited, in ms. */
export const QUICK = 1_000;
/** How long an own comment makes polls quick, in ms; a bot that takes longer is met at the normal pace. */
export const QUICK_FOR = 60_000;
/** The ways to follow a feed, the best first. */
export const WAYS = ["stream", "long-poll", "poll"];
/** A way that failed so often in a row is left alone for a while. */
export const PATIENCE = 2;
/** How long it is left alone at first, in ms; each time doubles it. */
export const BAN = 60_000;
/** The longest time, in ms, after which a better way is tried again. */
export const BAN_MAX = 600_000;

const GROWTH = 1.5;
const FIRST_RETRY = 1_000;

/**
 * The time until the next poll, in ms.
 *
 * @param {object} since what is known after a poll
 * @param {number} since.previous the steady delay before this poll, in ms
 * @param {boolean} since.active whether somebody used the page since the poll before
 * @param {number|null} since.awaiting age of the newest own comment that waits for its answer, in ms
 * @param {number} since.failures polls that failed in a row
 * @param {number} since.retryAfter what the server asked for when it refused, in ms; 0 where it did not
 * @param {number} since.random in [0, 1): spreads the pages that lost the same server
 * @returns {{delay: number, steady: number}} the delay, and the steady delay to hand in as `previous` next time
 */
export function nextDelay({ previous, active, awaiting, failures, retryAfter, random }) {
  const steady = active ? ACTIVE : Math.min(IDLE_MAX, Math.max(ACTIVE, previous * GROWTH));
  if (failures > 0) {
    const backoff = Math.min(IDLE_MAX, FIRST_RETRY * 2 ** (failures - 1));
    return { delay: Math.max(retryAfter, backoff * (0.5 + random / 2)), steady };
  }
  if (awaiting !== null && awaiting < QUICK_FOR) {
    return { delay: QUICK, steady: ACTIVE };
  }
  return { delay: steady, steady };
}

/** Which way to take: the best one that has not failed lately. The last way is always open. */
export class Ladder {
  #ways;
  #marks = new Map();

  /** @param {string[]} ways the allowed ones, the best first */
  constructor(ways = WAYS) {
    this.#ways = ways;
    for (const way of ways) this.#marks.set(way, { failures: 0, bans: 0, until: -Infinity });
  }

  /** The way to take at this time. */
  best(now) {
    return this.#ways.find((way) => this.#marks.get(way).until <= now) ?? this.#ways.at(-1);
  }

  /** A way failed while the server could be reached. `refused` says that trying again at once is of no use. */
  blame(way, now, { refused = false, retryAfter = 0 } = {}) {
    const mark = this.#marks.get(way);
    mark.failures += 1;
    if (!refused && mark.failures < PATIENCE) return;
    mark.failures = 0;
    mark.until = now + Math.max(retryAfter, Math.min(BAN_MAX, BAN * 2 ** mark.bans));
    mark.bans += 1;
  }

  /** A way has served well for a while: what it did before is forgotten. */
  praise(way) {
    Object.assign(this.#marks.get(way), { failures: 0, bans: 0 });
  }
}
