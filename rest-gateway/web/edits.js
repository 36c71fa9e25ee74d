// The edit tokens of what was written here: with them their author changes, removes and stops it later. Kept by the browser
// for each server, the newest of them; elsewhere for as long as the object lives.

/** How many are kept; who has written more can change the newest. */
export const MOST = 500;

export class EditTokens {
  #name;
  /** @type {Map<string, string>} the token by the id of its message, the oldest first */
  #tokens = new Map();

  /** @param {URL} server */
  constructor({ href }) {
    this.#name = `repartee.edits ${href}`;
    this.#read();
    // Another tab has written something.
    globalThis.addEventListener?.("storage", ({ key }) => key === this.#name && this.#read());
  }

  get(id) {
    return this.#tokens.get(id);
  }

  keep(id, token) {
    this.#read();
    this.#tokens.delete(id);
    this.#tokens.set(id, token);
    while (this.#tokens.size > MOST) this.#tokens.delete(this.#tokens.keys().next().value);
    this.#write();
  }

  forget(id) {
    this.#read();
    if (this.#tokens.delete(id)) this.#write();
  }

  #read() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.#name));
      if (kept !== null) this.#tokens = new Map(kept);
    } catch {
      // Nothing kept, or not readable: what is known here stays.
    }
  }

  #write() {
    try {
      localStorage.setItem(this.#name, JSON.stringify([...this.#tokens]));
    } catch {
      // Storage is blocked or full: they are known for as long as this page is open.
    }
  }
}
