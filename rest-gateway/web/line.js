// One comment on the page: its element, and how it is filled.

import { h, named, paint } from "./dom.js";

const STATUS = { sending: "sending…", pending: "pending", processing: "answering…", complete: "answered", failed: "could not answer" };
/** What readers are told of failures that have a reason to tell; others are for the operator's page. */
const REASONS = { cancelled: "stopped", expired: "nobody was there to answer" };
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

/**
 * What stands below a message: its state as a word for styles, and as text, with the bot; null where no bot is asked.
 */
export function statusOf({ state, message }) {
  if (state === "sending") return { state, text: STATUS.sending };
  if (state === "writing") return { state, text: "writing…" };
  const bot = message.botParams;
  if (!bot || message.deleted) return null;
  const reason = bot.status === "failed" && Object.hasOwn(REASONS, bot.error) ? REASONS[bot.error] : null;
  return { state: bot.status, bot: bot.entity, text: reason ?? STATUS[bot.status] ?? bot.status };
}

/** The words of a status, in which a bot's name stands apart, and what its author can do about it. */
function words({ state, bot, text }, isOwn) {
  const act = isOwn && { pending: "stop", processing: "stop", failed: "again" }[state];
  const button = act && h("button", { type: "button", className: "act", "data-act": act }, act === "stop" ? "Stop" : "Ask again");
  return [...(bot ? [named(bot), " · "] : []), text, ...(button ? [" ", button] : [])];
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
    text: h("div", { className: "text", dir: "auto" }),
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
 * @param {{isPlain: boolean, isOwn: boolean}} how whether nothing in a text is more than text, and whether its author is here
 */
export function fill({ element, parts }, entry, answered, { isPlain, isOwn }) {
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
  fillText(parts.text, message, isPlain);
  parts.reply.hidden = !answered;
  parts.reply.replaceChildren(...(answered ? ["to ", named(answered.username)] : []));
  parts.reply.dataset.to = answered?.id ?? "";
  fillTime(parts.time, message.timestamp);
  const status = statusOf(entry);
  parts.status.hidden = status === null;
  parts.status.dataset.state = status?.state ?? "";
  parts.status.replaceChildren(...(status ? words(status, isOwn) : []));
}

/** What shows more than text, once something needed it, and what waits for it: for each element what to show. */
let prose = null;
const waiting = new Map();

function fillText(element, message, isPlain) {
  const isMarkdown = message["message-type"] === "AI";
  const isMore = !isPlain && !message.deleted && (isMarkdown || message.text.includes("://"));
  element.classList.toggle("prose", isMore && isMarkdown && prose !== null);
  waiting.delete(element);
  if (isMore && prose) {
    prose.show(element, message.text, isMarkdown);
    return;
  }
  element.textContent = message.deleted ? "This comment was removed." : message.text;
  if (!isMore) return;
  if (waiting.size === 0) import("./prose.js").then(refill, () => waiting.clear());
  waiting.set(element, message);
}

function refill(module) {
  prose = module;
  for (const [element, message] of [...waiting]) fillText(element, message, false);
}

function fillTime(time, timestamp) {
  if (!Number.isFinite(timestamp)) return;
  const date = new Date(timestamp);
  time.dateTime = date.toISOString();
  time.textContent = TIME.format(date);
  time.title = date.toLocaleString();
}
