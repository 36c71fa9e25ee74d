// What is typed while a comment is on its way.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Composer } from "../../../rest-gateway/web/composer.js";
import { fakeDocument } from "./elements.js";

/** A composer that sends, and ends to do so when the test says. */
function sending(t, { change } = {}) {
  fakeDocument(t);
  const composer = new Composer();
  const sent = [];
  const settled = Promise.withResolvers?.() ?? withResolvers();
  composer.onsend = (comment) => settled.promise.then(() => sent.push(comment.text));
  composer.onsave = (id, text) => settled.promise.then(() => sent.push([id, text]));
  const [text, name] = ["text", "name"].map((id) => composer.element.find(id));
  name.value = "Ada";
  text.value = "mine";
  if (change) {
    composer.change(change);
    text.value = "changed";
  }
  composer.element.requestSubmit();
  const end = async () => {
    settled.resolve();
    await new Promise(setImmediate);
  };
  return { composer, text, sent, end };
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve) => Object.assign(made, { resolve }));
  return made;
}

const other = { id: "b", username: "Bob", text: "of Bob" };

for (const act of ["answer", "change", "end"]) {
  test(`a comment on its way is sent once and leaves an empty field, whatever is asked meanwhile: ${act}`, async (t) => {
    const { composer, text, sent, end } = sending(t);
    composer[act](other);
    assert.equal(text.value, "mine");
    composer.element.requestSubmit();
    await end();
    assert.deepEqual([sent, text.value], [["mine"], ""]);
  });

  test(`a change on its way gives back what was being written, whatever is asked meanwhile: ${act}`, async (t) => {
    const { composer, text, sent, end } = sending(t, { change: other });
    composer[act]({ ...other, id: "c" });
    assert.equal(text.value, "changed");
    await end();
    assert.deepEqual([sent, text.value], [[["b", "changed"]], "mine"]);
  });
}
