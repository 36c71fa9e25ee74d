// The page's wiring: what is typed goes to the server, what the server knows goes to the view. Every call to the server
// is made here; the schedule is in poll.js, the state in feed.js, the elements in view.js.

import { Feed } from "./feed.js";
import { Poller } from "./poll.js";
import { View, colorOf } from "./view.js";

/** Comments asked for at once. More than feed.js watches, so that a held-back position rarely needs a second page. */
const PAGE = 200;
/** A call without an answer for this long, in ms, has failed. */
const PATIENCE = 15_000;
/** Pauses before an own comment is sent again, in ms. */
const RESEND = [500, 1_500];
/** Answers after which it is not known whether the comment was stored; the same key makes asking again safe. */
const UNSURE = new Set([500, 502, 503, 504]);
const AUTHOR = "repartee.author";
const COLORS = ["#a9502d", "#2d7aa9", "#4c8b3f", "#8a4fb0", "#b08a2e", "#2f8f83", "#b04f73"];

const domain = new URLSearchParams(location.search).get("domain") || "lobby";
const form = document.getElementById("composer");
const field = { username: form.username, color: form.color, entity: form.entity, text: form.text };
const button = document.getElementById("send");
const errorLine = document.getElementById("error");
const connection = document.getElementById("connection");

const feed = new Feed();
const view = new View(document);
let asked = { url: "", etag: "" };
let unsent = { content: "", key: "" };
let postedAt = 0;

const poller = new Poller({
  poll,
  awaiting: () => (feed.awaitsAnswer() ? performance.now() - postedAt : null),
});

/** A refusal in words for people, from an `application/problem+json` body where there is one. */
class Refusal extends Error {
  constructor(response, problem) {
    const fields = Array.isArray(problem?.errors) ? problem.errors : [];
    const whole = problem?.detail ?? problem?.title ?? `The server answered ${response.status}.`;
    const more = fields.filter(({ detail }) => !whole.includes(detail)).map(({ pointer, detail }) => `${pointer}: ${detail}`);
    super([whole, ...more].join("\n"));
    this.status = response.status;
    this.fields = fields;
    this.retryAfter = Number(response.headers.get("Retry-After") ?? 0) * 1_000 || 0;
  }
}

async function call(url, options = {}) {
  // No HTTP cache: `stale-while-revalidate` would show each answer one poll late. The entity tag is kept here instead.
  const response = await fetch(url, { ...options, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (response.ok || response.status === 304) return response;
  throw new Refusal(response, await response.json().catch(() => null));
}

function commentsUrl(after) {
  const query = new URLSearchParams({ domain, limit: String(PAGE) });
  if (after > 0) query.set("after", String(after));
  return `api/comments?${query}`;
}

async function poll() {
  try {
    await readNews();
    tellConnection("live", "up to date");
  } catch (error) {
    tellConnection("lost", lost(error));
    throw error;
  }
}

/** Why there is no news, in a few words. A refusal that asking again does not change is told as the server put it. */
function lost(error) {
  if (!navigator.onLine) return "offline";
  if (error instanceof Refusal && error.status < 500 && error.status !== 429) return error.message;
  return "reconnecting…";
}

async function readNews() {
  const url = commentsUrl(feed.position());
  const headers = url === asked.url && asked.etag ? { "If-None-Match": asked.etag } : {};
  const response = await call(url, { headers });
  if (response.status === 304) return;
  const messages = await response.json();
  if (feed.position() > 0 && response.headers.get("X-More") === "true") {
    // More than a page behind, after a long sleep for example: go on from the newest page, not through all that was said.
    feed.restart(await (await call(commentsUrl(0))).json());
  } else {
    feed.merge(messages);
  }
  asked = { url, etag: response.headers.get("ETag") ?? "" };
  show();
}

function show() {
  view.show(feed.entries(), (id) => feed.find(id));
}

function tellConnection(state, text) {
  if (connection.dataset.state === state && connection.textContent === text) return;
  connection.dataset.state = state;
  connection.textContent = text;
}

/** What the composer holds, as the body of a post. */
function written() {
  const entity = field.entity.value.trim();
  return {
    domain,
    text: field.text.value,
    username: field.username.value.trim(),
    color: colorOf(field.color.value),
    "message-type": "human",
    ...(entity && { botParams: { entity } }),
  };
}

/** One key for one content: sending the same again, by the page or by hand, never stores it twice. */
function keyFor(content) {
  if (unsent.content !== content) {
    // `crypto.randomUUID` is missing where the page is not served over TLS or from this machine.
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    unsent = { content, key: Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  return unsent.key;
}

async function post(content, key) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  for (const pause of [...RESEND, null]) {
    try {
      const response = await call("api/comments", { method: "POST", headers, body: content });
      return (await response.json()).message;
    } catch (error) {
      const known = error instanceof Refusal && !UNSURE.has(error.status);
      if (known || pause === null) throw error;
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }
}

async function send(event) {
  event.preventDefault();
  if (button.disabled) return;
  tellError(null);
  if (!nothingMissing()) return;
  const body = written();
  const content = JSON.stringify(body);
  const key = keyFor(content);
  rememberAuthor();
  setSending(true);
  feed.post(key, { ...body, replyTo: null });
  show();
  view.toNewest();
  try {
    feed.confirm(key, await post(content, key));
    postedAt = performance.now();
    unsent = { content: "", key: "" };
    field.text.value = "";
    poller.now();
  } catch (error) {
    feed.withdraw(key);
    tellError(error);
  }
  setSending(false);
  // A button that is switched off loses the focus; it goes on where the next comment is written.
  if (!form.contains(document.activeElement)) field.text.focus();
  show();
}

/** While a comment is on its way its text stays, readable and focused; it goes when the server has it. */
function setSending(sending) {
  button.disabled = sending;
  field.text.readOnly = sending;
  button.textContent = sending ? "Sending…" : "Send";
}

/** True where nothing is missing; otherwise says what, and goes there. */
function nothingMissing() {
  const missing = [field.username, field.text].find((input) => input.value.trim() === "");
  if (!missing) return true;
  errorLine.textContent = missing === field.text ? "Write something first." : "Tell your name first.";
  markWrong(missing.name);
  missing.focus();
  return false;
}

function tellError(error) {
  for (const input of Object.values(field)) input.removeAttribute("aria-invalid");
  if (error === null) {
    errorLine.textContent = "";
  } else if (error instanceof Refusal) {
    errorLine.textContent = error.message;
    for (const { pointer } of error.fields) markWrong(String(pointer).split("/").at(-1));
  } else {
    errorLine.textContent = "The server cannot be reached. Your comment is kept here: send it again in a moment.";
  }
}

function markWrong(name) {
  if (Object.hasOwn(field, name)) field[name].setAttribute("aria-invalid", "true");
}

/** Name, color and bot stay for the next visit, where the browser lets a page keep anything. */
function rememberAuthor() {
  const author = { username: field.username.value, color: field.color.value, entity: field.entity.value };
  try {
    localStorage.setItem(AUTHOR, JSON.stringify(author));
  } catch {
    // Storage is blocked or full: the fields are typed again next time, nothing else is lost.
  }
}

function recallAuthor() {
  field.color.value = COLORS[Math.floor(Math.random() * COLORS.length)];
  try {
    const author = JSON.parse(localStorage.getItem(AUTHOR)) ?? {};
    for (const name of ["username", "color", "entity"]) field[name].value = author[name] ?? field[name].value;
  } catch {
    // Nothing kept, or not readable: the fields start as they are.
  }
}

function listen() {
  form.addEventListener("submit", send);
  field.text.addEventListener("keydown", (event) => {
    // While an input method composes a character, Enter accepts it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "focus"]) {
    window.addEventListener(kind, () => poller.wake(), { passive: true, capture: true });
  }
  window.addEventListener("online", () => poller.now());
  window.addEventListener("offline", () => tellConnection("lost", "offline"));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") poller.now();
  });
}

document.title = `${domain} · Repartee`;
document.getElementById("domain").textContent = domain;
recallAuthor();
listen();
poller.now();
