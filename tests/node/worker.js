// A Repartee worker in Node: repeats what it is told, in upper case, and shows each word as it comes.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const flags = { "queue-url": "127.0.0.1:50051", ca: "", "token-file": "", entity: "shout", name: "node-worker", think: "0" };
const options = Object.fromEntries(Object.entries(flags).map(([name, standard]) => [name, { type: "string", default: standard }]));
const { values: args } = parseArgs({ options });

const includeDirs = [fileURLToPath(new URL("../../proto", import.meta.url))];
const { QueueService } = grpc.loadPackageDefinition(loadSync("repartee/v1/queue_service.proto", { includeDirs })).repartee.v1;
// gRPC connects again, and repeats the calls that end a claim, by itself and with jitter.
const name = ["CompleteMessage", "FailMessage", "ReleaseMessage"].map((method) => ({ service: "repartee.v1.QueueService", method }));
const retryPolicy = { maxAttempts: 5, initialBackoff: "0.2s", maxBackoff: "5s", backoffMultiplier: 3, retryableStatusCodes: ["UNAVAILABLE", "UNKNOWN"] };
const settings = { "grpc.service_config": JSON.stringify({ methodConfig: [{ name, retryPolicy }] }), "grpc.max_reconnect_backoff_ms": 5_000 };
const credentials = args.ca ? grpc.credentials.createSsl(readFileSync(args.ca)) : grpc.credentials.createInsecure();
const queue = new QueueService(args["queue-url"], credentials, settings);

/** What the bot says. If it throws, the message is tried again later, and operators read why. */
async function reply(text, show, signal) {
  if (text.toLowerCase() === text.toUpperCase()) throw new RangeError();
  if (text === text.toUpperCase()) throw new Error(`it is loud already: ${text}`);
  const words = text.toUpperCase().split(" ");
  for (const word of words) {
    await sleep((args.think * 1_000) / words.length, null, { signal });
    show(`${word} `);
  }
  return words.join(" ");
}

/** Why it failed, in 1 to 1,024 bytes, as the service takes it; an error without a text is told by its type. */
function reason(error) {
  const text = String(error?.message ?? error) || error.constructor.name;
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.from(text).subarray(0, 1_000), { stream: true }); // no half character
}

let token = process.env.REPARTEE_TOKEN;
/** The token as its file holds it now, from the next call on. While the file is away, the last one that was read counts. */
function signed(waitForReady = false) {
  const metadata = new grpc.Metadata({ waitForReady });
  try {
    if (args["token-file"]) token = readFileSync(args["token-file"], "utf8");
  } catch (error) {
    if (!token) throw error;
  }
  if (token) metadata.set("authorization", `Bearer ${token.trim()}`);
  return metadata;
}

const call = (method, request, seconds) => new Promise((resolve, reject) => {
  const done = (error, answer) => (error ? reject(error) : resolve(answer));
  queue[method](request, signed(true), { deadline: Date.now() + seconds * 1_000 }, done);
});

const leaving = new AbortController();
const held = new Map(); // by lease token: the lease, and what stops the work under it

/** Starts new work. What is held is sent again on a new stream; what comes while the worker leaves is only given back. */
function take({ message, lease: { token } }) {
  if (held.has(token)) return;
  const [lease, stop] = [{ messageId: message.id, leaseToken: token }, new AbortController()];
  held.set(token, { lease, stop });
  if (leaving.signal.aborted) return;
  answer(message.text, lease, stop).catch((error) => console.warn(`${message.id} is not finished: ${error.message}`));
}

/** Answers one message. Its lease lasts 10 s until the first renewal; if one is refused, the work is lost or cancelled. */
async function answer(text, lease, stop) {
  const renewing = setInterval(async () => {
    const renewed = await call("renewLeases", { leases: [lease] }, 3).catch(() => null);
    if (renewed?.outcomes[0].rejection) stop.abort();
  }, 3_000);
  let draft;
  try {
    draft = queue.streamDraft(signed(), () => {}); // one that breaks off is no reason to stop
    draft.write({ lease });
    const saying = reply(text, (delta) => draft.write({ delta }), stop.signal);
    const [said, failure] = await saying.then((said) => [said], (error) => [null, reason(error)]);
    if (stop.signal.aborted) return;
    if (failure) await call("failMessage", { lease, error: failure, retryable: true }, 30);
    else await call("completeMessage", { lease, reply: { text: said } }, 30);
  } finally {
    clearInterval(renewing);
    draft?.end();
    held.delete(lease.leaseToken);
  }
}

let stream;
/** Follows one stream of work to its end. One that is silent for longer than two heartbeats is dead. */
async function follow(request, heard) {
  stream = queue.streamPending(request, signed());
  const silence = (seconds) => setTimeout(() => stream.cancel(), seconds * 1_000);
  let [patience, timer] = [10, silence(10)];
  try {
    for await (const { hello, work } of stream) {
      heard(hello);
      if (hello) patience = 2 * hello.heartbeatInterval.seconds;
      clearTimeout(timer);
      timer = silence(patience);
      if (work) take(work);
    }
  } finally {
    clearTimeout(timer);
  }
}

leaving.signal.addEventListener("abort", () => stream?.cancel());
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => leaving.abort());

const request = { workerId: args.name, sessionId: randomUUID(), entities: [args.entity], maxInFlight: 4 };
for (let failures = 0, accepted = false; !leaving.signal.aborted; failures += 1) {
  const heard = (hello) => { [failures, accepted] = [hello ? failures : 0, true]; };
  await follow(request, heard).catch((error) => {
    if (!leaving.signal.aborted) console.warn(`the stream broke: ${error.message}`);
    const refused = [grpc.status.UNAUTHENTICATED, grpc.status.PERMISSION_DENIED].includes(error.code);
    if (refused && !accepted) process.exit(1); // one that was accepted before is being replaced
  });
  await sleep(Math.random() * Math.min(10_000, 50 * 2 ** failures), null, { signal: leaving.signal }).catch(() => {}); // ends the pause early
}
// No stream is left that brings work: all that is not answered goes back.
const works = [...held.values()];
for (const { stop } of works) stop.abort();
await Promise.allSettled(works.map(({ lease }) => call("releaseMessage", { lease }, 5)));
process.exit();
