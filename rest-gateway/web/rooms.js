// The rooms of a server: in which domains people speak, and when somebody did last. Apart from repartee.js, for what shows
// the comments of one domain does not need it.

import { ReparteeError } from "./repartee.js";
import { expected } from "./shapes.js";

/** A call without an answer for this long, in ms, has failed. */
const PATIENCE = 15_000;

const isRoom = (value) => typeof value?.domain === "string" && typeof value.lastActivity === "number";
const isPage = (value) => Array.isArray(value?.rooms) && value.rooms.every(isRoom) && typeof value.more === "boolean";

/** One page of the rooms; `known`, what the same call gave before, where nothing has changed. */
export async function rooms(base, { limit, cursor, known = null, signal } = {}) {
  const root = new URL(base, globalThis.location?.href);
  if (!root.pathname.endsWith("/")) root.pathname += "/";
  const url = new URL("api/rooms", root);
  for (const [name, value] of Object.entries({ limit, cursor })) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  }
  const headers = known?.tag ? { "If-None-Match": known.tag } : {};
  const deadline = AbortSignal.timeout(PATIENCE);
  const ends = signal ? AbortSignal.any([signal, deadline]) : deadline;
  const response = await fetch(url, { cache: "no-store", credentials: "same-origin", headers, signal: ends });
  if (response.status === 304 && known) return known;
  if (!response.ok) throw new ReparteeError(response, await response.json().catch(() => null));
  const page = expected("a list of rooms", isPage, await response.json());
  return { rooms: page.rooms, more: page.more, next: page.next ?? null, reset: page.reset === true, tag: response.headers.get("ETag") };
}
