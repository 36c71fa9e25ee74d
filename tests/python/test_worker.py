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
def running(*command: str, stderr: int | None = None, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end, however the test ends."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def binary() -> str:
    """The built queue-service."""
    if "REPARTEE_BIN_DIR" not in os.environ:
        pytest.skip("REPARTEE_BIN_DIR does not name the folder with the built binaries")
    return str(Path(os.environ["REPARTEE_BIN_DIR"]) / "queue-service")


class Tokens:
    """The tokens of a queue-service, by its own command: one for the bot "py", in a file, and one of another bot."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.command = [binary, "token"]
        self.place = ["--data-dir", str(folder / "data")]
        self.file = folder / "worker-token"
        self.file.write_text(self.new("py"))
        self.of_another_bot = self.new("another")

    def new(self, entity: str) -> str:
        """A new token of a worker."""
        words = [*self.command, "new", "--role", "worker", "--entity", entity, *self.place]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def revoke(self, token: str) -> None:
        subprocess.run([*self.command, "revoke", token.split("_")[1], *self.place], check=True)


@pytest.fixture
def tokens(binary: str, tmp_path: Path) -> Tokens:
    return Tokens(binary, tmp_path)


@pytest.fixture
def address(binary: str, tokens: Tokens, tmp_path: Path) -> Iterator[str]:
    """host:port of a queue-service of the test's own."""
    ready = tmp_path / "ready.json"
    flags = ["--data-dir", str(tmp_path / "data"), "--grpc-addr", "127.0.0.1:0", "--ready-file", str(ready)]
    with running(binary, *flags) as service:
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


class Workers:
    """Starts workers for the bot "py"."""

    def __init__(self, stubs: SimpleNamespace, address: str, tokens: Tokens) -> None:
        self.command = [sys.executable, str(HERE / "worker.py"), "--queue-url", address, "--entity", "py"]
        self.path = str(stubs.folder)
        self.tokens = tokens

    def start(self, name: str, think: float = 0):
        """One with the token in the file."""
        flags = ["--token-file", str(self.tokens.file), "--name", name, "--think", str(think)]
        return running(*self.command, *flags, PYTHONPATH=self.path)

    def refused(self, token: str) -> str:
        """What one says at its end that has another token in its variable."""
        worker = running(*self.command, stderr=subprocess.PIPE, PYTHONPATH=self.path, REPARTEE_TOKEN=token)
        with worker as process:
            said = process.communicate(timeout=START_WITHIN)[1].decode()
        assert process.returncode == 1, said
        return said


@pytest.fixture
def workers(stubs: SimpleNamespace, address: str, tokens: Tokens) -> Workers:
    return Workers(stubs, address, tokens)


def test_a_message_is_answered_once(stubs: SimpleNamespace, workers: Workers, site: Site) -> None:
    with workers.start("first"):
        asked = site.ask("Why is space black?")
        assert site.wait_for("CLAIMED", asked).bot_params.claimed_by == "first"
        assert site.wait_for("COMPLETED", asked).bot_params.status == stubs.message.STATUS_COMPLETE
        assert site.replies(asked) == ["WHY IS SPACE BLACK?"]


def test_work_that_takes_longer_than_the_first_lease_is_renewed(
    workers: Workers, site: Site
) -> None:
    with workers.start("slow", think=12):
        asked = site.ask("Take your time.")
        completed = site.wait_for("COMPLETED", asked)
        assert completed.bot_params.attempts == 1
        assert site.replies(asked) == ["TAKE YOUR TIME."]


def test_another_worker_answers_when_the_first_is_killed_in_mid_answer(
    workers: Workers, site: Site
) -> None:
    with workers.start("first", think=3600) as first:
        asked = site.ask("Are you still there?")
        assert site.wait_for("CLAIMED", asked).bot_params.claimed_by == "first"
        with workers.start("second"):
            first.kill()
            assert site.wait_for("COMPLETED", asked).bot_params.claimed_by == "second"
            assert site.replies(asked) == ["ARE YOU STILL THERE?"]


def test_a_worker_without_a_token_or_with_one_of_another_bot_is_refused(workers: Workers, tokens: Tokens) -> None:
    assert "token" in workers.refused("")
    assert "unknown here or was revoked" in workers.refused("rpt_0123456789ab_" + 64 * "0")
    assert '"py" is not among' in workers.refused(tokens.of_another_bot)


def test_a_worker_goes_on_with_the_token_that_replaces_its_own(workers: Workers, tokens: Tokens, site: Site) -> None:
    with workers.start("steady"):
        site.wait_for("COMPLETED", site.ask("Before."))
        old = tokens.file.read_text()
        tokens.file.write_text(tokens.new("py"))
        tokens.revoke(old)
        asked = site.ask("After.")
        site.wait_for("COMPLETED", asked)
        assert site.replies(asked) == ["AFTER."]
