// How many connections the tabs of one browser hold open to a server. Over HTTP/1.1 a browser opens six to a server, for
// all its tabs together: six domains that are followed by stream would keep every other call waiting, a new comment too.
// Over HTTP/2 it has one for all, and nobody needs to wait.

/** Feeds that may hold a connection open at a time; what is left is for calls. */
export const PLACES = 4;

/**
 * The feed, which holds a connection open only while it has one of the places, and polls otherwise. Where a browser has no
 * locks to share places by, a page that nobody looks at polls.
 *
 * @param {import("./changes.js").Changes} feed not iterated yet
 * @param {URL} server
 * @param {AbortSignal} signal gives the place back
 */
export function placed(feed, server, signal, parts = { locks: globalThis.navigator?.locks, page: document, isLimited }) {
  const { locks, page } = parts;
  if (!parts.isLimited(server)) return feed;
  if (locks) {
    feed.mayHold(take(locks, `repartee ${server.origin} place`, signal, () => feed.mayHold(true)));
  } else {
    const look = () => feed.mayHold(page.visibilityState === "visible");
    page.addEventListener("visibilitychange", look, { signal });
    look();
  }
  return feed;
}

/** False where the browser is known to need one connection only. */
function isLimited({ href }) {
  const seen = performance.getEntriesByType("resource").findLast(({ name, nextHopProtocol }) => name.startsWith(href) && nextHopProtocol);
  return !/^h[23]/.test(seen?.nextHopProtocol ?? "");
}

/** Takes a place, and keeps it until `signal` is aborted. Where none is free says so, and calls `later` once one is. */
async function take(locks, name, signal, later) {
  const kept = () => new Promise((free) => {
    if (signal.aborted) free();
    signal.addEventListener("abort", free, { once: true });
  });
  const names = Array.from({ length: PLACES }, (_, at) => `${name} ${at + 1}`);
  try {
    for (const one of names) if (await isFree(locks, one, kept)) return true;
  } catch {
    // A page that may have no locks, as in a sandbox, is alone with its connections.
    return true;
  }
  const waiting = new AbortController();
  signal.addEventListener("abort", () => waiting.abort(), { once: true });
  const granted = () => {
    // Another one may have been free at the same moment.
    if (waiting.signal.aborted) return undefined;
    waiting.abort();
    later();
    return kept();
  };
  for (const one of names) locks.request(one, { signal: waiting.signal }, granted).catch(() => {});
  return false;
}

/** Takes one lock for as long as `kept` waits, where it is free. */
function isFree(locks, name, kept) {
  return new Promise((tell, fail) => {
    const given = (lock) => {
      tell(lock !== null);
      return lock === null ? undefined : kept();
    };
    locks.request(name, { ifAvailable: true }, given).catch(fail);
  });
}
