// As much of a document as elements need that are made and filled; nothing is parsed or drawn.

class FakeElement extends EventTarget {
  value = "";
  style = { setProperty: () => {}, removeProperty: () => {} };
  #children = [];
  constructor(localName) {
    super();
    this.localName = localName;
  }
  append = (...children) => this.#children.push(...children);
  replaceChildren = (...children) => this.#children.splice(0, Infinity, ...children);
  setAttribute = () => {};
  removeAttribute = () => {};
  focus = () => {};
  contains = () => true;
  getRootNode = () => ({ activeElement: null });
  requestSubmit = () => this.dispatchEvent(new Event("submit"));
  get children() {
    return this.#children.filter((child) => child instanceof FakeElement);
  }
  get textContent() {
    return this.#children.map((child) => child.textContent ?? child).join("");
  }
  set textContent(text) {
    this.replaceChildren(text);
  }
  /** The first element below this one that has this id. */
  find(id) {
    return this.id === id ? this : this.children.map((child) => child.find(id)).find(Boolean);
  }
}

/** Puts a document into the world for one test. */
export function fakeDocument(t) {
  globalThis.document = { createElement: (name) => new FakeElement(name) };
  t.after(() => delete globalThis.document);
}
