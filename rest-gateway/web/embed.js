// <repartee-comments domain="…" entity="…">: the comments of a domain, live, with a composer, in any page. It keeps to
// itself in a shadow root, takes its colors from custom properties, and needs nothing that a strict
// Content-Security-Policy forbids: no inline script or style, no eval, no markup from text.
//
// Attributes: `domain`, the room; `entity`, the bot that every comment goes to, where it is absent the writer may name
// one, where it is empty comments are posts to everybody; `suggested-entity`, the one that the writer finds named;
// `server`, the address of Repartee, by default where this file comes from; `markdown="off"`, for texts as they are written.

import { Composer } from "./composer.js";
import { h } from "./dom.js";
import { Feed, isUnfinished } from "./feed.js";
import { sheet } from "./look.js";
import { placed } from "./places.js";
import { newKey, Repartee } from "./repartee.js";
import { shared } from "./tabs.js";
import { View } from "./view.js";

/** Comments that the first page asks for, and each older one. */
const PAGE = 50;
const OLDER = 100;
/** Between two looks at what is to be shown, in ms: many changes at once are drawn once. */
const FRAME = 16;
/** Comments that could not be sent, and are known if they are sent again. */
const UNSENT = 16;
/** How somebody shows that they use the page. */
const USES = ["pointerdown", "pointermove", "keydown", "wheel", "focus"];

class ReparteeComments extends HTMLElement {
  static observedAttributes = ["domain", "entity", "suggested-entity", "server", "markdown"];

  #root = this.attachShadow({ mode: "open" });
  #status = h("p", { className: "connection", role: "status" });
  #view = new View();
  #composer = new Composer();
  #feed = new Feed();
  #client = null;
  #changes = null;
  #stop = null;
  #drawing = false;
  /** The keys of comments of which nobody knows whether they were stored, by their content. */
  #unsent = new Map();

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [sheet()];
    const hint = h("p", { id: "hint", className: "hint" }, "Enter sends, Shift+Enter starts a new line.");
    const foot = h("div", { className: "foot" }, h("div", {}, hint, this.#status));
    this.#root.append(this.#view.element, this.#composer.element, foot);
    this.#view.onolder = () => this.#readOlder();
    this.#view.onend = () => this.#feed.trim();
    this.#view.onact = (act, message) => this.#act(act, message);
    this.#view.owns = (id) => this.#client.owns(id);
    this.#composer.onsend = (written) => this.#send(written);
    this.#composer.onsave = async (id, text) => this.#take(await this.#client.edit(id, text, { signal: this.#stop.signal }));
  }

  connectedCallback() {
    this.#start();
  }

  disconnectedCallback() {
    this.#stop?.abort();
  }

  attributeChangedCallback(name, before, now) {
    if (!this.isConnected || before === now) return;
    if (name === "domain" || name === "server") this.#start();
    else if (name === "markdown") this.#draw();
    else this.#address();
  }

  get #domain() {
    return this.getAttribute("domain") || "lobby";
  }

  #address() {
    this.#composer.address(this.getAttribute("entity"), this.getAttribute("suggested-entity") ?? "");
  }

  #start() {
    this.#stop?.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const server = new URL(this.getAttribute("server") ?? ".", this.hasAttribute("server") ? document.baseURI : import.meta.url);
    this.#client = new Repartee(server);
    this.#feed = new Feed();
    this.#composer.end();
    this.#address();
    this.#view.olderIs("idle");
    this.#tell({ state: "connecting" });
    const open = (options) => placed(this.#client.changes({ domain: this.#domain, limit: PAGE, ...options }), server, options.signal);
    this.#changes = shared(open, `${server.href} ${this.#domain}`, signal);
    for (const use of USES) window.addEventListener(use, () => this.#changes.wake(), { passive: true, capture: true, signal });
    const look = () => document.visibilityState === "visible" && this.#changes.now();
    document.addEventListener("visibilitychange", look, { signal });
    window.addEventListener("pageshow", ({ persisted }) => persisted && look(), { signal });
    this.#follow(this.#changes, signal);
  }

  async #follow(changes, signal) {
    for await (const change of changes) {
      if (signal.aborted) return;
      if (change.type === "state") this.#tell(change);
      else if (change.type === "draft") this.#feed.draft(change.draft);
      else if (change.type === "message") this.#feed.take(change.message);
      else this.#feed.restart(change.messages, change.messages.length >= PAGE);
      if (change.type !== "state") this.#draw();
    }
  }

  #tell({ state, way, detail }) {
    const words = { connecting: "connecting…", reconnecting: "reconnecting…", offline: "offline", refused: detail };
    const text = state === "live" ? (way === "poll" ? "up to date" : "live") : words[state];
    if (this.#status.textContent === text) return;
    Object.assign(this.#status.dataset, { state, way: way ?? "" });
    this.#status.textContent = text;
  }

  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    setTimeout(() => {
      this.#drawing = false;
      this.#view.isPlain = this.getAttribute("markdown") === "off";
      if (this.#view.atEnd) this.#feed.trim();
      this.#view.show(this.#feed.entries(), (id) => this.#feed.find(id), this.#feed);
    }, FRAME);
  }

  async #readOlder() {
    const { signal } = this.#stop;
    const feed = this.#feed;
    this.#view.olderIs("loading");
    try {
      const page = await this.#client.messages({ domain: this.#domain, beforeId: feed.oldest.id, limit: OLDER, signal });
      if (feed !== this.#feed) return;
      feed.older(page.messages, page.more);
      this.#view.olderIs("idle");
      this.#draw();
    } catch {
      if (!signal.aborted) this.#view.olderIs("failed");
    }
  }

  #take(message) {
    this.#feed.take(message);
    this.#draw();
  }

  async #act(act, message) {
    const { id, text, username, color, botParams, replyTo } = message;
    if (act === "reply") return this.#composer.answer(message, (botParams ?? this.#feed.find(replyTo)?.botParams)?.entity);
    if (act === "edit") return this.#composer.change(message);
    const { signal } = this.#stop;
    this.#composer.tell(null);
    try {
      if (act === "remove") this.#take(await this.#client.remove(id, { signal }));
      else if (act === "stop") this.#take(await this.#client.cancel(id, { signal }));
      else await this.#send({ text, username, color, "message-type": "human", ...(replyTo && { replyTo }), botParams: { entity: botParams.entity, aiUsername: botParams.aiUsername, aiColor: botParams.aiColor } });
    } catch (error) {
      if (!signal.aborted) this.#composer.tell(error);
    }
    return undefined;
  }

  /** Shows the comment at once; one key for one content, so that sending the same again never stores it twice. */
  async #send(written) {
    const comment = { domain: this.#domain, ...written };
    const content = JSON.stringify(comment);
    const key = this.#unsent.get(content) ?? newKey();
    this.#unsent.set(content, key);
    if (this.#unsent.size > UNSENT) this.#unsent.delete(this.#unsent.keys().next().value);
    const { signal } = this.#stop;
    this.#feed.post(key, { replyTo: null, ...comment });
    this.#draw();
    this.#view.toNewest();
    try {
      const { message } = await this.#client.post(comment, { key, signal });
      this.#unsent.delete(content);
      this.#feed.confirm(key, message);
      // The answer may be there already.
      if (isUnfinished(this.#feed.find(message.id) ?? message)) this.#changes.awaits(message.id);
    } catch (error) {
      this.#feed.withdraw(key);
      throw error;
    } finally {
      this.#draw();
    }
  }
}

if (!customElements.get("repartee-comments")) customElements.define("repartee-comments", ReparteeComments);
