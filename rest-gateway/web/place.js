// What the operator's page shows stands in its address: what is looked for, which message is open, how far the charts go
// back. So it can be kept, sent to a colleague, and gone back to.

/** What messages are looked for by, as `/api/admin/work` names it. */
export const FIELDS = ["entity", "status", "workerId", "author", "error"];
export const SPANS = ["15m", "1h", "24h"];

/** What the address asks for; what it does not say is empty. */
export function place() {
  const asked = new URLSearchParams(location.search);
  const of = (name) => asked.get(name) ?? "";
  return {
    ...Object.fromEntries([...FIELDS, "beforeId", "message"].map((name) => [name, of(name)])),
    span: SPANS.includes(of("span")) ? of("span") : "1h",
  };
}

/** Goes to another place: what is not named stays as it is. */
export function go(changes) {
  const asked = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") asked.delete(name);
    else asked.set(name, value);
  }
  const query = asked.size > 0 ? `?${asked}` : "";
  history.pushState(null, "", `${location.pathname}${query}`);
}

/** The query of the list for a place. */
export function query(at, limit) {
  const fields = [...FIELDS, "beforeId"].filter((name) => at[name] !== "");
  return new URLSearchParams([["limit", limit], ...fields.map((name) => [name, at[name]])]).toString();
}
