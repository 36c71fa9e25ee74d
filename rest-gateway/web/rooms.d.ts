// Types of rooms.js.

import type { RoomsPage } from "./repartee.js";

/** A page, and the tag by which the server knows whether it has changed. */
export interface Rooms extends RoomsPage {
  tag: string | null;
}

/**
 * The rooms of a server: the domains of the newest comments, those that it has in memory; 50 or `limit` of them. `known` is
 * what the same call gave before: it is given again where nothing has changed, and the server sends nothing.
 * @param base where the server is, such as `https://talk.example/`; in a page also a relative address
 * @throws ReparteeError where the server refuses it, with the reason `ROOMS_NOT_LISTED` where it lists no rooms
 */
export function rooms(base: string | URL, which?: {
  limit?: number;
  /** `next` of the page before. */
  cursor?: string;
  known?: Rooms | null;
  signal?: AbortSignal;
}): Promise<Rooms>;
