"""What the tests of workers and of the API begin with: the real binaries, each on a data directory and a port of its own.

REPARTEE_BIN_DIR names the folder with the built binaries.
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

import pytest
from grpc_tools import protoc

PROTO = Path(__file__).parent.parent.parent / "proto"
START_WITHIN = 60.0  # seconds


def built(name: str) -> str:
    """The path of a built binary."""
    if "REPARTEE_BIN_DIR" not in os.environ:
        pytest.skip("REPARTEE_BIN_DIR does not name the folder with the built binaries")
    return str(Path(os.environ["REPARTEE_BIN_DIR"]) / name)


@contextlib.contextmanager
def running(*command: str, stderr: int | None = None, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end, however the test ends."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def addresses(process: subprocess.Popen[bytes], ready: Path) -> dict[str, str]:
    """Where a service listens, by kind, once its ready file says so."""
    deadline = time.monotonic() + START_WITHIN
    while not (ready.exists() and ready.read_text()):
        # Waits for the end of the process, so that a failed start is seen at once.
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"{process.args[0]} ended with exit code {process.wait(timeout=0.05)}")
        assert time.monotonic() < deadline, f"no ready file within {START_WITHIN} s"
    return json.loads(ready.read_text())


@contextlib.contextmanager
def serving(folder: Path, *own: str, address: str = "127.0.0.1:0", **environment: str) -> Iterator[SimpleNamespace]:
    """A queue-service with these flags of its own, on the data in the folder: where it listens, and its process."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    flags = ["--data-dir", str(folder / "data"), "--grpc-addr", address, "--ready-file", str(ready), *own]
    # Nobody is sent elsewhere while it stops.
    environment = {"REPARTEE_DRAIN_DELAY": "0s", **environment}
    with running(built("queue-service"), *flags, **environment) as process:
        yield SimpleNamespace(address=addresses(process, ready)["grpc"], process=process)


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


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """All of Repartee in one process, without a bot and without shares of clients: there is one client."""
    data, ready = tmp_path / "data", tmp_path / "ready"
    flags = ["--data-dir", data, "--ready-file", ready, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0"]
    environment = {"REPARTEE_CLIENT_LIMITS": "off", "REPARTEE_DEMO_BOT": "false", "REPARTEE_LIST_ROOMS": "true"}
    with running(built("repartee"), *map(str, flags), **environment) as process:
        address = addresses(process, ready)["http"]
        token = (data / "operator-token").read_text().strip()
        yield SimpleNamespace(url=f"http://{address}", token=token)
        assert process.poll() is None, "it has ended by itself"


class Tokens:
    """The tokens of a queue-service, by its own command: one of a worker in a file, and one of another bot."""

    def __init__(self, folder: Path, entity: str) -> None:
        self.command = [built("queue-service"), "token"]
        self.place = ["--data-dir", str(folder / "data")]
        self.file = folder / "worker-token"
        self.file.write_text(self.new("worker", entity))
        self.of_another_bot = self.new("worker", "another")

    def new(self, role: str, entity: str = "") -> str:
        """A new token."""
        words = [*self.command, "new", "--role", role, *(("--entity", entity) if entity else ()), *self.place]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def revoke(self, token: str) -> None:
        subprocess.run([*self.command, "revoke", token.split("_")[1], *self.place], check=True)
