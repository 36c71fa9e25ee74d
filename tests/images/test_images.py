"""The images, built from the Dockerfile's own instructions and run as a careful operator runs them: on a root that nobody can
write, without capabilities, as another user than root.

What is not built here is the stage that compiles: its place is taken by a stage with static binaries of the debug profile.
REPARTEE_STATIC_DIR names their folder. The suite needs networks and mounts of its own, which tests/run makes.
"""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
PROGRAMS = ("queue-service", "rest-gateway", "bot-worker", "repartee")
# Their owner, whom no user of the machine has.
USER = 65532
WITHIN = 60.0  # seconds


def variable(name: str) -> str:
    if name not in os.environ:
        pytest.skip(f"{name} is not set: tests/run sets it")
    return os.environ[name]


class Engine:
    """buildah and podman, on a store of their own."""

    def __init__(self, folder: Path) -> None:
        self.store = ["--root", f"{folder}/images", "--runroot", f"{folder}/run", "--storage-driver=vfs"]

    def build(self, target: str, file: Path, context: Path) -> None:
        words = ["buildah", *self.store, "bud", "--isolation=chroot", "--format=docker", f"--target={target}", f"--tag=localhost/{target}", f"--file={file}"]
        done = subprocess.run([*words, str(context)], capture_output=True, text=True, env={**os.environ, "STORAGE_DRIVER": "vfs"}, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def podman(self, *words: str) -> list[str]:
        runtime = ["--runtime=/usr/sbin/runc", "--cgroup-manager=cgroupfs", "--events-backend=none"]
        return ["podman", *self.store, *runtime, *words]

    def inspect(self, image: str) -> Any:
        done = subprocess.run(self.podman("image", "inspect", f"localhost/{image}"), capture_output=True, check=True)
        return json.loads(done.stdout)[0]

    def files(self, image: str) -> set[str]:
        """Every file of an image."""
        name = subprocess.run(self.podman("create", "--pull=never", f"localhost/{image}"), capture_output=True, text=True, check=True).stdout.strip()
        whole = subprocess.run(self.podman("export", name), capture_output=True, check=True).stdout
        listed = subprocess.run(["tar", "--list"], input=whole, capture_output=True, check=True).stdout.decode()
        return {line for line in listed.splitlines() if not line.endswith("/")}

    def command(self, image: str, *words: str, mounts: dict[Path, str]) -> list[str]:
        """Runs an image in the way that the chart does."""
        careful = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=256m"]
        limits = ["--ulimit=nofile=4096:4096", "--ulimit=nproc=1000:1000"]
        volumes = [f"--volume={place}:{where}" for place, where in mounts.items()]
        return self.podman("run", "--rm", "--pull=never", "--network=host", *careful, *limits, *volumes, f"localhost/{image}", *words)

    @contextlib.contextmanager
    def running(self, image: str, *words: str, mounts: dict[Path, str]) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(self.command(image, *words, mounts=mounts))
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(timeout=WITHIN) == 0, f"{image} ended badly"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with all images."""
    if variable("REPARTEE_APART") != "yes":
        pytest.skip("not in namespaces of its own")
    folder, binaries = tmp_path_factory.mktemp("engine"), Path(variable("REPARTEE_STATIC_DIR"))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    context = folder / "context"
    (context / "data").mkdir(parents=True)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)
    for program in PROGRAMS:
        shutil.copy(binaries / program, context)
    instructions = DOCKERFILE.read_text()
    runtime = instructions[instructions.index("FROM scratch AS runtime") :]
    file = folder / "Dockerfile"
    file.write_text(f"FROM scratch AS build\nCOPY . /out/\n\n{runtime}")
    made = Engine(folder)
    for program in PROGRAMS:
        made.build(program, file, context)
    return made


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_image_holds_one_program_and_the_authorities(engine: Engine, program: str) -> None:
    # The runtime makes these itself, in each container.
    made = {"dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "run/.containerenv"}
    assert engine.files(program) - made == {program, "etc/ssl/certs/ca-certificates.crt"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_image_says_what_it_is_and_who_runs_it(engine: Engine, program: str) -> None:
    found = engine.inspect(program)
    config = found["Config"]
    assert (config["User"], config["Entrypoint"]) == (f"{USER}:{USER}", [f"/{program}"])
    assert found["Healthcheck"]["Test"] == ["CMD", f"/{program}", "healthcheck"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert {"title", "description", "source", "licenses", "vendor", "version", "revision"} <= labels.keys()
    assert labels["licenses"] == "MIT OR Apache-2.0"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_as_nobody_and_prints_its_help(engine: Engine, program: str) -> None:
    done = subprocess.run(engine.command(program, "--help", mounts={}), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Usage: {program}" in done.stdout


def is_healthy(engine: Engine, image: str) -> bool:
    """What an image's own health check says, in the network of the container that it asks."""
    return subprocess.run(engine.command(image, "healthcheck", mounts={}), capture_output=True, check=False).returncode == 0


def owned(folder: Path) -> Path:
    """A folder that the user of the images may write, as a volume is."""
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


def call(method: str, path: str, body: Any = None) -> Any:
    """One request to the gateway on this loopback. Raises OSError if nobody answers or it is refused."""
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if not 200 <= answer.status < 300:
            raise OSError(f"{answer.status} {text.decode(errors='replace')}")
        return json.loads(text)
    finally:
        connection.close()


def within_deadline(what: str, ask: Any) -> Any:
    """The first answer of `ask` that is something."""
    deadline, last = time.monotonic() + WITHIN, None
    while time.monotonic() < deadline:
        try:
            if found := ask():
                return found
        except (OSError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.1)
    pytest.fail(f"not within {WITHIN} s: {what} ({last!r})")


def question_is_answered() -> None:
    """The smoke flow: a browser's post, the bot's reply, the poll that shows it."""
    body = {"domain": "lobby", "username": "Ann", "color": "200120040", "text": "Anybody?", "botParams": {"entity": "echo"}}
    asked = within_deadline("the post", lambda: call("POST", "/api/comments", body))
    page = "/api/comments?domain=lobby&limit=10"
    reply = lambda: [one for one in call("GET", page) if one.get("replyTo") == asked["id"]]  # noqa: E731
    assert "Anybody?" in within_deadline("the answer", reply)[0]["text"]


def children(process: int) -> Iterator[int]:
    """The ids of all processes below one."""
    for line in subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.splitlines():
        pid, parent = map(int, line.split())
        if parent == process:
            yield pid
            yield from children(pid)


def test_everything_in_one_container_answers_a_question(engine: Engine, tmp_path: Path) -> None:
    with engine.running("repartee", mounts={owned(tmp_path / "data"): "/data"}):
        question_is_answered()
        assert is_healthy(engine, "repartee"), "it says so itself, without a shell"
        status = next(text for pid in children(1) if (text := Path(f"/proc/{pid}/status").read_text()).startswith("Name:\trepartee\n"))
        rows = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert rows["Uid"].split() == 4 * [str(USER)]
        assert int(rows["CapEff"], 16) == int(rows["CapBnd"], 16) == 0
        assert rows["NoNewPrivs"] == "1"


def test_the_three_parts_in_containers_of_their_own_answer_a_question(engine: Engine, tmp_path: Path) -> None:
    data, secrets = owned(tmp_path / "data"), tmp_path / "secrets"
    secrets.mkdir()

    def token(role: str, *words: str) -> None:
        command = engine.command("queue-service", "token", "new", "--role", role, *words, mounts={data: "/data"})
        made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        (secrets / role).write_text(made)

    token("gateway")
    token("worker", "--entity", "echo")
    mounts = {secrets: "/secrets:ro"}
    with (
        engine.running("queue-service", mounts={data: "/data"}),
        engine.running("rest-gateway", "--token-file=/secrets/gateway", mounts=mounts),
        engine.running("bot-worker", "--token-file=/secrets/worker", "--entity=echo", "--reply=echo", mounts=mounts),
    ):
        question_is_answered()
        assert [program for program in PROGRAMS[:3] if not is_healthy(engine, program)] == []
    assert not is_healthy(engine, "queue-service"), "nobody is there"
