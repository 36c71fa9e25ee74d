// One comment on the page: its element, and how it is filled.

import { h, named, paint } from "./dom.js";

const STATUS = { sending: "sending…", pending: "pending", processing: "answering…", complete: "answered", failed: "failed" };
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const DATE_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/**
 * What stands below a message: its state as a word for styles, and as text, with the bot and its error where there are
 * any; null where no bot is asked.
 */
export function statusOf({ state, message }) {
  if (state === "sending") return { state, text: STATUS.sending };
  if (state === "writing") return { state, text: "writing…" };
  const bot = message.botParams;
  if (!bot || message.deleted) return null;
  const error = bot.status === "failed" && bot.error ? bot.error : null;
  return { state: bot.status, bot: bot.entity, text: STATUS[bot.status] ?? bot.status, error };
}

/** The words of a status; what people and bots wrote stands apart. */
function words({ bot, text, error }) {
  return [...(bot ? [named(bot), " · "] : []), text, ...(error ? [": ", named(error)] : [])];
}

/** The day of a message in words, for the line between two days. */
export function dayOf({ timestamp }) {
  return Number.isFinite(timestamp) ? DATE.format(timestamp) : null;
}

/** An empty line. */
export function newLine() {
  const parts = {
    avatar: h("span", { className: "avatar", "aria-hidden": "true" }),
    name: h("bdi", { className: "name" }),
    badge: h("span", { className: "badge", textContent: "AI" }),
    reply: h("button", { type: "button", className: "reply" }),
    time: h("time"),
    text: h("p", { className: "text", dir: "auto" }),
    status: h("p", { className: "status" }),
  };
  const header = h("header", {}, parts.name, parts.badge, parts.reply, parts.time);
  const element = h("li", { className: "message" }, parts.avatar, h("article", {}, header, parts.text, parts.status));
  return { element, parts };
}

/**
 * Fills a line.
 * @param {{element: HTMLElement, parts: object}} line
 * @param {import("./feed.js").Entry} entry
 * @param {object|undefined} answered the message that this one answers, where it is known
 */
export function fill({ element, parts }, entry, answered) {
  const { message, state } = entry;
  const ai = message["message-type"] === "AI";
  element.dataset.id = message.id ?? "";
  element.dataset.state = state;
  element.classList.toggle("ai", ai);
  element.classList.toggle("deleted", message.deleted === true);
  paint(element, message.color);
  parts.avatar.textContent = [...message.username][0] ?? "";
  parts.name.textContent = message.username;
  parts.badge.hidden = !ai;
  parts.text.textContent = message.deleted ? "This comment was removed." : message.text;
  parts.reply.hidden = !answered;
  parts.reply.replaceChildren(...(answered ? ["to ", named(answered.username)] : []));
  parts.reply.dataset.to = answered?.id ?? "";
  fillTime(parts.time, message.timestamp);
  const status = statusOf(entry);
  parts.status.hidden = status === null;
  parts.status.dataset.state = status?.state ?? "";
  parts.status.replaceChildren(...(status ? words(status) : []));
}

function fillTime(time, timestamp) {
  if (!Number.isFinite(timestamp)) return;
  const date = new Date(timestamp);
  time.dateTime = date.toISOString();
  time.textContent = TIME.format(date);
  time.title = DATE_TIME.format(date);
}
