"""A Repartee worker in Python: repeats what it is told, in upper case, and shows each word as it comes.

It streams work under leases, renews them while it answers, and completes each message with a reply, or says why it
cannot. If the stream breaks it connects again as the same session, with the token that its file holds then. PYTHONPATH
names the folder with the generated stubs.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
from repartee.v1 import message_pb2, queue_service_pb2
from repartee.v1.queue_service_pb2_grpc import QueueServiceStub

RENEW_EVERY = 3.0  # seconds: a lease lasts 10 s until its first renewal
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED)

log = logging.getLogger("worker")


class Worker:
    """One session: a random id, and a task for each lease that it holds."""

    def __init__(self, stub: QueueServiceStub, args: argparse.Namespace) -> None:
        self.stub = stub
        self.think = args.think
        self.token_file = args.token_file
        self.metadata = sign(os.environ.get("REPARTEE_TOKEN", ""))
        self.held: dict[str, tuple[queue_service_pb2.LeaseRef, asyncio.Task[None]]] = {}
        self.request = queue_service_pb2.StreamPendingRequest(
            worker_id=args.name,
            session_id=str(uuid.uuid4()),
            entities=[args.entity],
            mode=queue_service_pb2.STREAM_MODE_LEASE,
            max_in_flight=4,
        )

    async def run(self) -> None:
        """Follows one stream after the other, for ever."""
        failures, accepted = 0, False
        while True:
            try:
                async for event in self.events():
                    failures, accepted = failures if event.HasField("hello") else 0, True
                    self.take(event)
            except grpc.aio.AioRpcError as error:
                if error.code() in REFUSED and not accepted:
                    raise  # a token that was accepted before is being replaced, this one is wrong
                log.warning("the stream broke: %s", error.details())
            except OSError as error:  # a time-out is one
                log.warning("the stream is silent, or the file of the token is away: %r", error)
            failures += 1
            await asyncio.sleep(random.uniform(0, min(10, 0.05 * 2 ** min(failures, 8))))

    async def events(self) -> AsyncIterator[queue_service_pb2.StreamPendingResponse]:
        """The events of one stream. TimeoutError if it is silent for longer than two heartbeats."""
        if self.token_file:
            self.metadata = sign(Path(self.token_file).read_text())
        stream, patience = self.stub.StreamPending(self.request, metadata=self.metadata), 10.0
        while True:
            async with asyncio.timeout(patience):
                event = await stream.read()
            if event is grpc.aio.EOF:
                return
            if event.WhichOneof("event") == "hello":
                patience = 2 * event.hello.heartbeat_interval.ToTimedelta().total_seconds()
            yield event

    def take(self, event: queue_service_pb2.StreamPendingResponse) -> None:
        """Starts new work, and stops what was cancelled. What is held already may be sent again."""
        kind, work = event.WhichOneof("event"), event.work
        if kind == "work" and work.lease.token not in self.held:
            lease = queue_service_pb2.LeaseRef(message_id=work.message.id, lease_token=work.lease.token)
            self.held[work.lease.token] = (lease, asyncio.create_task(self.answer(lease, work.message)))
        elif kind == "cancelled":
            for lease, task in self.held.values():
                if lease.message_id == event.cancelled.message_id:
                    task.cancel()

    async def reply(self, text: str, show: Callable[[str], Awaitable[None]]) -> str:
        """What the bot says. If it raises, the message is tried again later, and operators read why."""
        if text.lower() == text.upper():
            raise ValueError
        if text == text.upper():
            raise ValueError(f"it is loud already: {text}")
        words = text.upper().split(" ")
        for word in words:
            await asyncio.sleep(self.think / len(words))
            await show(f"{word} ")
        return " ".join(words)

    async def answer(self, lease: queue_service_pb2.LeaseRef, message: message_pb2.Message) -> None:
        """Answers one message, or reports why not."""
        draft = self.stub.StreamDraft(metadata=self.metadata)

        async def show(delta: str, **lease: queue_service_pb2.LeaseRef) -> None:
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # no reason to stop
                await draft.write(queue_service_pb2.StreamDraftRequest(delta=delta, **lease))

        try:
            await show("", lease=lease)
            reply = queue_service_pb2.Reply(text=await self.reply(message.text, show))
            request = queue_service_pb2.CompleteMessageRequest(lease=lease, reply=reply)
            await self.report(self.stub.CompleteMessage, request)
        except Exception as error:
            log.exception("%s cannot be answered", lease.message_id)
            request = queue_service_pb2.FailMessageRequest(lease=lease, error=reason(error), retryable=True)
            await self.report(self.stub.FailMessage, request)
        finally:
            draft.cancel()
            del self.held[lease.lease_token]

    async def report(self, call: grpc.aio.UnaryUnaryMultiCallable, request: queue_service_pb2.CompleteMessageRequest) -> None:
        """Makes a call that ends a claim. It may be repeated: the service knows the token of the lease."""
        for wait in (0.1, 0.5, 2, 5, None):
            try:
                await call(request, timeout=5, metadata=self.metadata)
                return
            except grpc.aio.AioRpcError as error:
                if wait is None or error.code() not in PASSING:
                    log.warning("%s is not finished: %s", request.lease.message_id, error.details())
                    return
                await asyncio.sleep(wait)

    async def leave(self) -> None:
        """Gives back what is not answered."""
        held = list(self.held.values())
        for _, task in held:
            task.cancel()
        releases = [queue_service_pb2.ReleaseMessageRequest(lease=lease) for lease, _ in held]
        await asyncio.gather(*(self.report(self.stub.ReleaseMessage, release) for release in releases))

    async def renew(self) -> None:
        """Renews everything that is held in one call. A refusal means that the work is lost."""
        while True:
            await asyncio.sleep(RENEW_EVERY)
            if not (held := list(self.held.values())):
                continue
            request = queue_service_pb2.RenewLeasesRequest(leases=[lease for lease, _ in held])
            with contextlib.suppress(grpc.aio.AioRpcError):  # the next round comes before the leases end
                answer = await self.stub.RenewLeases(request, timeout=RENEW_EVERY, metadata=self.metadata)
                for (_, task), outcome in zip(held, answer.outcomes):
                    if outcome.HasField("rejection"):
                        task.cancel()


def reason(error: Exception) -> str:
    """Why it failed, in 1 to 1,024 bytes, as the service takes it; an error without a text is told by its type."""
    text = str(error) or type(error).__name__
    return text.encode(errors="replace")[:1000].decode(errors="ignore")  # no half character


def sign(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a call that proves who makes it; none without a token."""
    return (("authorization", f"Bearer {token.strip()}"),) if token.strip() else ()


def connect(address: str, ca: str | None) -> grpc.aio.Channel:
    """A channel over TLS if an authority is named, else a plain one. It connects again after 5 s at the latest."""
    options = [("grpc.max_reconnect_backoff_ms", 5_000)]
    if ca is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(Path(ca).read_bytes()), options)


async def main() -> None:
    """Reads the arguments and works until the process is told to end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queue-url", default="127.0.0.1:50051", help="host:port of the queue-service")
    parser.add_argument("--ca", help="file with the authority, PEM, of a queue-service that speaks TLS")
    parser.add_argument("--token-file", help="file with the worker's token; or the token in REPARTEE_TOKEN")
    parser.add_argument("--entity", required=True, help="the entity that is answered")
    parser.add_argument("--name", default="python-worker", help="name of the worker in claims")
    parser.add_argument("--think", type=float, default=0, help="seconds to think before each answer")
    args = parser.parse_args()
    leaving = asyncio.Event()
    for end in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(end, leaving.set)
    async with connect(args.queue_url, args.ca) as channel:
        worker = Worker(QueueServiceStub(channel), args)
        work = asyncio.gather(worker.run(), worker.renew())
        try:
            await asyncio.wait([work, asyncio.create_task(leaving.wait())], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                parser.exit(1, f"this worker cannot go on: {work.exception()!r}\n")
        finally:
            work.cancel()
            await worker.leave()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
