// The log of comments on the page: the list, where it is scrolled to, and what is read out. Never asks the server.

import { Acts } from "./acts.js";
import { h, named } from "./dom.js";
import { dayOf, fill, newLine } from "./line.js";

/** How far from its end, in px, the log still counts as read to the end. */
const NEAR_END = 60;
/** How far from its beginning, in px, older comments are read. */
const NEAR_BEGINNING = 600;

/** The log. `element` goes into the page; `onolder` is called when older comments are wanted. */
export class View {
  onolder = () => {};
  onend = () => {};
  /** Called with what somebody wants to do with a message: "reply", "edit", "remove", "stop" or "again". */
  onact = () => {};
  /** Whether somebody here has written the message with this id. */
  owns = () => false;
  /** True where nothing in a text is to be more than text. */
  isPlain = false;
  #acts = new Acts();
  #list = h("ol", { className: "messages" });
  #empty = h("p", { className: "empty", hidden: true }, "Nothing has been said here yet. Write the first comment.");
  #older = h("button", { type: "button", className: "older", hidden: true });
  #log = h("section", { className: "log", role: "log", "aria-label": "Comments", "aria-live": "off", "aria-busy": "true", tabIndex: 0 });
  #newest = h("button", { type: "button", className: "newest", hidden: true });
  #spoken = h("div", { className: "visually-hidden", "aria-live": "polite" });
  /** @type {Map<string, {line: object, message: object, state: string, answered: string, isPlain: boolean, isOwn: boolean}>} */
  #shown = new Map();
  #unread = new Set();
  #follows = true;
  #last = -Infinity;
  #begun = false;

  constructor() {
    this.#log.append(this.#older, this.#list, this.#empty);
    this.element = h("div", { className: "view" }, this.#log, this.#newest, this.#spoken);
    this.#newest.addEventListener("click", () => {
      this.toNewest();
      this.#log.focus({ preventScroll: true });
    });
    this.#older.addEventListener("click", () => this.onolder());
    this.#list.addEventListener("click", ({ target }) => {
      const { to, act } = target.closest("[data-to], [data-act]")?.dataset ?? {};
      if (to) this.#goTo(to);
      if (act) this.onact(act, this.#entryOf(target.closest("li.message")).message);
      this.#point(target);
    });
    // A finger is over a line only while it taps: buttons that came with the tap would take it.
    this.#list.addEventListener("pointerover", ({ target, pointerType }) => pointerType === "touch" || this.#point(target));
    this.#list.addEventListener("pointerleave", ({ pointerType }) => pointerType === "touch" || this.#acts.show(false));
    this.#acts.onstep = (line) => {
      this.#actAt(line);
      line.scrollIntoView({ block: "nearest" });
    };
    this.#acts.onact = (act, message) => this.onact(act, message);
    this.#log.addEventListener("scroll", () => {
      this.#follows = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_END;
      if (this.#follows) this.#read();
      this.#wantOlder();
    }, { passive: true });
    // A taller composer, a narrower window: who reads the newest goes on reading it.
    const resized = new ResizeObserver(() => this.#follows && this.#toEnd());
    for (const element of [this.#log, this.#list]) resized.observe(element);
  }

  /** True while the newest comments are being read. */
  get atEnd() {
    return this.#follows;
  }

  /**
   * Brings the list up to date; elements of unchanged lines stay as they are, and what is being read stays where it is.
   * @param {import("./feed.js").Entry[]} entries oldest first
   * @param {(id: string) => object|undefined} find looks up the message that another one answers
   * @param {{hasOlder: boolean}} more
   */
  show(entries, find, { hasOlder }) {
    const follow = this.#follows;
    const fromEnd = this.#log.scrollHeight - this.#log.scrollTop;
    const top = this.#list.firstElementChild;
    this.#place(entries, find);
    this.#actAgain(entries.at(-1));
    this.#older.hidden = !hasOlder;
    this.#empty.hidden = entries.length > 0;
    this.#log.setAttribute("aria-busy", "false");
    this.#tell(entries, follow);
    if (follow) this.toNewest();
    // Older lines came above what is being read.
    else if (this.#list.firstElementChild !== top) this.#log.scrollTop = this.#log.scrollHeight - fromEnd;
    this.#wantOlder();
  }

  /** Says how reading older comments goes: "idle", "loading" or "failed". */
  olderIs(state) {
    const words = { idle: "Show older comments", loading: "Reading older comments…", failed: "Older comments could not be read. Try again" };
    this.#older.textContent = words[state];
    this.#older.dataset.state = state;
  }

  /** Scrolls to the newest comment. */
  toNewest() {
    this.#follows = true;
    this.#toEnd();
    this.#read();
  }

  /** Reads something out to those who hear the page. */
  speak(...said) {
    this.#spoken.append(h("p", {}, ...said));
    while (this.#spoken.childElementCount > 5) this.#spoken.firstElementChild.remove();
  }

  #place(entries, find) {
    const keys = new Set(entries.map((entry) => entry.key));
    for (const [key, { line }] of this.#shown) {
      if (keys.has(key)) continue;
      line.element.remove();
      this.#shown.delete(key);
    }
    let place = this.#list.firstElementChild;
    let day = null;
    for (const entry of entries) {
      const element = this.#line(entry, find);
      const its = dayOf(entry.message) ?? day;
      if (its !== null && its !== day) element.dataset.day = its;
      else delete element.dataset.day;
      day = its;
      if (element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(element, place);
    }
  }

  #line(entry, find) {
    const { message, state } = entry;
    const answered = find(message.replyTo);
    const shown = this.#shown.get(entry.key) ?? { line: newLine() };
    const now = { message, state, answered: answered?.id, isPlain: this.isPlain, isOwn: this.owns(message.id) };
    if (Object.entries(now).some(([name, value]) => shown[name] !== value)) {
      fill(shown.line, entry, answered, now);
      this.#shown.set(entry.key, Object.assign(shown, now));
    }
    return shown.line.element;
  }

  #entryOf(element) {
    return [...this.#shown.values()].find(({ line }) => line.element === element);
  }

  #point(target) {
    const line = target.closest("li.message");
    this.#actAt(line);
    this.#acts.show(line !== null);
  }

  #actAt(line) {
    const shown = line && this.#entryOf(line);
    if (shown) this.#acts.at(line, shown);
  }

  /** The buttons know the newest of their comment; unless somebody uses them, they stand where the keyboard comes first. */
  #actAgain(last) {
    this.#actAt(this.#acts.inUse ?? this.#shown.get(last?.key)?.line.element);
  }

  /** Counts and reads out what is new at the end. */
  #tell(entries, seen) {
    const stored = entries.filter((entry) => entry.state === "stored");
    const fresh = stored.filter((entry) => entry.message.timestamp > this.#last && !entry.own);
    this.#last = Math.max(this.#last, stored.at(-1)?.message.timestamp ?? this.#last);
    if (this.#begun) for (const { message } of fresh.slice(-5)) this.speak(named(message.username), `: ${message.text}`);
    if (this.#begun && !seen) for (const entry of fresh) this.#unread.add(entry.key);
    this.#begun = true;
    for (const key of this.#unread) if (!this.#shown.has(key)) this.#unread.delete(key);
    this.#newest.hidden = this.#unread.size === 0;
    this.#newest.textContent = `${this.#unread.size} new ↓`;
  }

  #toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  #read() {
    this.#unread.clear();
    this.#newest.hidden = true;
    this.onend();
  }

  #wantOlder() {
    if (!this.#older.hidden && this.#older.dataset.state === "idle" && this.#log.scrollTop < NEAR_BEGINNING) this.onolder();
  }

  #goTo(id) {
    const line = [...this.#list.children].find((element) => element.dataset.id === id);
    line?.scrollIntoView({ block: "center" });
    line?.animate?.({ backgroundColor: ["var(--brand-tint)", "transparent"] }, 1_600);
  }
}
