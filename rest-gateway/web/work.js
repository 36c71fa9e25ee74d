// The messages to bots on the operator's page: what is looked for, what is found, page by page, and what is done about many
// of them at once.

import { send } from "./calls.js";
import { h, named } from "./dom.js";
import { about, at, button, digits, fill, keepFocus, number, unseen, words } from "./parts.js";
import { FIELDS, go, place } from "./place.js";
import { age, count, outcome } from "./tables.js";

/** What is chosen, by id; of what is listed only. */
const chosen = new Set();

/** Shows a page of what was found; `actions` makes the buttons of a message. */
export function showWork({ messages, nextBeforeId, error: wrong }, now, actions, look) {
  const ids = new Set(messages.map((message) => message.id));
  for (const id of chosen) if (!ids.has(id)) chosen.delete(id);
  const rows = messages.map((message) => {
    const { status, entity, claimedBy, error } = message.botParams;
    return [
      choice(message, messages), words(message.text, named(message.username), " to ", named(entity), ", in ", named(message.domain)),
      h("span", { className: "status" }, status), h("span", {}, claimedBy === null ? "–" : named(claimedBy)),
      errorOf(error), number(age(now - message.timestamp)),
      actions(message, button("View", about("View", message.text), message.id, () => {
        go({ message: message.id });
        look();
      })),
    ];
  });
  const none = wrong ? wrong.message : nextBeforeId === null ? "No message is like that." : "Among the newest of these no message is like that: go on.";
  fill("work", [all(messages), "Message", "Status", "Worker", "Last error", number("Age"), unseen("Actions")], rows, none);
  showPages(nextBeforeId, look);
  tellChosen();
}

function errorOf(error) {
  return error === null ? "–" : h("div", { className: "words error" }, h("p", { dir: "auto" }, error));
}

/** The boxes that choose one message, and all that are shown. */
function choice(message) {
  const box = h("input", { type: "checkbox", checked: chosen.has(message.id), "aria-label": about("Choose", message.text) });
  box.dataset.key = `choose ${message.id}`;
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(message.id);
    else chosen.delete(message.id);
    tellChosen();
  });
  return box;
}

function all(messages) {
  const box = h("input", { type: "checkbox", checked: messages.length > 0 && messages.every((message) => chosen.has(message.id)), "aria-label": "Choose all that are shown" });
  box.dataset.key = "choose all";
  box.addEventListener("change", () => {
    for (const { id } of messages) {
      if (box.checked) chosen.add(id);
      else chosen.delete(id);
    }
    for (const one of at("work").querySelectorAll("tbody input")) one.checked = box.checked;
    tellChosen();
  });
  return { className: "", content: h("label", { className: "all" }, box, h("span", {}, "All that are shown")) };
}

function tellChosen() {
  at("chosen").hidden = chosen.size === 0;
  at("chosen-count").textContent = `${count(chosen.size)} chosen`;
}

function showPages(next, look) {
  const turn = (name, beforeId) => button(name, name, "work", () => {
    go({ beforeId });
    look();
  });
  const ways = [...(place().beforeId === "" ? [] : [turn("First page", "")]), ...(next === null ? [] : [turn("Next page", next)])];
  keepFocus(at("pages-work"), () => at("pages-work").replaceChildren(...ways));
  at("pages-work").hidden = ways.length === 0;
}

/** Shows what the address looks for in the form. */
export function showAsked() {
  const asked = place();
  for (const field of FIELDS) at(`find-${field}`).value = asked[field];
}

/** Lets messages be looked for and acted on; `look` shows what is there then, `said` tells how it went. */
export function listen(look, said) {
  at("find").addEventListener("submit", (event) => {
    event.preventDefault();
    go({ beforeId: "", ...Object.fromEntries(FIELDS.map((field) => [field, at(`find-${field}`).value.trim()])) });
    look();
  });
  at("find-all").addEventListener("click", () => {
    go({ beforeId: "", ...Object.fromEntries(FIELDS.map((field) => [field, ""])) });
    showAsked();
    look();
  });
  for (const [id, name, path] of [["retry-chosen", "Retry", "api/queue/retry-messages"], ["cancel-chosen", "Cancel", "api/queue/cancel-messages"]]) {
    at(id).addEventListener("click", async () => {
      const messageIds = [...chosen];
      const reason = await confirmed(`${name} ${count(messageIds.length)} ${messageIds.length === 1 ? "message" : "messages"}?`, name);
      if (reason === null) return;
      try {
        const { outcomes } = await send(path, { messageIds, reason });
        for (const { messageId, success } of outcomes) if (success) chosen.delete(messageId);
        said(`${name}: ${outcome(outcomes)}`);
      } catch (error) {
        said(`${name}: ${error.message}`, true);
      }
      look();
    });
  }
}

/** Asks whether that is meant, and why it is done; null if it is not. */
function confirmed(question, name) {
  const [dialog, why] = [at("sure"), at("sure-why")];
  at("sure-what").textContent = question;
  at("sure-yes").textContent = `${name} them`;
  why.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    const submit = (event) => {
      event.preventDefault();
      dialog.close("yes");
    };
    const no = () => dialog.close("");
    at("sure-form").addEventListener("submit", submit);
    at("sure-no").addEventListener("click", no);
    dialog.addEventListener("close", () => {
      at("sure-form").removeEventListener("submit", submit);
      at("sure-no").removeEventListener("click", no);
      answer(dialog.returnValue === "yes" ? why.value.trim() : null);
    }, { once: true });
  });
}

/** Shows why there is no message to show. */
export function showNone(why) {
  at("view-text").textContent = why;
  at("view-facts").replaceChildren();
  at("view-attempts").replaceChildren();
  at("view-errors-part").hidden = true;
  at("view-talk-part").hidden = true;
  at("view").hidden = false;
}

/** Shows one message with its conversation and its attempts. */
export function showMessage(inspected, now, look) {
  const { message, attempts, errors, traceId, conversation, conversationMore, replyId } = inspected;
  const bot = message.botParams;
  const find = (name, fields) => button(name, name, "view", () => {
    go({ ...Object.fromEntries(FIELDS.map((field) => [field, ""])), beforeId: "", message: "", ...fields });
    showAsked();
    look();
  });
  const fact = (name, ...what) => [h("dt", {}, name), h("dd", {}, ...what)];
  const facts = [
    ...fact("Id", h("code", {}, message.id)),
    ...fact("Posted", `${age(now - message.timestamp)} ago, ${new Date(message.timestamp).toLocaleString()}`),
    ...fact("By", named(message.username), ", in ", named(message.domain)),
    ...fact("Status", bot ? bot.status : "not for a bot", message.hidden ? ", hidden" : "", message.deleted ? ", deleted" : ""),
    ...(bot ? fact("To", named(bot.entity), ", priority ", String(bot.priority), `, claimed ${count(bot.attempts)} ${bot.attempts === 1 ? "time" : "times"}`) : []),
    ...(replyId ? fact("Reply", h("code", {}, replyId)) : []),
    ...fact("Trace or request", traceId === null ? "–" : h("code", {}, traceId)),
    ...(message.author ? fact("Author", digits(message.author), " ", find("Find this author's", { author: message.author })) : []),
  ];
  keepFocus(at("view"), () => {
    at("view-text").textContent = message.text || "(deleted)";
    at("view-facts").replaceChildren(...facts);
  });
  const rows = attempts.map(({ workerId, beganAt, endedAt, end, error }) => [
    named(workerId), number(new Date(beganAt).toLocaleTimeString()),
    number(endedAt === null ? "–" : age(endedAt - beganAt)), end === null ? "in work" : end.replace("-", " "),
    errorOf(error),
  ]);
  fill("view-attempts", ["Worker", number("Began"), number("Took"), "End", "Error"], rows, "Nobody has claimed it.");
  at("view-errors").replaceChildren(...errors.map((error) => h("li", { dir: "auto" }, error)));
  at("view-errors-part").hidden = errors.length === 0;
  const lines = conversation.map((line) => h("li", { className: line.id === message.id ? "this" : "" }, h("strong", {}, named(line.username)), " ", h("span", { dir: "auto" }, line.text)));
  at("view-talk").replaceChildren(...(conversationMore ? [h("li", { className: "soft" }, "…")] : []), ...lines);
  at("view-talk-part").hidden = lines.length === 0;
  const wasHidden = at("view").hidden;
  at("view").hidden = false;
  // After the button that opened it has got its focus back.
  if (wasHidden) requestAnimationFrame(() => at("of-view").focus());
}
