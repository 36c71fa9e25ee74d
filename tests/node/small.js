// A small worker, in capitals. Left to worker.js: drafts, failure reports, TLS, token files, giving work back at the end.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [, , address = "127.0.0.1:50051", entity = "shout", name = "small", think = "0"] = process.argv;
const includeDirs = [fileURLToPath(new URL("../../proto", import.meta.url))];
const { QueueService } = grpc.loadPackageDefinition(loadSync("repartee/v1/queue_service.proto", { includeDirs })).repartee.v1;
const queue = new QueueService(address, grpc.credentials.createInsecure(), { "grpc.keepalive_time_ms": 20_000 });
const signed = new grpc.Metadata({ waitForReady: true });
signed.set("authorization", `Bearer ${process.env.REPARTEE_TOKEN.trim()}`);
const seconds = 10; // the length of a lease
const call = (method, request) => promisify(queue[method]).call(queue, request, signed, { deadline: Date.now() + seconds * 1_000 });

async function answer(text, lease) {
  await sleep(think * 1_000); // your bot goes here; if it fails, the message comes again once the lease has ended
  await call("completeMessage", { lease, reply: { text: text.toUpperCase() } });
}

const held = new Set(); // what is held is sent again on a new stream
const request = { workerId: name, sessionId: randomUUID(), entities: [entity], maxInFlight: 4, lease: { seconds } };
for (;; await sleep(Math.random() * 2_000)) {
  try {
    for await (const { work } of queue.streamPending(request, signed)) {
      if (!work || held.has(work.lease.token)) continue;
      const lease = { messageId: work.message.id, leaseToken: work.lease.token };
      held.add(lease.leaseToken);
      const renewing = setInterval(() => call("renewLeases", { leases: [lease] }).catch(console.warn), seconds * 500);
      const done = () => held.delete(lease.leaseToken) && clearInterval(renewing);
      answer(work.message.text, lease).catch(console.warn).finally(done);
    }
  } catch (error) {
    console.warn(error.message);
  }
}
