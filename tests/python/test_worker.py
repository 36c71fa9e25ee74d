"""The Python worker against the real queue-service.

REPARTEE_BIN_DIR names the folder with the built binaries. The stubs are generated when the tests start.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from grpc_tools import protoc

HERE = Path(__file__).parent
PROTO = HERE.parent.parent / "proto"
START_WITHIN = 30.0  # seconds
ANSWER_WITHIN = 60.0  # seconds; the lease of a killed worker ends after 10


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The generated modules, and the folder that they are in."""
    folder = tmp_path_factory.mktemp("stubs")
    files = ["repartee/v1/message.proto", "repartee/v1/queue_service.proto"]
    well_known = Path(protoc.__file__).parent / "_proto"
    sources = [f"--proto_path={PROTO}", f"--proto_path={well_known}"]
    targets = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main(["protoc", *sources, *targets, *files]) == 0
    sys.path.insert(0, str(folder))
    from repartee.v1 import message_pb2 as message
    from repartee.v1 import queue_service_pb2 as queue
    from repartee.v1 import queue_service_pb2_grpc as service

    return SimpleNamespace(folder=folder, message=message, queue=queue, grpc=service)


@contextlib.contextmanager
def running(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end, however the test ends."""
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """host:port of a queue-service of the test's own."""
    if "REPARTEE_BIN_DIR" not in os.environ:
        pytest.skip("REPARTEE_BIN_DIR does not name the folder with the built binaries")
    binary, ready = Path(os.environ["REPARTEE_BIN_DIR"]) / "queue-service", tmp_path / "ready.json"
    flags = ["--data-dir", str(tmp_path / "data"), "--grpc-addr", "127.0.0.1:0", "--ready-file", str(ready)]
    with running(str(binary), *flags) as service:
        deadline = time.monotonic() + START_WITHIN
        while not ready.exists():
            # Waits for the end of the process, so that a failed start is seen at once.
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"queue-service ended with exit code {service.wait(timeout=0.05)}")
            assert time.monotonic() < deadline, f"no ready file within {START_WITHIN} s"
        yield json.loads(ready.read_text())["grpc"]


class Site:
    """What a browser sees of one site: it posts, and watches every change."""

    def __init__(self, stubs: SimpleNamespace, channel: grpc.Channel) -> None:
        self.stubs = stubs
        self.service = stubs.grpc.QueueServiceStub(channel)
        self.events = self.service.WatchMessages(stubs.queue.WatchMessagesRequest(), timeout=ANSWER_WITHIN)
        assert next(self.events).HasField("hello")

    def ask(self, text: str) -> str:
        """Posts a message to the bot "py" and returns its id."""
        message = self.stubs.queue.NewMessage(
            domain="python.test",
            text=text,
            username="Human",
            color="169080199",
            message_type=self.stubs.message.MESSAGE_TYPE_HUMAN,
            bot=self.stubs.queue.BotAddress(entity="py"),
        )
        return self.service.PostMessage(self.stubs.queue.PostMessageRequest(message=message)).message.id

    def wait_for(self, kind: str, message_id: str):
        """The message after its first change of this kind; the call's deadline ends the wait."""
        wanted = self.stubs.queue.ChangeKind.Value(f"CHANGE_KIND_{kind}")
        for event in self.events:
            change = event.change
            if event.HasField("change") and (change.kind, change.message.id) == (wanted, message_id):
                return change.message
        raise AssertionError(f"the stream ended before {message_id} was {kind}")

    def replies(self, message_id: str) -> list[str]:
        """The texts of all stored replies to a message."""
        page = self.service.ListMessages(self.stubs.queue.ListMessagesRequest(limit=1000))
        return [message.text for message in page.messages if message.reply_to == message_id]


@pytest.fixture
def site(stubs: SimpleNamespace, address: str) -> Iterator[Site]:
    with grpc.insecure_channel(address) as channel:
        yield Site(stubs, channel)


def worker(stubs: SimpleNamespace, address: str, name: str, think: float = 0):
    flags = ["--queue-url", address, "--entity", "py", "--name", name, "--think", str(think)]
    return running(sys.executable, str(HERE / "worker.py"), *flags, PYTHONPATH=str(stubs.folder))


def test_a_message_is_answered_once(stubs: SimpleNamespace, address: str, site: Site) -> None:
    with worker(stubs, address, "first"):
        asked = site.ask("Why is space black?")
        assert site.wait_for("CLAIMED", asked).bot_params.claimed_by == "first"
        assert site.wait_for("COMPLETED", asked).bot_params.status == stubs.message.STATUS_COMPLETE
        assert site.replies(asked) == ["WHY IS SPACE BLACK?"]


def test_work_that_takes_longer_than_the_first_lease_is_renewed(
    stubs: SimpleNamespace, address: str, site: Site
) -> None:
    with worker(stubs, address, "slow", think=12):
        asked = site.ask("Take your time.")
        completed = site.wait_for("COMPLETED", asked)
        assert completed.bot_params.attempts == 1
        assert site.replies(asked) == ["TAKE YOUR TIME."]


def test_another_worker_answers_when_the_first_is_killed_in_mid_answer(
    stubs: SimpleNamespace, address: str, site: Site
) -> None:
    with worker(stubs, address, "first", think=3600) as first:
        asked = site.ask("Are you still there?")
        assert site.wait_for("CLAIMED", asked).bot_params.claimed_by == "first"
        with worker(stubs, address, "second"):
            first.kill()
            assert site.wait_for("COMPLETED", asked).bot_params.claimed_by == "second"
            assert site.replies(asked) == ["ARE YOU STILL THERE?"]
