"""A small worker, in capitals. Left to worker.py: drafts, failure reports, TLS, token files, giving work back at the end."""

import asyncio
import os
import random
import sys

import grpc
from repartee.v1 import queue_service_pb2 as api
from repartee.v1.queue_service_pb2_grpc import QueueServiceStub

ADDRESS, ENTITY, NAME, THINK = sys.argv[1:] + ["127.0.0.1:50051", "shout", "small", "0"][len(sys.argv) - 1 :]
LEASE = 10  # seconds
SIGNED = {"metadata": [("authorization", f"Bearer {os.environ['REPARTEE_TOKEN'].strip()}")], "wait_for_ready": True}


async def answer(queue: QueueServiceStub, work: api.Work) -> None:
    lease = api.LeaseRef(message_id=work.message.id, lease_token=work.lease.token)
    reply = asyncio.create_task(asyncio.sleep(float(THINK), work.message.text.upper()))  # your bot goes here
    while not (await asyncio.wait([reply], timeout=LEASE / 2))[0]:
        await queue.RenewLeases(api.RenewLeasesRequest(leases=[lease]), timeout=LEASE, **SIGNED)
    request = api.CompleteMessageRequest(lease=lease, reply=api.Reply(text=await reply))
    await queue.CompleteMessage(request, timeout=LEASE, **SIGNED)


async def main() -> None:
    queue, held = QueueServiceStub(grpc.aio.insecure_channel(ADDRESS, [("grpc.keepalive_time_ms", 20_000)])), {}
    request = api.StreamPendingRequest(worker_id=NAME, session_id=os.urandom(16).hex(), entities=[ENTITY], max_in_flight=4)
    request.lease.FromSeconds(LEASE)
    while await asyncio.sleep(random.random() * 2, True):
        try:
            async for event in queue.StreamPending(request, **SIGNED):
                if (token := event.work.lease.token) and token not in held:  # what is held is sent again on a new stream
                    held[token] = asyncio.create_task(answer(queue, event.work))
                    held[token].add_done_callback(lambda _, token=token: held.pop(token))
        except grpc.RpcError as error:
            print(f"the stream broke: {error.details()}", file=sys.stderr)


asyncio.run(main())
