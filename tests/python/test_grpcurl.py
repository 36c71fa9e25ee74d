"""Every error of the gRPC API, provoked through grpcurl, which knows nothing of the contract but what the service's
reflection tells: the details of each are shown decoded.

REPARTEE_GRPCURL names the program; without it these tests are skipped.
"""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from conftest import PROTO, built, serving
from google.protobuf import json_format

TABLE = PROTO.parent / "queue-service" / "src" / "grpc" / "status.rs"
WITHIN = 60  # seconds; a lease that is lost lasts 5
UNKNOWN = "00000000-0000-4000-8000-000000000000"
Json = dict[str, Any]


@dataclass
class Refusal:
    """What grpcurl shows of an error."""

    code: str
    reason: str = ""
    fields: list[str] = field(default_factory=list)
    retry: str = ""

    @staticmethod
    def read(shown: str) -> "Refusal":
        """Reads the JSON of an error; each detail has to be decoded, none may be bytes."""
        status = json.loads(shown)
        refusal = Refusal(next(code.name for code in grpc.StatusCode if code.value[0] == status["code"]))
        assert status["message"], shown
        for detail in status.get("details", []):
            match detail:
                case {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "repartee.v1"}:
                    refusal.reason = reason
                case {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}:
                    assert all(violation["description"] for violation in violations), shown
                    refusal.fields = [violation["field"] for violation in violations]
                case {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}:
                    assert re.fullmatch(r"\d+(\.\d+)?s", delay), shown
                    refusal.retry = delay
                case _:
                    pytest.fail(f"a detail that is not decoded: {detail}")
        return refusal


class Face:
    """One queue-service: what leads to an error is done by stubs, the error is asked for by grpcurl."""

    def __init__(self, stubs: SimpleNamespace, service: SimpleNamespace, tokens: dict[str, str]) -> None:
        self.stubs, self.service, self.tokens = stubs, service, tokens
        self.channel = grpc.insecure_channel(service.address)
        self.stub = stubs.grpc.QueueServiceStub(self.channel)
        self.numbers = itertools.count()

    def call(self, method: str, request: Json, token: str | None = "operator", **metadata: str) -> Any:
        """The beginning of a call: with a token of this role, or as a visitor."""
        message = json_format.ParseDict(request, getattr(self.stubs.queue, f"{method}Request")())
        pairs = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        pairs += [("authorization", f"Bearer {self.tokens[token]}")] if token else []
        call = getattr(self.stub, method)
        if method == "WatchMessages":
            return call(message, metadata=pairs, timeout=WITHIN)
        return call.future(message, metadata=pairs, timeout=WITHIN)

    def do(self, method: str, request: Json, token: str | None = "operator", **metadata: str) -> Any:
        """The answer of a call."""
        return self.call(method, request, token, **metadata).result()

    def post(self, token: str | None = None, **own: Any) -> Any:
        """Posts a question of somebody new, as a visitor if no token is named."""
        return self.do("PostMessage", question(next(self.numbers), **own), token)

    def claimed(self, **own: Any) -> Json:
        """The lease of a new message."""
        posted = self.post(**own).message.id
        claim = self.do("ClaimMessage", {"messageId": posted, "workerId": "worker"})
        return {"messageId": posted, "leaseToken": claim.lease.token}

    def command(self, method: str, request: Json, token: str | None, **metadata: str) -> list[str]:
        """How grpcurl makes a call."""
        headers = [f"{name.replace('_', '-')}: {value}" for name, value in metadata.items()]
        headers += [f"authorization: Bearer {self.tokens[token]}"] if token else []
        # Not to the reflection, which would refuse a wrong token before the call does.
        flags = [word for header in headers for word in ("-rpc-header", header)]
        own = [os.environ["REPARTEE_GRPCURL"], "-plaintext", "-format-error", *flags, "-d", json.dumps(request)]
        return [*own, self.service.address, f"repartee.v1.QueueService/{method}"]

    def ask(self, method: str, request: Json, token: str | None = "operator", **metadata: str) -> Refusal | None:
        """What grpcurl shows of a call's refusal; none if it is not refused."""
        command = self.command(method, request, token, **metadata)
        run = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN)
        return Refusal.read(run.stderr) if run.returncode else None

    def wait_for(self, events: Any, kind: str, count: int) -> None:
        """Reads a watch until there were so many changes of a kind."""
        wanted = self.stubs.queue.ChangeKind.Value(f"CHANGE_KIND_{kind}")
        matching = (event for event in events if event.HasField("change") and event.change.kind == wanted)
        assert len(list(itertools.islice(matching, count))) == count

    def until(self, what: str, holds: Callable[[], Any]) -> Any:
        """Asks again until it holds."""
        deadline = time.monotonic() + WITHIN
        while not (value := holds()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
        return value


def question(number: int = 0, **own: Any) -> Json:
    """The request for a question; each number is a person."""
    bot = {"entity": "echo", **own.pop("bot", {})}
    key = {"idempotencyKey": own.pop("key")} if "key" in own else {}
    message = {"domain": "grpcurl.test", "text": "Well?", "username": f"Human {number}", "color": "200120040", **own}
    return {"message": {**message, "bot": bot}, **key}


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A token of each role, one that has ended, and one that nobody knows; `file` is where the others are kept."""
    if not os.environ.get("REPARTEE_GRPCURL"):
        pytest.skip("grpcurl is not installed: REPARTEE_GRPCURL names its program")
    file = str(tmp_path_factory.mktemp("tokens") / "tokens")

    def new(*words: str) -> str:
        command = [built("queue-service"), "token", "new", *words, "--tokens-file", file]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return {
        "operator": new("--role", "operator"),
        "worker": new("--role", "worker", "--entity", "echo"),
        "expired": new("--role", "operator", "--expires", "1s"),
        "unknown": "rpt_0123456789ab_" + 64 * "0",
        "file": file,
    }


class Start:
    """Starts queue-services with flags of their own, on the data in a folder."""

    def __init__(self, folder: Path, stubs: SimpleNamespace, tokens: dict[str, str], ends: contextlib.ExitStack) -> None:
        self.folder, self.stubs, self.tokens, self.ends = folder, stubs, tokens, ends

    def __call__(self, *flags: str, client_limits: str = "off") -> Face:
        own = ["--tokens-file", self.tokens["file"], "--durability", "process", *flags]
        service = self.ends.enter_context(serving(self.folder, *own, REPARTEE_CLIENT_LIMITS=client_limits))
        face = Face(self.stubs, service, self.tokens)
        self.ends.callback(face.channel.close)
        return face


@pytest.fixture
def start(stubs: SimpleNamespace, tokens: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as ends:
        yield Start(tmp_path, stubs, tokens, ends)


Provoke = Callable[[Start], Refusal | None]
PROVOKED: dict[str, tuple[str, Provoke]] = {}


def provokes(reason: str, code: str) -> Callable[[Provoke], Provoke]:
    """Marks what provokes an error with this reason, and the code that it has."""

    def mark(provoke: Provoke) -> Provoke:
        PROVOKED[reason] = (code, provoke)
        return provoke

    return mark


@provokes("NAME_RESERVED", "INVALID_ARGUMENT")
def _(start):
    face = start()
    face.post()
    return face.ask("PostMessage", question(username="Echo"), None)


@provokes("CURSOR_INVALID", "INVALID_ARGUMENT")
def _(start):
    return start().ask("ListMessages", {"cursor": "garbage"}, None)


@provokes("ROOMS_NOT_LISTED", "NOT_FOUND")
def _(start):
    return start().ask("ListRooms", {}, None)


@provokes("IDEMPOTENCY_CONFLICT", "INVALID_ARGUMENT")
def _(start):
    face = start()
    face.post(key="once")
    return face.ask("PostMessage", question(key="once", text="Another?"), None)


@provokes("CONVERSATION_TAKEN", "FAILED_PRECONDITION")
def _(start):
    face, ann, bea = start(), {"x_repartee_visitor": "ann"}, {"x_repartee_visitor": "bea"}
    face.do("PostMessage", question(), None, **ann)
    names = {"humanUsername": "Human 0", "humanColor": "200120040", "aiUsername": "echo", "aiColor": "default"}
    read = face.ask("GetConversation", names, None, **bea)
    assert read == Refusal("PERMISSION_DENIED", "CONVERSATION_TAKEN")
    return face.ask("PostMessage", question(), None, **bea)


@provokes("NOT_PENDING", "FAILED_PRECONDITION")
def _(start):
    face = start()
    return face.ask("ClaimMessage", {"messageId": face.claimed()["messageId"], "workerId": "another"})


@provokes("NOT_DUE", "FAILED_PRECONDITION")
def _(start):
    face = start()
    later = face.post(bot={"notBefore": str(int(time.time() + 3_600) * 1_000)}).message.id
    return face.ask("ClaimMessage", {"messageId": later, "workerId": "worker"})


@provokes("ENTITY_PAUSED", "FAILED_PRECONDITION")
def _(start):
    face = start()
    face.do("PauseEntity", {"entity": "echo"})
    return face.ask("ClaimMessage", {"messageId": face.post().message.id, "workerId": "worker"})


@provokes("LEASE_LOST", "FAILED_PRECONDITION")
def _(start):
    face = start()
    lease = face.claimed()
    face.do("ReleaseMessage", {"lease": lease})
    return face.ask("ReleaseMessage", {"lease": lease})


@provokes("ALREADY_COMPLETED", "FAILED_PRECONDITION")
def _(start):
    face = start()
    lease = face.claimed()
    face.do("CompleteMessage", {"lease": lease})
    return face.ask("CompleteMessage", {"lease": lease, "reply": {"text": "Too late."}})


@provokes("CANCELLED", "FAILED_PRECONDITION")
def _(start):
    face = start()
    lease = face.claimed()
    face.do("CancelMessage", {"messageId": lease["messageId"]})
    return face.ask("CompleteMessage", {"lease": lease})


@provokes("FAILED", "FAILED_PRECONDITION")
def _(start):
    face = start()
    lease = face.claimed()
    face.do("FailMessage", {"lease": lease, "error": "no such model"})
    return face.ask("CompleteMessage", {"lease": lease})


@provokes("WRONG_STATUS", "FAILED_PRECONDITION")
def _(start):
    face = start()
    return face.ask("RetryMessage", {"messageId": face.claimed()["messageId"]})


@provokes("HIDDEN", "FAILED_PRECONDITION")
def _(start):
    face = start()
    hidden = {"messageId": face.post().message.id}
    face.do("HideMessage", hidden)
    return face.ask("RetryMessage", hidden)


@provokes("TOO_MANY_EDITS", "FAILED_PRECONDITION")
def _(start):
    face = start("--max-edits", "0")
    posted = face.post()
    edit = {"messageId": posted.message.id, "text": "Sorry?"}
    return face.ask("UpdateMessage", edit, None, authorization=f"Bearer {posted.edit_token}")


@provokes("BLOCKED", "PERMISSION_DENIED")
def _(start):
    face = start()
    face.do("BlockSender", {"authorOf": face.post().message.id, "duration": "60s"})
    return face.ask("PostMessage", question(), None)


@provokes("TOKEN_UNKNOWN", "PERMISSION_DENIED")
def _(start):
    return start().ask("GetStats", {}, "unknown")


@provokes("TOKEN_EXPIRED", "PERMISSION_DENIED")
def _(start):
    face = start()
    return face.until("the token's end", lambda: face.ask("GetStats", {}, "expired"))


@provokes("GATEWAY_REFUSED", "PERMISSION_DENIED")
def _(start):
    return start().ask("GetStats", {}, "worker", x_repartee_client="203.0.113.1")


@provokes("EDIT_TOKEN_WRONG", "PERMISSION_DENIED")
def _(start):
    face = start()
    mine, another = face.post(), face.post()
    edit = {"messageId": mine.message.id, "text": "Sorry?"}
    return face.ask("UpdateMessage", edit, None, authorization=f"Bearer {another.edit_token}")


@provokes("CLIENT_LIMIT", "RESOURCE_EXHAUSTED")
def _(start):
    face = start("--client-wrong-tokens", "1/1m", client_limits="on")
    assert face.ask("GetStats", {}, "unknown").reason == "TOKEN_UNKNOWN"
    return face.ask("GetStats", {}, "unknown")


@provokes("QUEUE_FULL", "RESOURCE_EXHAUSTED")
def _(start):
    face = start("--max-pending", "1")
    face.post()
    return face.ask("PostMessage", question(1), None)


@provokes("ENTITY_LIMIT", "RESOURCE_EXHAUSTED")
def _(start):
    limits = start.folder / "limits.toml"
    limits.write_text("[default]\nin_flight = 1\n")
    face = start("--entity-limits", str(limits))
    face.claimed()
    return face.ask("ClaimMessage", {"messageId": face.post().message.id, "workerId": "another"})


@provokes("TOO_MANY_CLAIMS", "RESOURCE_EXHAUSTED")
def _(start):
    face = start("--max-worker-claims", "1")
    face.claimed()
    return face.ask("ClaimMessage", {"messageId": face.post().message.id, "workerId": "worker"})


@provokes("WORKER_PAUSED", "RESOURCE_EXHAUSTED")
def _(start):
    face = start()
    waiting = [face.post().message.id for _ in range(5)]
    events = face.call("WatchMessages", {})
    # After three lost leases in a row one message at a time, and after another one a pause.
    for lost in (waiting[:3], waiting[3:4]):
        for message in lost:
            face.do("ClaimMessage", {"messageId": message, "workerId": "worker", "lease": "5s"})
        face.wait_for(events, "EXPIRED", len(lost))
    return face.ask("ClaimMessage", {"messageId": waiting[4], "workerId": "worker"})


@provokes("TOO_MANY_PAUSED", "RESOURCE_EXHAUSTED")
def _(start):
    face = start()
    for call in [face.call("PauseEntity", {"entity": f"bot {number}"}) for number in range(1_000)]:
        call.result()
    return face.ask("PauseEntity", {"entity": "one more"})


@provokes("TOO_MANY_BLOCKS", "RESOURCE_EXHAUSTED")
def _(start):
    face = start("--max-blocks", "0")
    return face.ask("BlockSender", {"authorOf": face.post().message.id, "duration": "60s"})


@provokes("DISK_FULL", "RESOURCE_EXHAUSTED")
def _(start):
    return start("--min-free-disk", str(2**60)).ask("PostMessage", question(), None)


@provokes("TOO_MANY_CALLS", "RESOURCE_EXHAUSTED")
def _(start):
    face = start("--max-calls", "1")
    _waits = face.call("ClaimNext", {"workerId": "worker", "wait": "25s"})
    return face.until("a call that finds no room", lambda: face.ask("GetStats", {}))


@provokes("TOO_MANY_STREAMS", "RESOURCE_EXHAUSTED")
def _(start):
    face = start("--max-streams", "1")
    open_one = face.call("WatchMessages", {})
    assert next(open_one).HasField("hello")
    return face.ask("WatchMessages", {})


@provokes("SLOW_READER", "RESOURCE_EXHAUSTED")
def _(start):
    face = start("--stream-patience", "1s")
    command = face.command("WatchMessages", {}, "operator")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert "hello" in watch.stdout.readline() + watch.stdout.readline()
        # More than the connection, the pipe and the stream hold between them.
        for number in range(64):
            items = [question(number, text="x" * 16_000, username=f"Human {one}") for one in range(16)]
            face.do("PostMessages", {"items": items})
        ended = 'repartee_refusals_total{bound="stream_events"} 1'
        face.until("the end of the watch", lambda: ended in metrics(face))
        shown = watch.communicate(timeout=WITHIN)[1]
    return Refusal.read(shown)


def metrics(face: Face) -> str:
    """What the service tells of itself."""
    request = urllib.request.Request(f"http://{face.service.address}/metrics")
    request.add_header("authorization", f"Bearer {face.tokens['operator']}")
    with urllib.request.urlopen(request, timeout=WITHIN) as answer:
        return answer.read().decode()


@provokes("DRAINING", "UNAVAILABLE")
def _(start):
    face = start()
    command = face.command("ClaimNext", {"workerId": "worker", "wait": "25s"}, "operator")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as claim:
        # The call that waits, and this one.
        calls = lambda: next(bound.held for bound in face.do("GetStats", {}).bounds if bound.bound == "calls")
        face.until("the claim that waits", lambda: calls() == 2)
        face.service.process.send_signal(signal.SIGTERM)
        shown = claim.communicate(timeout=WITHIN)[1]
    return Refusal.read(shown)


@pytest.mark.parametrize("reason", PROVOKED)
def test_an_error_with_a_reason_is_shown_decoded(reason: str, start: Start) -> None:
    code, provoke = PROVOKED[reason]
    shown = provoke(start)
    assert shown is not None, "it was not refused"
    assert (shown.code, shown.reason) == (code, reason)
    assert bool(shown.retry) == (code == "RESOURCE_EXHAUSTED" and reason != "SLOW_READER"), shown
    assert bool(shown.fields) == (code == "INVALID_ARGUMENT"), shown


def test_every_reason_of_the_code_is_provoked_and_documented() -> None:
    reasons = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)*)"', TABLE.read_text()))
    assert reasons == set(PROVOKED)
    contract = (PROTO / "repartee" / "v1" / "queue_service.proto").read_text()
    assert [reason for reason in sorted(reasons) if not re.search(rf"//.*\b{reason}\b", contract)] == []
    # The JSON API lists them too, but for what a gateway itself has done wrong, and what ends streams of gRPC.
    problem = (TABLE.parents[3] / "rest-gateway" / "src" / "problem.rs").read_text()
    assert [reason for reason in sorted(reasons) if not re.search(rf"///.*\b{reason}\b", problem)] == [
        "GATEWAY_REFUSED",
        "SLOW_READER",
    ]


def test_an_error_without_a_reason_is_shown_with_its_fields(start: Start) -> None:
    face = start()
    assert face.ask("GetMessage", {"messageId": UNKNOWN}) == Refusal("NOT_FOUND")
    assert face.ask("GetStats", {}, None) == Refusal("UNAUTHENTICATED")
    assert face.ask("GetStats", {}, "worker") == Refusal("PERMISSION_DENIED")
    wrong = question(text="", username="x" * 65, color="red", bot={"priority": 100})
    fields = ["message.text", "message.username", "message.color", "message.bot.priority"]
    shown = face.ask("PostMessage", wrong)
    assert (shown.code, sorted(shown.fields)) == ("INVALID_ARGUMENT", sorted(fields))
    scored = question(eqScore=5)
    assert face.ask("PostMessage", scored, None) == Refusal("UNAUTHENTICATED", fields=["message.eq_score"])
