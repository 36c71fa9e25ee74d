// The form in which comments are written. Keeps what was typed until it is stored, and the author for the next visit.

import { colorOf, h } from "./dom.js";

const AUTHOR = "repartee.author";
const COLORS = ["#a9502d", "#2d7aa9", "#4c8b3f", "#8a4fb0", "#b08a2e", "#2f8f83", "#b04f73"];

/** The form. `onsend` is called with what was written and has to settle once it is stored, or throw why it is not. */
export class Composer {
  onsend = async () => {};
  #sending = false;
  #fields = {
    username: h("input", { id: "name", name: "username", dir: "auto", autocomplete: "nickname", maxLength: 64 }),
    color: h("input", { id: "color", name: "color", type: "color" }),
    entity: h("input", { id: "entity", name: "entity", dir: "auto", maxLength: 64, autocomplete: "off", autocapitalize: "none", spellcheck: false, placeholder: "nobody" }),
    text: h("textarea", { id: "text", name: "text", dir: "auto", rows: 1, maxLength: 16_384, placeholder: "Say something…", enterKeyHint: "send", "aria-describedby": "error hint" }),
  };
  #button = h("button", { id: "send", type: "submit" }, "Send");
  #error = h("p", { id: "error", className: "error", role: "alert" });
  #entity = h("label", { className: "field", for: "entity" }, h("span", {}, "To bot"), this.#fields.entity);

  constructor() {
    const { username, color, text } = this.#fields;
    this.element = h("form", { className: "composer", "aria-label": "Write a comment", noValidate: true },
      h("div", { className: "fields" },
        h("label", { className: "field field-color", for: "color" }, h("span", { className: "visually-hidden" }, "Color"), color),
        h("label", { className: "field", for: "name" }, h("span", {}, "Name"), username),
        this.#entity),
      h("div", { className: "write" },
        h("label", { className: "visually-hidden", for: "text" }, "Comment"), text, this.#button),
      this.#error);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    text.addEventListener("input", () => this.#grow());
    text.addEventListener("keydown", (event) => {
      // While an input method composes a character, Enter accepts it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.element.requestSubmit();
    });
    this.#recall();
  }

  /** The bot that every comment goes to; null leaves it to the writer, beginning with `suggested`. */
  address(entity, suggested = "") {
    this.#entity.hidden = entity !== null;
    this.#fields.entity.value = entity ?? (this.#fields.entity.value || suggested);
  }

  async #send() {
    if (this.#sending) return;
    this.#tell(null);
    if (!this.#isWhole()) return;
    this.#remember();
    this.#set(true);
    try {
      await this.onsend(this.#written());
      this.#fields.text.value = "";
      this.#grow();
    } catch (error) {
      this.#tell(error);
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
      text: text.value,
      username: username.value.trim(),
      color: colorOf(color.value),
      "message-type": "human",
      ...(asked && { botParams: { entity: asked } }),
    };
  }

  /** While a comment is on its way its text stays, readable and focused; it goes when the server has it. */
  #set(sending) {
    this.#sending = sending;
    this.#button.disabled = sending;
    this.#fields.text.readOnly = sending;
    this.#button.textContent = sending ? "Sending…" : "Send";
  }

  /** True where nothing is missing; otherwise says what, and goes there. */
  #isWhole() {
    const missing = [this.#fields.username, this.#fields.text].find((input) => input.value.trim() === "");
    if (!missing) return true;
    this.#error.textContent = missing === this.#fields.text ? "Write something first." : "Tell your name first.";
    this.#mark(missing.name);
    missing.focus();
    return false;
  }

  #tell(error) {
    for (const input of Object.values(this.#fields)) input.removeAttribute("aria-invalid");
    if (error === null) {
      this.#error.textContent = "";
    } else if (error.status) {
      this.#error.textContent = error.message;
      for (const { pointer } of error.fields) this.#mark(String(pointer).split("/").at(-1));
    } else {
      this.#error.textContent = "The server cannot be reached. Your comment is kept here: send it again in a moment.";
    }
  }

  #mark(name) {
    if (Object.hasOwn(this.#fields, name)) this.#fields[name].setAttribute("aria-invalid", "true");
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
