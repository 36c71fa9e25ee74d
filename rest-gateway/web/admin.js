// The operator's page: asks for the figures, shows them, and does what an operator asks for. What people wrote reaches
// it as text only.

// First: a token in the address is taken out of it before anything else runs.
import { forget, keep, take, token } from "./token.js";

import { h, isolated, named } from "./dom.js";
import { age, bill, count, described, judged, money, titled } from "./tables.js";

/** Between two looks, in ms. */
const EVERY = 3_000;
const PATIENCE = 15_000;
const PRICES = "repartee.prices";
/** How many failed and waiting messages are shown. */
const LISTED = 50;

const at = (id) => document.getElementById(id);
/** Where the lists that come by page begin: the position of each page that led to the one that is shown. */
const pages = { entities: [], workers: [] };
const dark = matchMedia("(prefers-color-scheme: dark)");
let known = null;
let charted = "";
let timer = null;

async function call(path, options = {}) {
  const headers = { ...options.headers, Authorization: `Bearer ${token()}` };
  const response = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  throw Object.assign(new Error(problem?.detail ?? `The server answered ${response.status}.`), { status: response.status });
}

const read = async (path) => (await call(path)).json();

async function look() {
  clearTimeout(timer);
  const sent = token();
  if (sent === null) return ask();
  try {
    const [stats, history, failed, waiting] = await Promise.all([
      read(statsPath()), read("api/admin/history"), read(`api/queue/failed?limit=${LISTED}`), read(`api/queue/pending?limit=${LISTED}`),
    ]);
    known = { stats, history, failed: failed.failed, waiting: waiting.pending };
    at("login").hidden = true;
    at("board").hidden = false;
    show();
    tell("live", "live");
    await draw();
  } catch (error) {
    if (error.status === 401 || error.status === 403) return refused(sent, error);
    tell("lost", error.status ? error.message : "The server cannot be reached…");
  }
  timer = setTimeout(look, EVERY);
  return undefined;
}

/** The statistics, with the pages that are shown. */
function statsPath() {
  const [entities, sessions] = [pages.entities.at(-1), pages.workers.at(-1)];
  const query = new URLSearchParams({ ...(entities && { entitiesAfter: entities }), ...(sessions && { sessionsAfter: sessions }) });
  return query.size > 0 ? `api/stats?${query}` : "api/stats";
}

/** The server does not take the token: it is wrong, was revoked, has expired, or is not an operator's; the server says which. */
function refused(sent, error) {
  // Meanwhile there may be another one.
  if (token() !== sent) return look();
  forget();
  return ask(`${error.message[0].toUpperCase()}${error.message.slice(1).replace(/\.?$/, ".")}`);
}

/** Asks for the token, and says why if there is something to say; nothing is shown without one. */
function ask(why) {
  at("board").hidden = true;
  at("login").hidden = false;
  if (why !== undefined) at("why").textContent = why;
  tell("lost", "signed out");
  at("token").focus();
}

function tell(state, text) {
  at("state").dataset.state = state;
  if (at("state").textContent !== text) at("state").textContent = text;
}

function show() {
  showTiles();
  showWorkers();
  showEntities();
  showFailed();
  showWaiting();
  showStorage();
}

function showTiles() {
  const { stats, history } = known;
  const last = history.points.at(-1);
  const perSecond = (value) => (value === null || value === undefined ? "–" : (value / (history.intervalMs / 1_000)).toFixed(1));
  const tiles = [
    ["Waiting", count(stats.pending)],
    ["In work", count(stats.processing)],
    ["Failed", count(stats.failed), stats.failed > 0],
    ["Oldest waits", stats.pending > 0 ? age(stats.oldestAgeMs) : "–"],
    ["Posted / s", perSecond(last?.posted)],
    ["Answered / s", perSecond(last?.answered)],
    ["SSE clients", count(history.now.sseClients)],
    ["Long-polls", count(history.now.longPolls)],
    ["Watchers", count(stats.watchers)],
  ];
  const tile = ([name, value, alarm]) =>
    h("dl", { className: alarm ? "tile alarm" : "tile" }, h("dt", {}, name), h("dd", {}, value));
  at("tiles").replaceChildren(...tiles.map(tile));
}

function showWorkers() {
  const now = known.history.serverTime;
  const { sessions, sessionsTotal, nextSessionsAfter } = known.stats;
  at("of-workers").textContent = titled("In work, by worker", "In work, by worker,", sessions.length, sessionsTotal);
  showPages("workers", nextSessionsAfter);
  const rows = sessions.map((session) => {
    const { quiet, silent, lastRenewAt, ...worker } = judged(session, now);
    return [
      named(worker.workerId),
      h("span", { className: "session" }, worker.sessionId ? named(worker.sessionId) : "–"),
      number(worker.streams), number(worker.leases), lastRenewAt === null ? "never renewed" : `${age(now - lastRenewAt)} ago`,
      silent ? h("span", { className: "silent" }, `silent for ${age(quiet)}`) : "",
    ];
  });
  fill("workers", ["Worker", "Session", number("Streams"), number("Leases"), "Last renewed", ""], rows, "No worker is connected, and nobody holds a message.");
}

function showEntities() {
  const { entities, entitiesTotal, nextEntitiesAfter } = known.stats;
  at("of-entities").textContent = titled("Queue, by entity", "Queue, by entity,", entities.length, entitiesTotal);
  showPages("entities", nextEntitiesAfter);
  const rows = entities.map((entity) => [
    named(entity.entity), number(count(entity.pending)), number(count(entity.processing)), number(age(entity.oldestAgeMs)),
  ]);
  fill("entities", ["Entity", number("Waiting"), number("In work"), number("Oldest waits")], rows, "Nothing waits for a bot.");
}

/** The ways from the page of a list to the next one, and back. */
function showPages(name, next) {
  const turn = (words, change) => {
    const button = h("button", { type: "button" }, words);
    button.dataset.key = `${words} ${name}`;
    button.addEventListener("click", () => {
      change();
      look();
    });
    return button;
  };
  const back = pages[name].length > 0 ? [turn("First page", () => pages[name].splice(0)), turn("Page before", () => pages[name].pop())] : [];
  const on = next ? [turn("Next page", () => pages[name].push(next))] : [];
  keepFocus(at(`pages-${name}`), () => at(`pages-${name}`).replaceChildren(...back, ...on));
  at(`pages-${name}`).hidden = back.length + on.length === 0;
}

function showFailed() {
  at("of-failed").textContent = titled("Failed", "Failed, the newest", known.failed.length, known.stats.failed);
  const rows = known.failed.map(({ message, errors, failures, expiries, cancelled }) => [
    words(message.text, named(message.username), " to ", named(message.botParams?.entity ?? "–"), ", in ", named(message.domain)),
    h("div", { className: "words error" }, ...(errors.length > 0 ? errors : [cancelled ? "cancelled" : "–"]).map((error) => h("p", { dir: "auto" }, error))),
    number(`${failures} · ${expiries}`),
    number(age(known.history.serverTime - message.timestamp)),
    h("div", { className: "actions" },
      action("Retry", message, "api/queue/retry"), cancelled ? null : action("Cancel", message, "api/queue/cancel")),
  ]);
  fill("failed", ["Message", "Errors, the last one below", number("Failures · expiries"), number("Age"), ""], rows, "Nothing has failed.");
}

function showWaiting() {
  // What waits for its next attempt is counted, and listed once it is due.
  const all = known.waiting.length < LISTED ? known.waiting.length : known.stats.pending;
  at("of-waiting").textContent = titled("Waiting, the next ones first", "Waiting, the next", known.waiting.length, all);
  const rows = known.waiting.map((message) => [
    words(message.text, named(message.username), ", in ", named(message.domain)),
    named(message.botParams.entity), number(message.botParams.priority),
    number(age(known.history.serverTime - message.timestamp)),
    action("Cancel", message, "api/queue/cancel"),
  ]);
  fill("waiting", ["Message", "Entity", number("Priority"), number("Age"), ""], rows, "Nothing waits.");
}

function showStorage() {
  const { calls, spanMs } = known.history;
  const prices = { reads: Number(at("prices").elements.reads.value) || 0, writes: Number(at("prices").elements.writes.value) || 0 };
  const { rows, total } = bill(calls, spanMs, prices);
  const each = (sum, calls) => (calls > 0 ? (sum / calls).toFixed(1) : "–");
  fill("storage", ["Call", number("Calls"), number("Reads"), number("Writes"), number("Reads a call"), number("Writes a call"), number("A month")],
    rows.map((row) => [
      row.call, number(count(row.calls)), number(count(row.reads)), number(count(row.writes)),
      number(each(row.reads, row.calls)), number(each(row.writes, row.calls)), number(row.cost === null ? "–" : money(row.cost)),
    ]), "Nothing was asked of the storage yet.");
  at("projection").textContent = total === null ? "" : `${money(total)} a month, as the last ${age(spanMs)} went`;
}

/** A cell whose content stands at its end, as numbers do. */
function number(content) {
  return { className: "number", content: String(content) };
}

function words(text, ...below) {
  return h("div", { className: "words" }, h("p", { dir: "auto" }, text), h("span", { className: "soft" }, ...below));
}

/** A button that is being used stays in use: what is under a finger is not exchanged. */
function keepFocus(part, change) {
  const focused = part.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  change?.();
  if (focused !== undefined) requestAnimationFrame(() => part.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus());
}

function fill(id, heads, rows, none) {
  const table = at(id);
  keepFocus(table);
  if (rows.length === 0) {
    table.replaceChildren(h("tbody", {}, h("tr", {}, h("td", { className: "none" }, none))));
    return;
  }
  const cell = (tag) => (one) => (one?.className !== undefined && one.content !== undefined ? h(tag, { className: one.className }, one.content) : h(tag, {}, one));
  const head = h("thead", {}, h("tr", {}, ...heads.map(cell("th"))));
  table.replaceChildren(head, h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(cell("td"))))));
}

/** A button that does something to a message. */
function action(name, message, path) {
  const button = h("button", { type: "button", "aria-label": `${name}: ${isolated(message.text.slice(0, 60))}` }, name);
  button.dataset.key = `${name} ${message.id}`;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ messageId: message.id }) });
      say(`${name}: done.`);
    } catch (error) {
      say(`${name}: ${error.message}`);
      tell("lost", error.message);
    }
    look();
  });
  return button;
}

function say(text) {
  at("said").textContent = text;
}

/** Fetches the charts anew where there is a new point, or another theme. */
async function draw() {
  const { points, intervalMs } = known.history;
  const theme = dark.matches ? "dark" : "light";
  const now = `${points.at(-1)?.time} ${theme}`;
  if (now === charted) return;
  for (const image of document.querySelectorAll("[data-chart]")) {
    const name = image.dataset.chart;
    const width = Math.round(Math.min(2_000, Math.max(200, image.clientWidth)));
    const picture = await (await call(`api/admin/chart/${name}?theme=${theme}&width=${width}`)).blob();
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(picture);
    image.alt = described(name, points, intervalMs);
  }
  // Only now: charts of which one failed are fetched again with the next look.
  charted = now;
}

/** What a browser keeps for this page; nothing where it keeps nothing. */
function kept(storage, name, value) {
  try {
    if (value !== undefined) storage.setItem(name, value);
    return storage.getItem(name);
  } catch {
    return null;
  }
}

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const kept = keep(at("token").value.trim());
  at("token").value = "";
  if (kept) look();
  else ask("This cannot be a token: it has 8 to 1,024 visible ASCII characters and no space.");
});
at("prices").addEventListener("submit", (event) => event.preventDefault());
at("prices").addEventListener("input", () => {
  const { reads, writes } = at("prices").elements;
  kept(localStorage, PRICES, JSON.stringify({ reads: reads.value, writes: writes.value }));
  if (known) showStorage();
});
dark.addEventListener("change", () => known && draw().catch(() => {}));
addEventListener("hashchange", () => {
  if (take()) look();
});
document.addEventListener("visibilitychange", () => {
  // A page that nobody looks at asks for nothing.
  if (document.visibilityState === "visible") look();
  else clearTimeout(timer);
});
try {
  const prices = JSON.parse(kept(localStorage, PRICES)) ?? {};
  for (const name of ["reads", "writes"]) if (prices[name]) at("prices").elements[name].value = prices[name];
} catch {
  // Nothing kept that can be read: the prices start as they are.
}
look();
