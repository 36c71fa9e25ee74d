// The form in which comments are written, answered and changed. Keeps what was typed until it is stored, and the author for
// the next visit; who that is folds away once it is known.

import { colorOf, h, named } from "./dom.js";
import { wellFormed } from "./shapes.js";

const AUTHOR = "repartee.author";
const COLORS = ["#a9502d", "#2d7aa9", "#4c8b3f", "#8a4fb0", "#b08a2e", "#2f8f83", "#b04f73"];

/** The form. `onsend` is called with what was written and has to settle once it is stored, or throw why it is not. */
export class Composer {
  onsend = async () => {};
  /** Called with the id and the new text of a comment that is changed, likewise. */
  onsave = async () => {};
  #sending = false;
  /** The message that is answered or changed. */
  #about = null;
  #isEdit = false;
  /** What was being written when the change of another comment began. */
  #kept = "";
  #fields = {
    username: h("input", { id: "name", name: "username", dir: "auto", autocomplete: "nickname", maxLength: 64 }),
    color: h("input", { id: "color", name: "color", type: "color" }),
    entity: h("input", { id: "entity", name: "entity", dir: "auto", maxLength: 64, autocomplete: "off", autocapitalize: "none", spellcheck: false, placeholder: "nobody" }),
    text: h("textarea", { id: "text", name: "text", dir: "auto", rows: 1, maxLength: 16_384, placeholder: "Say something…", enterKeyHint: "send", "aria-describedby": "error hint" }),
  };
  #button = h("button", { id: "send", type: "submit" }, "Send");
  #error = h("p", { id: "error", className: "error", role: "alert" });
  #who = h("summary");
  #fold = h("details", { className: "who", open: true });
  #aboutWhat = h("span");
  #aboutEnd = h("button", { type: "button" }, "Cancel");
  #aboutLine = h("p", { className: "about", hidden: true }, this.#aboutWhat, this.#aboutEnd);
  #entity = h("label", { className: "field", for: "entity" }, h("span", {}, "To bot"), this.#fields.entity);

  constructor() {
    const { username, color, entity, text } = this.#fields;
    this.#fold.append(this.#who, h("div", { className: "fields" },
      h("label", { className: "field field-color", for: "color" }, h("span", { className: "visually-hidden" }, "Color"), color),
      h("label", { className: "field", for: "name" }, h("span", {}, "Name"), username),
      this.#entity));
    this.element = h("form", { className: "composer", "aria-label": "Write a comment", noValidate: true },
      this.#fold,
      this.#aboutLine,
      h("div", { className: "write" },
        h("label", { className: "visually-hidden", for: "text" }, "Comment"), text, this.#button),
      this.#error);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    for (const input of [username, color, entity]) input.addEventListener("input", () => this.#sayWho());
    this.#aboutEnd.addEventListener("click", () => this.end());
    text.addEventListener("input", () => this.#grow());
    text.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#about) this.end();
      // While an input method composes a character, Enter accepts it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.element.requestSubmit();
    });
    this.#recall();
    // Until somebody has written there is nothing to fold away.
    this.#fold.open = this.#who.hidden = username.value.trim() === "";
    this.#sayWho();
  }

  /** The bot that every comment goes to; null leaves it to the writer, beginning with `suggested`. */
  address(entity, suggested = "") {
    this.#entity.hidden = entity !== null;
    this.#fields.entity.value = entity ?? (this.#fields.entity.value || suggested);
    this.#sayWho();
  }

  /** The next comment answers this one, and goes to `entity` where the writer chooses the bot. */
  answer(message, entity) {
    if (this.#sending) return;
    this.end();
    if (entity && !this.#entity.hidden) this.#fields.entity.value = entity;
    this.#begin(message, false);
  }

  /** What is written replaces the text of this own comment. */
  change(message) {
    if (this.#sending) return;
    this.end();
    this.#kept = this.#fields.text.value;
    this.#fields.text.value = message.text;
    this.#begin(message, true);
  }

  #begin(message, isEdit) {
    [this.#about, this.#isEdit] = [message, isEdit];
    this.#aboutWhat.replaceChildren(...(isEdit ? ["Your comment is being changed"] : ["To ", named(message.username), ": ", h("q", { dir: "auto" }, message.text)]));
    this.#aboutLine.hidden = false;
    this.#set(false);
    this.#grow();
    this.#sayWho();
    this.#fields.text.focus();
  }

  /** The next comment is a new one again; while one is on its way, nothing changes. */
  end() {
    if (this.#sending) return;
    if (this.#isEdit) this.#fields.text.value = this.#kept;
    [this.#about, this.#isEdit] = [null, false];
    this.#aboutLine.hidden = true;
    this.#set(false);
    this.tell(null);
    this.#grow();
  }

  /** Who writes, and to whom, where the fields are folded away. */
  #sayWho() {
    const { username, color, entity } = this.#fields;
    const [name, bot] = [username.value.trim(), entity.value.trim()];
    this.#who.style.setProperty("--accent", color.value);
    this.#who.replaceChildren(h("span", { className: "dot" }), named(name), ...(bot && !this.#entity.hidden ? [" to ", named(bot)] : []));
  }

  async #send() {
    if (this.#sending) return;
    this.tell(null);
    if (!this.#isWhole()) return;
    this.#remember();
    this.#set(true);
    try {
      if (this.#isEdit) await this.onsave(this.#about.id, wellFormed(this.#fields.text.value));
      else await this.onsend(this.#written());
      if (!this.#isEdit) this.#fields.text.value = "";
      this.#set(false);
      this.end();
      this.#fold.open = this.#who.hidden = false;
    } catch (error) {
      this.tell(error);
    }
    const within = this.element.getRootNode().activeElement;
    this.#set(false);
    // A button that is switched off loses the focus; it goes on where the next comment is written.
    if (!this.element.contains(within)) this.#fields.text.focus({ preventScroll: true });
  }

  #written() {
    const { username, color, entity, text } = this.#fields;
    const asked = entity.value.trim();
    return {
      // What is shown at once is what will be stored.
      text: wellFormed(text.value),
      username: username.value.trim(),
      color: colorOf(color.value),
      "message-type": "human",
      ...(this.#about && { replyTo: this.#about.id }),
      ...(asked && { botParams: { entity: asked } }),
    };
  }

  /** While a comment is on its way its text stays, readable and focused; it goes when the server has it. */
  #set(sending) {
    this.#sending = sending;
    this.#button.disabled = sending;
    this.#fields.text.readOnly = sending;
    this.#button.textContent = sending ? "Sending…" : this.#isEdit ? "Save" : "Send";
  }

  /** True where nothing is missing; otherwise says what, and goes there. */
  #isWhole() {
    const { username, text } = this.#fields;
    const missing = (this.#isEdit ? [text] : [username, text]).find((input) => input.value.trim() === "");
    if (!missing) return true;
    this.#error.textContent = missing === this.#fields.text ? "Write something first." : "Tell your name first.";
    this.#mark(missing.name);
    missing.focus();
    return false;
  }

  /** Says why something went wrong; null takes it back. */
  tell(error) {
    for (const input of Object.values(this.#fields)) input.removeAttribute("aria-invalid");
    if (error === null) {
      this.#error.textContent = "";
    } else if (error.status) {
      this.#error.textContent = error.message;
      for (const { pointer } of error.fields) this.#mark(String(pointer).split("/").at(-1));
    } else {
      this.#error.textContent = "The server cannot be reached. Your comment is kept: send it again.";
    }
  }

  #mark(name) {
    if (!Object.hasOwn(this.#fields, name)) return;
    this.#fields[name].setAttribute("aria-invalid", "true");
    if (name !== "text") this.#fold.open = true;
  }

  /** As high as what is written in it, up to what the style allows. */
  #grow() {
    const { text } = this.#fields;
    text.style.setProperty("height", "auto");
    if (text.value !== "") text.style.setProperty("height", `${text.scrollHeight + 2}px`);
  }

  /** Name, color and bot stay for the next visit, where the browser lets a page keep anything. */
  #remember() {
    const { username, color, entity } = this.#fields;
    const author = { username: username.value, color: color.value, ...(!this.#entity.hidden && { entity: entity.value }) };
    try {
      localStorage.setItem(AUTHOR, JSON.stringify(author));
    } catch {
      // Storage is blocked or full: the fields are typed again next time, nothing else is lost.
    }
  }

  #recall() {
    this.#fields.color.value = COLORS[Math.floor(Math.random() * COLORS.length)];
    try {
      const author = JSON.parse(localStorage.getItem(AUTHOR)) ?? {};
      for (const name of ["username", "color", "entity"]) this.#fields[name].value = author[name] ?? this.#fields[name].value;
    } catch {
      // Nothing kept, or not readable: the fields start as they are.
    }
  }
}
