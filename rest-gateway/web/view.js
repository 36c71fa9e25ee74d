// Shows the entries of a feed. Owns the list's elements; never asks the server. What people write reaches the page as
// text only: `textContent`, and numbers in custom properties, never markup.

const STATUS = { sending: "sending…", pending: "pending", processing: "answering…", complete: "answered", failed: "failed" };
/** How far from its end, in px, the log still counts as read to the end. */
const NEAR_END = 60;
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/**
 * The three parts of a color of nine digits, such as "169080199"; null for every other text ("default", too).
 * @param {string} color
 * @returns {[number, number, number]|null} red, green and blue, 0 to 255 each
 */
export function parseColor(color) {
  if (!/^[0-9]{9}$/.test(color)) return null;
  const parts = [0, 3, 6].map((at) => Number(color.slice(at, at + 3)));
  return parts.every((part) => part <= 255) ? parts : null;
}

/** The color of nine digits for a `#rrggbb` of the browser's color field. */
export function colorOf(hex) {
  return [1, 3, 5].map((at) => String(parseInt(hex.slice(at, at + 2), 16)).padStart(3, "0")).join("");
}

/**
 * Black or white, whichever is easier to read on the color: WCAG 2.2's relative luminance against the point where
 * both contrasts are equal.
 */
export function inkOn(rgb) {
  const [r, g, b] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** What stands below a message: its state as a word for styles, and as text; null where no bot is asked. */
export function statusOf({ draft, message }) {
  if (draft) return { state: "sending", text: STATUS.sending };
  const bot = message.botParams;
  if (!bot || message.deleted) return null;
  const error = bot.status === "failed" && bot.error ? `: ${bot.error}` : "";
  return { state: bot.status, text: `${bot.entity} · ${STATUS[bot.status] ?? bot.status}${error}` };
}

/** The log of comments on the page. */
export class View {
  #log;
  #list;
  #empty;
  #newest;
  #template;
  /** @type {Map<string, {element: HTMLElement, message: object, draft: boolean}>} */
  #shown = new Map();

  /** @param {Document} page */
  constructor(page) {
    this.#log = page.getElementById("log");
    this.#list = page.getElementById("messages");
    this.#empty = page.getElementById("empty");
    this.#newest = page.getElementById("newest");
    this.#template = page.getElementById("message");
    this.#newest.addEventListener("click", () => this.toNewest());
    this.#log.addEventListener("scroll", () => {
      if (this.#atEnd()) this.#newest.hidden = true;
    }, { passive: true });
  }

  /**
   * Brings the list up to date; elements of unchanged lines stay as they are.
   * @param {import("./feed.js").Entry[]} entries oldest first
   * @param {(id: string) => object|undefined} find looks up the message that another one answers
   */
  show(entries, find) {
    const follow = this.#atEnd();
    const last = this.#list.lastElementChild;
    const keys = new Set(entries.map((entry) => entry.key));
    for (const [key, { element }] of this.#shown) {
      if (keys.has(key)) continue;
      element.remove();
      this.#shown.delete(key);
    }
    let place = this.#list.firstElementChild;
    for (const entry of entries) {
      const element = this.#element(entry, find);
      if (element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(element, place);
    }
    this.#empty.hidden = entries.length > 0;
    this.#log.setAttribute("aria-busy", "false");
    if (follow) this.toNewest();
    else if (this.#list.lastElementChild !== last) this.#newest.hidden = false;
  }

  /** Scrolls to the newest comment. */
  toNewest() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#newest.hidden = true;
  }

  #atEnd() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_END;
  }

  #element(entry, find) {
    const shown = this.#shown.get(entry.key);
    if (shown && shown.message === entry.message && shown.draft === entry.draft) return shown.element;
    const element = shown?.element ?? this.#template.content.firstElementChild.cloneNode(true);
    fill(element, entry, find);
    this.#shown.set(entry.key, { element, message: entry.message, draft: entry.draft });
    return element;
  }
}

function fill(element, entry, find) {
  const { message } = entry;
  const part = (selector) => element.querySelector(selector);
  const ai = message["message-type"] === "AI";
  if (message.id) element.id = `m-${message.id}`;
  element.classList.toggle("ai", ai);
  element.classList.toggle("draft", entry.draft);
  element.classList.toggle("deleted", message.deleted === true);
  paint(element, message.color);
  part(".avatar").textContent = [...message.username][0] ?? "";
  part(".name").textContent = message.username;
  part(".badge").hidden = !ai;
  part(".text").textContent = message.deleted ? "This comment was removed." : message.text;
  fillReply(part(".reply"), find(message.replyTo));
  fillTime(part("time"), message.timestamp);
  fillStatus(part(".status"), statusOf(entry));
}

/** The author's color as numbers in custom properties, set through the CSSOM, which a strict CSP allows. */
function paint(element, color) {
  const rgb = parseColor(color);
  if (!rgb) return;
  element.style.setProperty("--accent", `rgb(${rgb.join(" ")})`);
  element.style.setProperty("--on-accent", inkOn(rgb));
}

function fillReply(link, answered) {
  link.hidden = !answered;
  if (!answered) return;
  link.href = `#m-${answered.id}`;
  link.textContent = `to ${answered.username}`;
}

function fillTime(time, timestamp) {
  if (!Number.isFinite(timestamp)) return;
  const date = new Date(timestamp);
  time.dateTime = date.toISOString();
  time.textContent = TIME.format(date);
  time.title = DATE_TIME.format(date);
}

function fillStatus(line, status) {
  line.hidden = status === null;
  line.dataset.state = status?.state ?? "";
  line.textContent = status?.text ?? "";
}
