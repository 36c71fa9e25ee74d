// The calls of the operator's page. Each carries the token; a refusal becomes an error with what the server said.

import { token } from "./token.js";

const PATIENCE = 15_000;

export async function call(path, options = {}) {
  const headers = { ...options.headers, Authorization: `Bearer ${token()}` };
  const response = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  throw Object.assign(new Error(problem?.detail ?? `The server answered ${response.status}.`), { status: response.status });
}

export const read = async (path) => (await call(path)).json();

export const send = async (path, body) =>
  (await call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })).json();
