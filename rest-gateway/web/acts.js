// What can be done with a comment: one set of buttons, which stands in the line that is pointed at, or reached by keyboard.

import { copy, h } from "./dom.js";

const WORDS = { reply: "Reply", copy: "Copy", edit: "Edit", remove: "Remove" };

export class Acts {
  /** Called with the name of the act and the message. */
  onact = () => {};
  #buttons = {};
  #message = null;

  constructor() {
    for (const name of Object.keys(WORDS)) {
      this.#buttons[name] = h("button", { type: "button" });
      this.#buttons[name].addEventListener("click", () => this.#act(name));
    }
    this.element = h("div", { className: "acts", role: "toolbar", "aria-label": "This comment" }, ...Object.values(this.#buttons));
    this.element.addEventListener("keydown", (event) => {
      const step = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key];
      const line = step && this.element.closest("li")?.[step];
      if (!line) return;
      event.preventDefault();
      this.onstep(line);
      this.element.querySelector("button:not([hidden])")?.focus();
    });
  }

  /** Called with the line that the keyboard goes to. */
  onstep = () => {};

  /** Whether they are seen without the keyboard. */
  show(isOn) {
    this.element.classList.toggle("on", isOn);
  }

  /** The line in which somebody uses them, if anybody does. */
  get inUse() {
    return this.element.matches(".on, :focus-within") ? this.element.closest("li") : null;
  }

  /** Puts the buttons into a line; the last two are for its author. */
  at(line, { message, state, isOwn }) {
    const isSame = message === this.#message;
    this.#message = message;
    for (const [name, button] of Object.entries(this.#buttons)) {
      if (!isSame) button.textContent = WORDS[name];
      button.hidden = !isOwn && (name === "edit" || name === "remove");
    }
    this.element.hidden = state !== "stored" || message.deleted === true;
    if (!line.contains(this.element)) line.lastChild.append(this.element);
  }

  async #act(name) {
    const button = this.#buttons[name];
    if (name === "copy") {
      button.textContent = (await copy(this.#message.text)) ? "Copied" : "Not copied";
    } else if (name === "remove" && button.textContent === WORDS.remove) {
      button.textContent = "Remove for good?";
    } else {
      this.onact(name, this.#message);
    }
  }
}
