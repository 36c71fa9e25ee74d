// The list of rooms on the page, of a server that lists them. It is read when it is first looked at, and again as long as
// somebody does: beside the comments where there is room for both, else behind a button.

import { h, isolated, named } from "./dom.js";
import { rooms } from "./rooms.js";

/** Rooms that are shown first, and as many more each time; no page has more than the most. */
const STEP = 30;
const MOST = 1_000;
/** Between two looks at the server, in ms; after failures ever longer, up to the longest. */
const PAUSE = 30_000;
const LONGEST_PAUSE = 300_000;
/** Where both have room; style.css has the same. */
const WIDE = "(min-width: 64rem)";

const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
/** Units up to a week, with how many ms each has. */
const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]];

/** A time as people read it: how long ago it was, and its date once that is a week. What is ahead of the clock is now. */
export function timeInWords(at, now) {
  const age = now - at;
  if (age >= 7 * 86_400_000) return DATE.format(at);
  const [unit, ms] = UNITS.find(([, ms]) => age >= ms) ?? ["second", Infinity];
  return RELATIVE.format(-Math.trunc(Math.max(age, 0) / ms), unit);
}

/** The address of a room: that of this page with another domain. */
function addressOf(domain) {
  const query = new URLSearchParams(location.search);
  query.set("domain", domain);
  return `?${query}`;
}

export class RoomList {
  #domain;
  #list = h("ol");
  #note = h("p", { className: "note", role: "status" }, "Reading the rooms…");
  #more = h("button", { type: "button", hidden: true }, "Show more rooms");
  #nav = h("nav", { id: "rooms", className: "rooms", "aria-labelledby": "rooms-name", hidden: true },
    h("h2", { id: "rooms-name" }, "Rooms"), this.#list, this.#note, this.#more);
  #toggle = h("button", { type: "button", className: "rooms-toggle", "aria-expanded": "false", "aria-controls": "rooms" }, "Rooms");
  #wide = matchMedia(WIDE);
  #isOpen = false;
  #limit = STEP;
  #page = null;
  /** How many rooms were asked for when the page was read. */
  #read = 0;
  #failures = 0;
  #isReading = false;
  #timer = null;
  #ended = new AbortController();
  /** @type {Map<string, {item: HTMLElement, link: HTMLElement, time: HTMLElement}>} */
  #shown = new Map();

  /** @param {string} domain the room that the page shows */
  constructor(domain) {
    const { signal } = this.#ended;
    this.#domain = domain.normalize("NFC");
    document.querySelector(".bar").append(this.#toggle);
    document.body.append(this.#nav);
    this.#toggle.addEventListener("click", () => this.#open(!this.#isOpen));
    this.#more.addEventListener("click", () => this.#showMore());
    this.#wide.addEventListener("change", () => this.#arrange(), { signal });
    document.addEventListener("visibilitychange", () => this.#look(), { signal });
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.#isOpen && this.#open(false), { signal });
    document.addEventListener("pointerdown", ({ target }) => {
      if (this.#isOpen && !this.#nav.contains(target) && target !== this.#toggle) this.#open(false);
    }, { signal });
    this.#arrange();
  }

  get #isLookedAt() {
    return !this.#nav.hidden && document.visibilityState === "visible" && !this.#ended.signal.aborted;
  }

  /** Shows or hides the list where it stands behind its button. Whoever used the keyboard goes on where they would expect. */
  #open(isOpen) {
    const hadFocus = this.#nav.contains(document.activeElement);
    this.#isOpen = isOpen;
    this.#toggle.setAttribute("aria-expanded", String(isOpen));
    this.#arrange();
    if (isOpen) this.#focusOn(this.#current ?? this.#list.querySelector("a") ?? this.#toggle);
    else if (hadFocus) this.#toggle.focus();
  }

  #arrange() {
    this.#nav.hidden = !this.#wide.matches && !this.#isOpen;
    this.#look();
  }

  get #current() {
    return this.#list.querySelector("[aria-current]");
  }

  #focusOn(element) {
    element.focus({ preventScroll: true });
    if (element !== this.#toggle) element.scrollIntoView({ block: "nearest" });
  }

  /** Reads the list if somebody looks at it, and again after a pause as long as they do. */
  async #look() {
    clearTimeout(this.#timer);
    if (!this.#isLookedAt || this.#isReading) return;
    this.#isReading = true;
    const limit = this.#limit;
    try {
      // The tag of a page says nothing of its length.
      const known = this.#read === limit ? this.#page : null;
      this.#page = await rooms(".", { limit, known, signal: this.#ended.signal });
      this.#read = limit;
      this.#failures = 0;
    } catch (error) {
      if (error.status === 404) return this.#end();
      this.#failures += 1;
    } finally {
      this.#isReading = false;
    }
    this.#draw();
    if (limit !== this.#limit) return this.#look();
    this.#timer = setTimeout(() => this.#look(), Math.min(PAUSE * 2 ** this.#failures, LONGEST_PAUSE));
  }

  /** The server lists no rooms any more. */
  #end() {
    this.#ended.abort();
    this.#nav.remove();
    this.#toggle.remove();
  }

  #showMore() {
    this.#limit = Math.min(this.#limit + STEP, MOST);
    this.#page = null;
    this.#look();
  }

  #draw() {
    if (this.#page) this.#place(this.#page.rooms);
    this.#note.hidden = this.#failures === 0 && this.#shown.size > 0;
    this.#note.textContent = this.#failures > 0 ? "The rooms could not be read. They are asked for again." : "Nobody has spoken yet.";
    this.#more.hidden = !this.#page?.more || this.#limit >= MOST;
  }

  #place(listed) {
    const now = Date.now();
    const focused = document.activeElement;
    const domains = new Set(listed.map(({ domain }) => domain));
    for (const [domain, { item }] of this.#shown) {
      if (domains.has(domain)) continue;
      item.remove();
      this.#shown.delete(domain);
    }
    let place = this.#list.firstElementChild;
    for (const { domain, lastActivity } of listed) {
      const room = this.#shown.get(domain) ?? this.#newRoom(domain);
      room.time.dateTime = new Date(lastActivity).toISOString();
      room.time.title = new Date(lastActivity).toLocaleString();
      room.time.textContent = timeInWords(lastActivity, now);
      if (room.item === place) place = place.nextElementSibling;
      else this.#list.insertBefore(room.item, place);
    }
    // An element that is moved loses the focus.
    if (focused !== document.activeElement && this.#list.contains(focused)) focused.focus({ preventScroll: true });
  }

  #newRoom(domain) {
    const time = h("time");
    const name = h("span", { className: "name", title: isolated(domain) }, h("span", { "aria-hidden": "true" }, "#"), named(domain));
    const link = h("a", { href: addressOf(domain) }, name, time);
    if (domain === this.#domain) link.setAttribute("aria-current", "page");
    const room = { item: h("li", {}, link), link, time };
    this.#shown.set(domain, room);
    return room;
  }
}
