// What the operator's page says, worked out from what the server counted. Pure: no network, no page, no clock.

/** A worker that holds leases and has neither claimed nor renewed one for this long, in ms, is told as silent: leases are renewed far sooner. */
export const SILENT = 15_000;
/** A month for the projected bill, in ms. */
export const MONTH = 30 * 24 * 3_600_000;

/** A span of time in words; "–" where there is none. */
export function age(ms) {
  if (ms === null || ms === undefined) return "–";
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** A count with its thousands apart. */
export function count(number) {
  return number === null || number === undefined ? "–" : number.toLocaleString("en");
}

/** The title of a list: `whole` where all of it is shown, otherwise `part` with how much that is. */
export function titled(whole, part, shown, all) {
  return shown < all ? `${part} ${count(shown)} of ${count(all)}` : whole;
}

/** An amount of money; more digits where it is small. */
export function money(amount) {
  return amount >= 1 || amount === 0 ? amount.toFixed(2) : amount.toPrecision(2);
}

/**
 * A session with what is wrong with it.
 * @param {object} session as `/api/stats` tells it
 * @param {number} now the server's clock, Unix milliseconds
 */
export function judged(session, now) {
  const quiet = now - Math.max(session.lastRenewAt ?? 0, session.lastClaimAt ?? 0);
  return { ...session, quiet, silent: session.leases > 0 && quiet > SILENT };
}

/**
 * What each call costs in a month at these prices for a million reads and a million writes, as the last hour went.
 * @param {{call: string, calls: number, reads: number, writes: number}[]} calls
 * @param {number} spanMs how much time they cover
 */
export function bill(calls, spanMs, prices) {
  const months = spanMs > 0 ? MONTH / spanMs : null;
  const cost = ({ reads, writes }) => (months === null ? null : ((reads * prices.reads + writes * prices.writes) / 1e6) * months);
  const rows = calls.map((call) => ({ ...call, cost: cost(call) }));
  rows.sort((a, b) => (b.cost ?? 0) - (a.cost ?? 0) || b.calls - a.calls);
  return { rows, total: months === null ? null : rows.reduce((sum, row) => sum + row.cost, 0) };
}

/** What a chart shows, in a sentence, for those who do not see it. */
export function described(name, points, intervalMs) {
  const last = points.at(-1);
  if (!last) return "Nothing is known yet.";
  const rate = (value) => (value === null ? "unknown" : `${(value / (intervalMs / 1_000)).toFixed(1)} a second`);
  const ms = (value) => `${count(Math.round(value))} ms`;
  const words = {
    throughput: `Now ${rate(last.posted)} posted, ${rate(last.answered)} answered, ${rate(last.failed)} failed.`,
    latency: last.postP50Ms === null ? "No comment was posted just now." : `Now half within ${last.postP50Ms} ms, 99 of 100 within ${last.postP99Ms} ms.`,
    answers: last.answerP50Ms === null ? "Nothing was answered just now." : `Now half within ${ms(last.answerP50Ms)}, 99 of 100 within ${ms(last.answerP99Ms)}.`,
    depth: `Now ${count(last.pending)} wait, ${count(last.processing)} are in work.`,
    storage: `Now ${rate(last.storageReads)} read, ${rate(last.storageWrites)} written.`,
  };
  return words[name];
}
