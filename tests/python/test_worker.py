"""The workers in Python, Node and Go against the real queue-service: each test holds for each of them.

Each language has a whole worker, "worker", and one to copy first, "small". The Python workers' stubs are generated when
the tests start. REPARTEE_NODE_WORKERS names the folder with the Node workers and their installed packages,
REPARTEE_GO_WORKERS the one with the Go workers' built programs. A worker that is not there is skipped by name.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from conftest import START_WITHIN, Tokens, running, serving

TESTS = Path(__file__).parent.parent
ANSWER_WITHIN = 60.0  # seconds; the lease of a killed worker ends after 10


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """The tokens for the bot "shouter"."""
    return Tokens(tmp_path, "shouter")


class Queue:
    """A queue-service on data and a port of the test's own, which it keeps when it is started again."""

    def __init__(self, folder: Path, *own: str) -> None:
        self.folder, self.own, self.address = folder, own, "127.0.0.1:0"
        self.running = contextlib.ExitStack()

    def start(self) -> None:
        self.address = self.running.enter_context(serving(self.folder, *self.own, address=self.address)).address

    def kill(self) -> None:
        self.running.close()


@pytest.fixture
def queue(tmp_path: Path, tokens: Tokens) -> Iterator[Queue]:
    queue = Queue(tmp_path)
    with queue.running:
        queue.start()
        yield queue


class Site:
    """What a browser sees of one site: it posts, and watches every change."""

    def __init__(self, stubs: SimpleNamespace, channel: grpc.Channel) -> None:
        self.stubs = stubs
        self.service = stubs.grpc.QueueServiceStub(channel)
        self.watch()

    def watch(self, cursor: str | None = None) -> None:
        request = self.stubs.queue.WatchMessagesRequest(cursor=cursor, drafts=True)
        self.events = self.service.WatchMessages(request, timeout=ANSWER_WITHIN, wait_for_ready=True)
        hello = next(self.events).hello
        self.cursor = cursor or hello.tail

    def ask(self, text: str, username: str = "Human") -> str:
        """Posts a message to the bot and returns its id. What one human asks is answered one after the other."""
        message = self.stubs.queue.NewMessage(
            domain="workers.test",
            text=text,
            username=username,
            color="169080199",
            bot=self.stubs.queue.BotAddress(entity="shouter"),
        )
        return self.service.PostMessage(self.stubs.queue.PostMessageRequest(message=message)).message.id

    def wait_for(self, kind: str, message_id: str):
        """The message after its first change of this kind; the call's deadline ends the wait."""
        wanted = self.stubs.queue.ChangeKind.Value(f"CHANGE_KIND_{kind}")
        for event in self.events:
            if event.HasField("change"):
                self.cursor = event.change.cursor
                if (event.change.kind, event.change.message.id) == (wanted, message_id):
                    return event.change.message
        raise AssertionError(f"the stream ended before {message_id} was {kind}")

    def draft(self, message_id: str) -> str:
        """The first words that are shown of an answer."""
        for event in self.events:
            if event.HasField("draft") and event.draft.message_id == message_id and event.draft.text:
                return event.draft.text
        raise AssertionError(f"the stream ended before a draft of {message_id}")

    def replies(self, message_id: str) -> list[str]:
        """The texts of all stored replies to a message."""
        page = self.service.ListMessages(self.stubs.queue.ListMessagesRequest(limit=1000))
        return [message.text for message in page.messages if message.reply_to == message_id]


@pytest.fixture
def site(stubs: SimpleNamespace, queue: Queue) -> Iterator[Site]:
    with grpc.insecure_channel(queue.address) as channel:
        yield Site(stubs, channel)


class Workers:
    """Starts workers of one language for the bot."""

    program = "worker"

    def __init__(self, command: list[str], queue: Queue, tokens: Tokens, path: str) -> None:
        self.command = [*command, "--queue-url", queue.address, "--entity", "shouter"]
        self.tokens, self.path = tokens, path

    def start(self, name: str, think: float = 0, stderr: int | None = None):
        """One with the token in the file."""
        flags = ["--token-file", str(self.tokens.file), "--name", name, "--think", str(think)]
        return running(*self.command, *flags, stderr=stderr, PYTHONPATH=self.path)

    def refused(self, token: str) -> str:
        """What one says at its end that has another token in its variable."""
        worker = running(*self.command, stderr=subprocess.PIPE, PYTHONPATH=self.path, REPARTEE_TOKEN=token)
        with worker as process:
            said = process.communicate(timeout=START_WITHIN)[1].decode()
        assert process.returncode == 1, said
        return said


class SmallWorkers(Workers):
    """The same of the small ones: they take all by place, and the token from its variable."""

    program = "small"

    def __init__(self, command: list[str], queue: Queue, tokens: Tokens, path: str) -> None:
        self.command, self.tokens, self.path = [*command, queue.address, "shouter"], tokens, path

    def start(self, name: str, think: float = 0, stderr: int | None = None):
        token = self.tokens.file.read_text()
        return running(*self.command, name, str(think), stderr=stderr, PYTHONPATH=self.path, REPARTEE_TOKEN=token)


def python(name: str) -> list[str]:
    """How a Python worker is started."""
    return [sys.executable, str(TESTS / "python" / f"{name}.py")]


def node(name: str) -> list[str]:
    """How a Node worker is started."""
    if not (folder := os.environ.get("REPARTEE_NODE_WORKERS")):
        pytest.skip("the Node workers' packages are not installed: REPARTEE_NODE_WORKERS names their folder")
    return ["node", str(Path(folder) / f"{name}.js")]


def go(name: str) -> list[str]:
    """How a Go worker is started."""
    if not (folder := os.environ.get("REPARTEE_GO_WORKERS")):
        pytest.skip("the Go workers are not built: REPARTEE_GO_WORKERS names the folder with their programs")
    return [str(Path(folder) / name)]


@pytest.fixture(params=[python, node, go], ids=lambda language: language.__name__)
def language(request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """How workers of each language are started."""
    return request.param


@pytest.fixture
def command(language: Callable[[str], list[str]]) -> list[str]:
    """How the whole worker of each language is started."""
    return language(Workers.program)


@pytest.fixture
def small_workers(
    language: Callable[[str], list[str]], stubs: SimpleNamespace, queue: Queue, tokens: Tokens
) -> SmallWorkers:
    return SmallWorkers(language(SmallWorkers.program), queue, tokens, str(stubs.folder))


@pytest.fixture(params=[Workers, SmallWorkers], ids=lambda kind: kind.program)
def either_workers(
    request: pytest.FixtureRequest,
    language: Callable[[str], list[str]],
    stubs: SimpleNamespace,
    queue: Queue,
    tokens: Tokens,
) -> Workers:
    """The whole ones and the small ones."""
    return request.param(language(request.param.program), queue, tokens, str(stubs.folder))


@pytest.fixture
def workers(command: list[str], stubs: SimpleNamespace, queue: Queue, tokens: Tokens) -> Workers:
    return Workers(command, queue, tokens, str(stubs.folder))


def test_an_answer_is_shown_while_it_is_written_and_stored_once(
    stubs: SimpleNamespace, workers: Workers, site: Site
) -> None:
    with workers.start("first", think=2):
        asked = site.ask("Why is space black?")
        assert site.wait_for("CLAIMED", asked).bot_params.claimed_by == "first"
        assert "WHY IS SPACE BLACK? ".startswith(site.draft(asked))
        assert site.wait_for("COMPLETED", asked).bot_params.status == stubs.message.STATUS_COMPLETE
        assert site.replies(asked) == ["WHY IS SPACE BLACK?"]


def test_a_small_worker_answers(small_workers: SmallWorkers, site: Site) -> None:
    with small_workers.start("first"):
        asked = site.ask("Who is there?")
        assert site.wait_for("CLAIMED", asked).bot_params.claimed_by == "first"
        site.wait_for("COMPLETED", asked)
        assert site.replies(asked) == ["WHO IS THERE?"]


def test_work_that_takes_longer_than_the_first_lease_is_renewed(either_workers: Workers, site: Site) -> None:
    with either_workers.start("slow", think=12):
        asked = site.ask("Take your time.")
        completed = site.wait_for("COMPLETED", asked)
        assert completed.bot_params.attempts == 1
        assert site.replies(asked) == ["TAKE YOUR TIME."]


def test_another_worker_answers_when_the_first_is_killed_in_mid_answer(
    either_workers: Workers, site: Site
) -> None:
    with either_workers.start("first", think=3600) as first:
        asked = site.ask("Are you still there?")
        assert site.wait_for("CLAIMED", asked).bot_params.claimed_by == "first"
        with either_workers.start("second"):
            first.kill()
            assert site.wait_for("COMPLETED", asked).bot_params.claimed_by == "second"
            assert site.replies(asked) == ["ARE YOU STILL THERE?"]


def test_a_worker_goes_on_when_the_service_is_killed_and_started_again_under_it(
    either_workers: Workers, site: Site, queue: Queue
) -> None:
    with either_workers.start("steady", think=3):
        asked = site.ask("Who was that?")
        assert site.wait_for("CLAIMED", asked).bot_params.claimed_by == "steady"
        queue.kill()
        queue.start()
        site.watch(site.cursor)
        assert site.wait_for("COMPLETED", asked).bot_params.attempts == 1
        assert site.replies(asked) == ["WHO WAS THAT?"]
        site.wait_for("COMPLETED", site.ask("Anybody else?"))


def test_what_cannot_be_answered_is_reported_and_tried_again(workers: Workers, site: Site) -> None:
    with workers.start("first"):
        failed = site.wait_for("RETRY_SCHEDULED", site.ask("LOUD"))
        assert failed.bot_params.error == "it is loud already: LOUD"
        site.wait_for("COMPLETED", site.ask("Quiet.", "Neighbour"))


def test_a_failure_is_reported_that_says_too_much_or_nothing(
    language: Callable[[str], list[str]], workers: Workers, site: Site
) -> None:
    with workers.start("first"):
        failed = site.wait_for("RETRY_SCHEDULED", site.ask("L" + 900 * "É"))
        assert failed.bot_params.error == "it is loud already: L" + 489 * "É", "1,000 bytes, without half a character"
        failed = site.wait_for("RETRY_SCHEDULED", site.ask("1, 2, 3", "Neighbour"))
        types = {python: "ValueError", node: "RangeError", go: "*errors.errorString"}
        assert failed.bot_params.error == types[language]


def test_a_worker_that_is_told_to_end_gives_back_what_it_holds(workers: Workers, site: Site) -> None:
    with workers.start("first", think=60) as first:
        asked = site.ask("Are you leaving? " * 100)
        assert site.draft(asked).startswith("ARE")
        first.send_signal(signal.SIGTERM)
        site.wait_for("RELEASED", asked)
        assert first.wait(timeout=START_WITHIN) == 0


def test_a_worker_without_a_token_or_with_one_of_another_bot_is_refused(workers: Workers, tokens: Tokens) -> None:
    assert "token" in workers.refused("")
    assert "unknown here or was revoked" in workers.refused("rpt_0123456789ab_" + 64 * "0")
    assert '"shouter" is not among' in workers.refused(tokens.of_another_bot)


def test_a_worker_goes_on_with_the_token_that_replaces_its_own(workers: Workers, tokens: Tokens, site: Site) -> None:
    with workers.start("steady"):
        site.wait_for("COMPLETED", site.ask("Before."))
        old = tokens.file.read_text()
        tokens.file.write_text(tokens.new("worker", "shouter"))
        tokens.revoke(old)
        asked = site.ask("After.")
        site.wait_for("COMPLETED", asked)
        assert site.replies(asked) == ["AFTER."]


def test_a_worker_goes_on_while_the_file_of_its_token_is_away(workers: Workers, tokens: Tokens, site: Site) -> None:
    with workers.start("steady"):
        site.wait_for("COMPLETED", site.ask("Before."))
        away = tokens.file.rename(tokens.file.with_name("away"))
        asked = site.ask("Meanwhile.")
        assert site.wait_for("COMPLETED", asked).bot_params.attempts == 1
        away.rename(tokens.file)
        site.wait_for("COMPLETED", site.ask("After."))


def test_a_python_worker_that_cannot_go_on_says_why_and_gives_back_what_it_holds(
    stubs: SimpleNamespace, queue: Queue, tokens: Tokens, site: Site
) -> None:
    workers = Workers(python("worker"), queue, tokens, str(stubs.folder))
    with workers.start("first", think=3600, stderr=subprocess.PIPE) as process:
        asked = site.ask("Can you read this?")
        site.wait_for("CLAIMED", asked)
        tokens.file.write_bytes(b"\xff is no UTF-8")
        queue.kill()
        queue.start()
        site.watch(site.cursor)
        site.wait_for("RELEASED", asked)
        said = process.communicate(timeout=START_WITHIN)[1].decode()
        assert (process.returncode, "UnicodeDecodeError" in said) == (1, True), said


def test_a_message_is_answered_over_tls(
    command: list[str], stubs: SimpleNamespace, tokens: Tokens, tmp_path: Path
) -> None:
    if not (openssl := shutil.which("openssl")):
        pytest.skip("openssl, which makes the certificate, is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run([openssl, "req", "-x509", *kind, *files, *names], check=True, capture_output=True)
    credentials = grpc.ssl_channel_credentials(cert.read_bytes())
    queue = Queue(tmp_path, "--tls-cert", str(cert), "--tls-key", str(key))
    with queue.running:
        queue.start()
        with grpc.secure_channel(queue.address, credentials) as channel:
            workers, site = Workers([*command, "--ca", str(cert)], queue, tokens, str(stubs.folder)), Site(stubs, channel)
            with workers.start("over tls"):
                asked = site.ask("Who reads along?")
                site.wait_for("COMPLETED", asked)
                assert site.replies(asked) == ["WHO READS ALONG?"]
