// When to ask the server for news. Owns the schedule and its timer; knows nothing of messages, and touches no page.

/** Between two polls while somebody uses the page, in ms. */
export const ACTIVE = 5_000;
/** The longest time between two polls, in ms. */
export const IDLE_MAX = 300_000;
/** Between two polls while an answer to an own comment is awaited, in ms. */
export const QUICK = 1_000;
/** How long an own comment makes polls quick, in ms; a bot that takes longer is met at the normal pace. */
export const QUICK_FOR = 60_000;

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

/** Polls one at a time, each when `nextDelay` says so. */
export class Poller {
  #poll;
  #awaiting;
  #now;
  #random;
  #timer = null;
  #due = 0;
  #ended = 0;
  #polling = false;
  #again = false;
  #active = true;
  #steady = ACTIVE;
  #failures = 0;

  /**
   * @param {object} parts
   * @param {() => Promise<void>} parts.poll asks once; an error that it throws may carry `retryAfter` in ms
   * @param {() => number|null} parts.awaiting age of the newest own comment without an answer, in ms
   * @param {() => number} [parts.now] a clock in ms that never goes back
   * @param {() => number} [parts.random] in [0, 1)
   */
  constructor({ poll, awaiting, now = () => performance.now(), random = Math.random }) {
    this.#poll = poll;
    this.#awaiting = awaiting;
    this.#now = now;
    this.#random = random;
  }

  /** Polls at once; where a poll is under way already, again after it. */
  now() {
    this.#active = true;
    this.#again = this.#polling;
    if (!this.#polling) this.#schedule(0);
  }

  /** Somebody uses the page: the next poll comes at the active pace, never later than planned. */
  wake() {
    this.#active = true;
    if (this.#polling || this.#timer === null) return;
    const due = Math.max(this.#now(), this.#ended + ACTIVE);
    if (due < this.#due) this.#schedule(due - this.#now());
  }

  #schedule(delay) {
    clearTimeout(this.#timer);
    this.#due = this.#now() + delay;
    this.#timer = setTimeout(() => this.#run(), delay);
  }

  async #run() {
    this.#polling = true;
    const active = this.#active;
    this.#active = false;
    let retryAfter = 0;
    try {
      await this.#poll();
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      retryAfter = error.retryAfter ?? 0;
    }
    this.#polling = false;
    this.#ended = this.#now();
    const { delay, steady } = nextDelay({
      previous: this.#steady,
      active: active || this.#active,
      awaiting: this.#awaiting(),
      failures: this.#failures,
      retryAfter,
      random: this.#random(),
    });
    this.#steady = steady;
    this.#schedule(this.#again ? 0 : delay);
    this.#again = false;
  }
}
