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
 * What a session does, in words, and whether something is wrong with it.
 * @param {object} session as {@link judged} tells it
 * @param {string} restrained what is held back from its worker; empty if nothing is
 */
export function state({ quiet, silent, holdsBack, leases, streams }, restrained) {
  const wrong = [holdsBack ? `holds back: ${holdsBack}` : "", silent ? `silent for ${age(quiet)}` : "", restrained].filter(Boolean);
  if (wrong.length > 0) return { wrong: true, words: wrong.join("; ") };
  return { wrong: false, words: leases > 0 ? "working" : streams > 0 ? "idle" : "–" };
}

/** What became of a step on many messages, in words. */
export function outcome(outcomes) {
  const refused = outcomes.filter(({ success }) => !success);
  const done = `${count(outcomes.length - refused.length)} done`;
  if (refused.length === 0) return `${done}.`;
  const reasons = new Map();
  for (const { reason, error } of refused) reasons.set(reason ?? error, (reasons.get(reason ?? error) ?? 0) + 1);
  return `${done}; ${count(refused.length)} refused: ${[...reasons].map(([why, many]) => `${why} (${many})`).join(", ")}.`;
}

/**
 * What is held back from a worker whose leases end without results, in words; empty if nothing is.
 * @param {{workerId: string, lostLeases: number, pausedUntil: number|null}[]} heldBack as `/api/stats` tells it
 * @param {number} now the server's clock, Unix milliseconds
 */
export function restrained(heldBack, workerId, now) {
  const worker = heldBack.find((worker) => worker.workerId === workerId);
  if (!worker) return "";
  const how = worker.pausedUntil === null ? "gets one at a time" : `paused for ${age(worker.pausedUntil - now)}`;
  return `${count(worker.lostLeases)} leases lost in a row: ${how}`;
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

const VERBS = {
  cancel: "cancelled", retry: "put back", edit: "changed", delete: "deleted", hide: "hid", restore: "showed again",
  block: "blocked", unblock: "lifted the block of", pause: "paused", resume: "let go on",
};

/** What stands for an id, an author or an address in a table: its first digits. */
export function short(digits) {
  return digits.slice(0, 8);
}

/**
 * What an operator did, in words around what it was on.
 * @param {object} act as `/api/admin/acts` tells it
 * @returns {{before: string, on: string, isName: boolean, after: string}} `on` is a name that somebody chose, or else digits
 */
export function acted({ kind, messageId, entity, author, address, count: messages, detail }) {
  const verb = VERBS[kind] ?? kind;
  const many = messageId === null && messages > 0 ? ` ${count(messages)} ${messages === 1 ? "message" : "messages"}` : "";
  const after = detail ? (kind === "block" ? ` ${detail}` : `: ${detail}`) : "";
  if (entity !== null) return { before: `${verb}${many}${many ? " for" : ""} `, on: entity, isName: true, after };
  const [what, digits] = messageId !== null ? ["the message", messageId] : author !== null ? ["author", author] : ["address", address];
  return { before: `${verb}${many}${many ? " of" : ""} ${what} `, on: digits ?? "", isName: false, after };
}

/** The values of a chart at a point, in words. */
export function values(name, point, intervalMs) {
  const rate = (value) => (value === null ? "unknown" : `${(value / (intervalMs / 1_000)).toFixed(1)} a second`);
  const ms = (value) => (value < 10 ? `${value.toFixed(1)} ms` : `${count(Math.round(value))} ms`);
  const number = (value) => (value === null ? "unknown" : count(value));
  const words = {
    throughput: () => `posted ${rate(point.posted)}, answered ${rate(point.answered)}, failed ${rate(point.failed)}`,
    latency: () => (point.postP50Ms === null ? "no comment was posted" : `p50 ${ms(point.postP50Ms)}, p99 ${ms(point.postP99Ms)}`),
    answers: () => (point.answerP50Ms === null ? "nothing was answered" : `p50 ${ms(point.answerP50Ms)}, p99 ${ms(point.answerP99Ms)}`),
    depth: () => `waiting ${number(point.pending)}, in work ${number(point.processing)}`,
    storage: () => `reads ${rate(point.storageReads)}, writes ${rate(point.storageWrites)}`,
  };
  return words[name]?.() ?? "";
}

/** What a chart shows, in a sentence, for those who do not see it. */
export function described(name, points, intervalMs) {
  const last = points.at(-1);
  return last ? `Now: ${values(name, last, intervalMs)}.` : "Nothing is known yet.";
}
