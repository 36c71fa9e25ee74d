// The operator's token, for as long as this tab lives. It comes by the sign-in, or in a link behind `#token=`: that part of
// an address is never sent. It is taken out of the address before anything else happens, so that no bookmark, no copied
// address and no picture of the screen has it. It leaves this tab in the Authorization header only.

const NAME = "repartee.token";
const PARAMETER = "token";
/** What every token looks like: other text could not be sent as a header. */
const SHAPE = /^[\x21-\x7e]{8,1024}$/;

/** For browsers that keep nothing. */
let held = null;

/** The token; null if there is none. */
export function token() {
  try {
    return sessionStorage.getItem(NAME) ?? held;
  } catch {
    return held;
  }
}

/** Keeps a token for this tab, in place of the one before. False if it cannot be one. The link that has one, and the header that it is sent in, are as good. */
export function keep(text) {
  const value = text.trim().replace(/^.*#token=/, "").replace(/^Bearer\s+/i, "");
  const shaped = SHAPE.test(value);
  if (shaped) hold(value);
  return shaped;
}

/** What to do about a token that the server has refused with these words. */
export function advice(refusal) {
  if (/expired/.test(refusal)) return "Make a new one: repartee token new --role operator.";
  if (/unknown|revoked/.test(refusal)) return "Check that all of it was copied, and that it belongs to this server: each data directory has tokens of its own.";
  if (/operator/.test(refusal)) return "Tokens of workers and gateways open no pages. The file operator-token has the right one.";
  return "";
}

/** Forgets the token: it was refused. */
export function forget() {
  hold(null);
}

/** Moves a token from the address to this tab. True if there was one. */
export function take() {
  const found = new URLSearchParams(location.hash.slice(1)).get(PARAMETER);
  if (found === null) return false;
  history.replaceState(history.state, "", location.pathname + location.search);
  // What cannot be a token is not kept either: the page asks for one.
  if (!keep(found)) forget();
  return true;
}

function hold(value) {
  held = value;
  try {
    if (value === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, value);
  } catch {
    // Then it is held until the page is loaded again.
  }
}

take();
