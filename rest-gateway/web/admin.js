// The operator's page: asks for the figures, shows them, and does what an operator asks for. What people wrote reaches
// it as text only.

// First: a token in the address is taken out of it before anything else runs.
import { advice, forget, keep, take, token } from "./token.js";

import { pages, showBoard, showStorage } from "./board.js";
import { read, send } from "./calls.js";
import * as charts from "./charts.js";
import { h } from "./dom.js";
import { about, at, button } from "./parts.js";
import { SPANS, go, place, query } from "./place.js";
import * as work from "./work.js";

/** Between two looks, in ms. */
const EVERY = 3_000;
const PRICES = "repartee.prices";
/** How many rows of each list are shown. */
const LISTED = 50;

let known = null;
let timer = null;
/** Counts the looks: what an older one brings is not shown over what a newer one has shown. */
let looks = 0;
/** An act was done since the last look: its outcome is to be seen at once. */
let hasActed = false;

async function look() {
  clearTimeout(timer);
  const sent = token();
  if (sent === null) return ask();
  const [turn, where] = [++looks, place()];
  try {
    const answers = await asked(where);
    if (turn !== looks) return undefined;
    known = answers;
    at("login").hidden = true;
    at("board").hidden = false;
    show(where);
    tell("live", "live");
    await charts.draw(known.history, where.span);
  } catch (error) {
    if (turn !== looks) return undefined;
    if (error.status === 401 || error.status === 403) return refused(sent, error);
    tell("lost", error.status ? error.message : "The server cannot be reached…");
  }
  // Meanwhile the page may have been hidden, or looked again.
  clearTimeout(timer);
  if (document.visibilityState === "visible") timer = setTimeout(look, EVERY);
  return undefined;
}

/**
 * Asks for all that is shown. What is looked for is asked for again only if something has changed, and after a pause that
 * grows with what it cost: it may be a look at a thousand messages.
 */
async function asked({ message, span, ...where }) {
  const stats = await read(statsPath());
  const listed = (path, name, position) => {
    const from = pages[name]?.at(-1);
    return read(`${path}?${new URLSearchParams({ limit: LISTED, ...(from !== undefined && { [position]: from }) })}`);
  };
  const history = read(span === "1h" ? "api/admin/history" : `api/admin/history?span=${span}`);
  const state = `${stats.epoch} ${stats.tailSeq} ${message} ${query(where, LISTED)}`;
  const same = known?.state === state ? known : null;
  const wanted = query(where, LISTED);
  const isWaited = !hasActed && known?.wanted === wanted && performance.now() < known.foundAt + pause(known.found);
  hasActed = false;
  // What is not there, or was asked for in a wrong way, is no reason to show nothing else.
  const wrong = (error) => {
    if (error.status === 400 || error.status === 404) return { messages: [], nextBeforeId: null, error };
    throw error;
  };
  const answers = {
    stats, history, state, inspected: message === "" ? null : same?.inspected ?? read(`api/admin/work/${encodeURIComponent(message)}`).catch(wrong),
    wanted, foundAt: same || isWaited ? known.foundAt : performance.now(),
    found: same?.found ?? (isWaited ? known.found : read(`api/admin/work?${wanted}`).catch(wrong)),
    failed: listed("api/queue/failed", "failed", "beforeId"), waiting: listed("api/queue/pending"),
    hidden: listed("api/admin/hidden", "hidden", "beforeId"), blocks: listed("api/admin/blocks", "blocks", "after"),
    acts: listed("api/admin/acts", "acts", "before"),
  };
  const values = await Promise.all(Object.values(answers));
  return Object.fromEntries(Object.keys(answers).map((name, index) => [name, values[index]]));
}

/** How long what was found is good enough, in ms: a hundred storage reads a second at the most. */
function pause(found) {
  return Math.min(60_000, 10 * (found?.kvStats?.reads ?? 0));
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
  return ask(`${error.message[0].toUpperCase()}${error.message.slice(1).replace(/\.?$/, ".")}`, advice(error.message));
}

/** Asks for the token, and says why and what to do if there is something to say; nothing is shown without one. */
function ask(why, advice = "") {
  looks += 1;
  at("board").hidden = true;
  at("login").hidden = false;
  if (why !== undefined) at("why").textContent = why;
  at("advice").textContent = advice;
  tell("lost", "signed out");
  at("token").focus();
}

function tell(state, text) {
  at("state").dataset.state = state;
  if (at("state").textContent !== text) at("state").textContent = text;
}

function show({ message, span }) {
  showBoard(known, { action, step, actions, look });
  const now = known.history.serverTime;
  work.showWork(known.found, now, actionsByStatus, look);
  for (const one of SPANS) at(`span-${one}`).setAttribute("aria-pressed", String(one === span));
  if (message === "") at("view").hidden = true;
  else if (known.inspected.error) work.showNone(known.inspected.error.message);
  else work.showMessage(known.inspected, now, look);
}

/** What can be done about a message of any status. */
function actionsByStatus(message, view) {
  const { status, error } = message.botParams;
  return actions(message, view,
    status === "failed" && !message.deleted && !message.hidden ? step("Retry", message, "api/queue/retry") : null,
    status === "complete" || (status === "failed" && error === "cancelled") ? null : step("Cancel", message, "api/queue/cancel"));
}

/** What can be done about a message and its author. Whoever brought no secret is known by their address only. */
function actions(message, ...own) {
  const { id, text, author, address } = message;
  const block = (name, who) => action(name, text, "api/admin/block", () => ({ ...who, for: at("span").value }), id);
  return h("div", { className: "actions" },
    ...own, message.hidden || message.deleted ? null : step("Hide", message, "api/admin/hide"),
    author && author !== address ? block("Block author", { author }) : null,
    address ? block("Block address", { address }) : null);
}

/** A button that does something to a message. */
function step(name, message, path) {
  return action(name, message.text, path, { messageId: message.id });
}

/** A button that sends something; what, may depend on the moment. `key` tells it from others of its name. */
function action(name, text, path, what, key = JSON.stringify(what)) {
  return button(name, about(name, text), key, async (pressed) => {
    pressed.disabled = true;
    try {
      await send(path, typeof what === "function" ? what() : what);
      said(`${name}: done.`);
    } catch (error) {
      said(`${name}: ${error.message}`, true);
    }
    look();
  });
}

/** Tells how something went, to those who listen too, until the next one. */
function said(text, failed = false) {
  hasActed = true;
  at("said").className = failed ? "outcome failed" : "outcome";
  at("said").textContent = text;
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
  const isToken = keep(at("token").value);
  at("token").value = "";
  if (isToken) {
    at("why").textContent = "";
    at("advice").textContent = "";
    tell("connecting", "signing in…");
    look();
  } else ask("This cannot be a token: it has 8 to 1,024 visible ASCII characters and no space.", "Copy all of the line in the file, or the whole link that was printed.");
});
at("seen").addEventListener("change", () => { at("token").type = at("seen").checked ? "text" : "password"; });
at("by-id").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await send("api/admin/hide", { messageId: at("hide-id").value.trim() });
    at("hide-id").value = "";
    said("Hide: done.");
  } catch (error) {
    said(`Hide: ${error.message}`, true);
  }
  look();
});
at("prices").addEventListener("submit", (event) => event.preventDefault());
at("prices").addEventListener("input", () => {
  const { reads, writes } = at("prices").elements;
  kept(localStorage, PRICES, JSON.stringify({ reads: reads.value, writes: writes.value }));
  if (known) showStorage(known);
});
for (const span of SPANS) {
  at(`span-${span}`).addEventListener("click", () => {
    go({ span: span === "1h" ? "" : span });
    look();
  });
}
at("view-close").addEventListener("click", async () => {
  go({ message: "" });
  await look();
  // What had the focus is hidden now.
  at("of-work").focus();
});
work.listen(look, said);
work.showAsked();
charts.listen(() => known && charts.draw(known.history, place().span).catch(() => {}));
addEventListener("hashchange", () => {
  if (take()) look();
});
addEventListener("popstate", () => {
  work.showAsked();
  look();
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
