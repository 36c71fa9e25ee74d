// What an answer of Repartee looks like. Between a page and its server others answer too, with status 200: portals that ask
// for a password, caches, error pages. What is not of our shape is a failure of that call, and never shown.

/** The value if it `fits`; throws what it should have been otherwise. */
export function expected(what, fits, value) {
  if (!fits(value)) throw new Error(`not ${what} of Repartee's: something on the way has answered`);
  return value;
}

/** As `toWellFormed()`, which older browsers do not have: half of a character is none that a server could take. */
export const wellFormed = (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

const has = (value, type, ...names) => names.every((name) => typeof value?.[name] === type);

export const isMessage = (value) => has(value, "string", "id", "text", "username", "color") && has(value, "number", "seq", "timestamp");

export const isListOfMessages = (value) => Array.isArray(value) && value.every(isMessage);

export const isPage = (value) => isListOfMessages(value?.messages) && has(value, "string", "next");

export const isPosted = (value) => has(value, "string", "id") && isMessage(value.message);

export const isDraft = (value) => has(value, "string", "messageId");

export const isHello = (value) => has(value, "string", "cursor");
