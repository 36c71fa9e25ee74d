// The figures and lists of the operator's page: what waits, who works, what failed, what was hidden, who is blocked, what
// operators did, and what it costs. Nothing here asks the server for anything.

import { h, named } from "./dom.js";
import { at, digits, fill, keepFocus, number, unseen, words } from "./parts.js";
import { acted, age, bill, count, judged, money, restrained, state, titled } from "./tables.js";

/** Where the lists that come by page begin: the position of each page that led to the one that is shown. */
export const pages = { entities: [], workers: [], failed: [], hidden: [], blocks: [], acts: [] };

/**
 * Shows all that is known.
 * @param {object} known the answers of the server, by name
 * @param {{action: Function, step: Function, actions: Function, look: Function}} can what can be done, as buttons
 */
export function showBoard(known, can) {
  showTiles(known);
  showWorkers(known, can);
  showEntities(known, can);
  showFailed(known, can);
  showWaiting(known, can);
  showHidden(known, can);
  showBlocks(known, can);
  showActs(known, can);
  showStorage(known);
}

function showTiles({ stats, history }) {
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

function showWorkers({ stats, history }, { look }) {
  const now = history.serverTime;
  const { sessions, sessionsTotal, nextSessionsAfter, heldBack = [] } = stats;
  at("of-workers").textContent = titled("In work, by worker", "In work, by worker,", sessions.length, sessionsTotal);
  showPages("workers", nextSessionsAfter, look);
  const rows = sessions.map((session) => {
    const worker = judged(session, now);
    const { wrong, words: said } = state(worker, restrained(heldBack, worker.workerId, now));
    return [
      named(worker.workerId),
      h("span", { className: "session" }, worker.sessionId ? named(worker.sessionId) : "–"),
      number(worker.streams), number(worker.leases), worker.lastRenewAt === null ? "never renewed" : `${age(now - worker.lastRenewAt)} ago`,
      h("span", { className: wrong ? "silent" : "soft" }, said),
    ];
  });
  const away = heldBack.filter(({ workerId }) => !sessions.some((session) => session.workerId === workerId));
  for (const { workerId } of away) {
    rows.push([named(workerId), "–", number(0), number(0), "–", h("span", { className: "silent" }, restrained(heldBack, workerId, now))]);
  }
  fill("workers", ["Worker", "Session", number("Streams"), number("Leases"), "Last renewed", "State"], rows, "No worker is connected, and nobody holds a message.");
}

function showEntities({ stats }, { action, look }) {
  const { entities, entitiesTotal, nextEntitiesAfter } = stats;
  at("of-entities").textContent = titled("Queue, by entity", "Queue, by entity,", entities.length, entitiesTotal);
  showPages("entities", nextEntitiesAfter, look);
  const rows = entities.map(({ entity, pending, processing, oldestAgeMs, paused }) => [
    h("span", {}, named(entity), paused ? h("span", { className: "mark" }, "paused") : null),
    number(count(pending)), number(count(processing)), number(age(oldestAgeMs)),
    paused ? action("Resume", entity, "api/queue/resume", { entity }) : action("Pause", entity, "api/queue/pause", { entity }),
  ]);
  fill("entities", ["Entity", number("Waiting"), number("In work"), number("Oldest waits"), unseen("Actions")], rows, "Nothing waits for a bot.");
}

/** The ways from the page of a list to the next one, and back. */
function showPages(name, next, look) {
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

function showFailed({ failed: { failed, more }, stats, history }, { step, actions, look }) {
  at("of-failed").textContent = pages.failed.length > 0 ? "Failed, further down" : titled("Failed", "Failed, the newest", failed.length, stats.failed);
  showPages("failed", more ? failed.at(-1)?.message.id : null, look);
  const rows = failed.map(({ message, errors, failures, expiries, cancelled }) => [
    words(message.text, named(message.username), " to ", named(message.botParams?.entity ?? "–"), ", in ", named(message.domain)),
    h("div", { className: "words error" }, ...(errors.length > 0 ? errors : [cancelled ? "cancelled" : "–"]).map((error) => h("p", { dir: "auto" }, error))),
    number(`${failures} · ${expiries}`),
    number(age(history.serverTime - message.timestamp)),
    actions(message, step("Retry", message, "api/queue/retry"), cancelled ? null : step("Cancel", message, "api/queue/cancel")),
  ]);
  fill("failed", ["Message", "Errors, the last one below", number("Failures · expiries"), number("Age"), unseen("Actions")], rows, "Nothing has failed.");
}

function showWaiting({ waiting, stats, history }, { step, actions }) {
  // What waits for its next attempt is counted, and listed once it is due.
  const all = waiting.more ? stats.pending : waiting.pending.length;
  at("of-waiting").textContent = titled("Waiting, the next ones first", "Waiting, the next", waiting.pending.length, all);
  const rows = waiting.pending.map((message) => [
    words(message.text, named(message.username), ", in ", named(message.domain)),
    named(message.botParams.entity), number(message.botParams.priority),
    number(age(history.serverTime - message.timestamp)),
    actions(message, step("Cancel", message, "api/queue/cancel")),
  ]);
  fill("waiting", ["Message", "Entity", number("Priority"), number("Age"), unseen("Actions")], rows, "Nothing waits.");
}

function showHidden({ hidden: { hidden, more }, history }, { step, look }) {
  at("of-hidden").textContent = more || pages.hidden.length > 0 ? `Hidden, ${hidden.length} of them` : "Hidden";
  showPages("hidden", more ? hidden.at(-1)?.id : null, look);
  const rows = hidden.map((message) => [
    words(message.text, named(message.username), ", in ", named(message.domain)),
    number(age(history.serverTime - message.timestamp)),
    step("Restore", message, "api/admin/restore"),
  ]);
  fill("hidden", ["Message", number("Age"), unseen("Actions")], rows, "Nothing is hidden.");
}

function showBlocks({ blocks: { blocks, nextAfter }, history }, { action, look }) {
  at("of-blocks").textContent = nextAfter || pages.blocks.length > 0 ? `Blocked, ${blocks.length} of them` : "Blocked";
  showPages("blocks", nextAfter, look);
  const rows = blocks.map(({ author, address, since, until, reason }) => [
    h("span", {}, author ? "author " : "address ", digits(author ?? address)),
    number(`${age(history.serverTime - since)} ago`), number(`for ${age(until - history.serverTime)} more`),
    h("span", { dir: "auto" }, reason || "–"),
    action("Lift", author ?? address, "api/admin/unblock", author ? { author } : { address }),
  ]);
  fill("blocks", ["Who", number("Since"), number("Ends"), "Why", unseen("Actions")], rows, "Nobody is blocked.");
}

function showActs({ acts: { acts, more }, history }, { look }) {
  at("of-acts").textContent = more || pages.acts.length > 0 ? `What operators did, ${acts.length} of it` : "What operators did";
  showPages("acts", more ? acts.at(-1)?.number : null, look);
  const rows = acts.map((act) => {
    const { before, on, isName, after } = acted(act);
    return [
      number(`${age(history.serverTime - act.at)} ago`),
      act.tokenName ? named(act.tokenName) : digits(act.tokenId),
      h("span", {}, before, isName ? named(on) : digits(on), after),
      h("span", { dir: "auto" }, act.reason || "–"),
    ];
  });
  fill("acts", [number("When"), "Who", "What", "Why"], rows, "Nothing was done yet.");
}

/** What the storage costs, at the prices that are entered. */
export function showStorage({ history }) {
  const { calls, spanMs } = history;
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
