// Uses a gateway by the types that openapi-typescript generates from its document, and by openapi-fetch, which has none of its
// own. The compiler checks it before it is run.

import createClient from "openapi-fetch";

import type { components, paths } from "./wire.js";

const domain = "typed.test";

/** What a call answered; a problem is thrown, as it is. */
function ok<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

/** Posts, reads, edits, removes and follows; asks and answers. Tells what was seen. */
export async function use(baseUrl: string, workerToken: string) {
  const visitor = createClient<paths>({ baseUrl });
  const holder = (token: string) => createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
  const changes = async (cursor?: string): Promise<components["schemas"]["ChangesPage"]> =>
    ok(await visitor.GET("/api/comments/changes", { params: { query: { domain, cursor, wait: cursor ? 25 : 0 } } }));
  const begin = await changes();

  const comment = { domain, username: "Ann", color: "200120040", text: "Hello" };
  const posted = ok(await visitor.POST("/api/comments", { body: comment, params: { header: { "Idempotency-Key": "once" } } }));
  const listed = ok(await visitor.GET("/api/comments", { params: { query: { domain } } }));
  const first = await changes(begin.next);

  const author = holder(posted.editToken);
  const path = { id: posted.id };
  const edited = ok(await author.PATCH("/api/comments/{id}", { params: { path }, body: { text: "Hello, all" } }));
  const removed = ok(await author.DELETE("/api/comments/{id}", { params: { path } }));
  const last = await changes(first.next);

  const question = { ...comment, username: "Bea", text: "Well?", botParams: { entity: "helper" } };
  const asked = ok(await visitor.POST("/api/comments", { body: question }));
  const worker = holder(workerToken);
  const claimed = ok(await worker.POST("/api/queue/claim-next", { body: { workerId: "typed", wait: 1 } }));
  const done = { messageId: claimed.message.id, leaseToken: claimed.lease.token, reply: { text: "Well." } };
  const completed = ok(await worker.POST("/api/queue/complete", { body: done }));
  const answered = ok(await visitor.GET("/api/comments/{id}", { params: { path: { id: asked.id } } }));

  const refused = await visitor.POST("/api/comments", { body: { ...comment, text: "" } });
  const problem: components["schemas"]["Problem"] | undefined = refused.error;

  return {
    listed: listed.map(({ id }) => id === posted.id),
    first: first.messages.map(({ text }) => text),
    edited: edited.text,
    removed: removed.deleted,
    last: last.messages.at(-1)?.deleted,
    claimed: claimed.message.id === asked.id,
    completed: completed.success,
    answered: answered.botParams?.status,
    problem: { status: problem?.status, pointers: problem?.errors?.map(({ pointer }) => pointer) },
  };
}
