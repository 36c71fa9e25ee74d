"""The chart on a cluster: installed, upgraded, drained, rolled back and uninstalled by the real controllers, its pods run as it
says."""

import hashlib
import json
import threading

from api import Refused
from browser import Refusal, Stream, call, get, post
from conftest import Cluster, Release

TWO_GATEWAYS = 2


def is_settled(release: Release, component: str, count: int) -> bool:
    pods = release.pods(component)
    return len(pods) == count and all(pod["status"].get("containerStatuses", [{}])[0].get("ready") for pod in pods)


def test_it_is_installed_and_its_own_test_is_answered(cluster: Cluster, release: Release) -> None:
    said = release.upgraded()
    assert f"helm test talk --namespace {release.namespace}" in said
    cluster.ok("helm", "test", "talk", "--namespace", release.namespace, "--timeout=1m")


def test_a_question_is_answered_on_the_stream_of_another_gateway(release: Release) -> None:
    release.upgraded()
    gateways = [f"http://{pod['status']['podIP']}:8080" for pod in release.pods("rest-gateway")]
    assert len(gateways) == TWO_GATEWAYS
    stream = Stream(gateways[0], "lobby")
    asked, _ = post(gateways[1], "lobby", "Is anybody there?")
    release.cluster.until("the answer", lambda: asked in stream.answers())
    stream.close()
    assert "Is anybody there?" in stream.answers()[asked]


def test_an_operator_reads_the_statistics_with_the_charts_token(release: Release) -> None:
    release.upgraded()
    token = release.secret("talk-repartee-operator-token", "token")
    assert "tailSeq" in get(release.gateway(), "/api/stats", {"Authorization": f"Bearer {token}"})


class Load:
    """Posts comments at a rate until it is stopped, and knows what became of them."""

    def __init__(self, url: str, room: str, rate: float) -> None:
        self.url, self.room, self.rate = url, room, rate
        self.asked: list[str] = []
        self.failed: list[str] = []
        self.trouble: list[BaseException] = []
        self.stopped = threading.Event()
        self.threads: list[threading.Thread] = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        number = 0
        while not self.stopped.wait(1 / self.rate):
            number += 1
            self.threads.append(threading.Thread(target=self.one, args=(number,), daemon=True))
            self.threads[-1].start()

    def one(self, number: int) -> None:
        try:
            asked, failed = post(self.url, self.room, f"question {number}")
            self.asked.append(asked)
            self.failed += failed
        except BaseException as error:  # noqa: BLE001
            self.trouble.append(error)

    def stop(self) -> None:
        """Stops, and waits for what is under way."""
        self.stopped.set()
        self.thread.join()
        for thread in self.threads:
            thread.join()
        assert not self.trouble, self.trouble[0]


# One visitor's address stands for all here, so its own shares are off; every bot takes what comes.
UNDER_LOAD = {
    "restGateway": {"settings": {"client-limits": "off"}},
    "bots": [{"name": "echo", "entities": ["echo"], "reply": "echo", "settings": {"max-in-flight": 16}}],
}


def test_an_upgrade_of_all_parts_under_load_loses_nothing(release: Release) -> None:
    release.upgraded(UNDER_LOAD)
    before = {pod["metadata"]["uid"] for pod in release.pods()}
    url = release.gateway()
    streams = [Stream(url, "lobby") for _ in range(4)]
    load = Load(url, "lobby", rate=20)
    release.upgraded({**UNDER_LOAD, "image": {"tag": "next"}})
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in release.pods()), "every pod is a new one"
    load.stop()
    assert len(load.asked) > 20
    for stream in streams:
        release.cluster.until("every answer", lambda stream=stream: set(load.asked) <= stream.answers().keys())
        stream.close()
        assert stream.resets == 0, "no stream lost its place"
        replies = [one["replyTo"] for one in stream.changes if one.get("replyTo")]
        assert len(replies) == len(set(replies)), "each question is answered once"


def test_a_rolling_update_of_the_gateways_refuses_nobody(release: Release) -> None:
    release.upgraded(UNDER_LOAD)
    url = release.gateway()
    post(url, "lobby", "Is everything there?")
    load = Load(url, "lobby", rate=20)
    gateway = {**UNDER_LOAD["restGateway"], "podAnnotations": {"rolled": "yes"}}
    release.upgraded({**UNDER_LOAD, "restGateway": gateway})
    gone = lambda: len(release.api.items(f"{release.path}/pods?labelSelector=app.kubernetes.io/component%3Drest-gateway")) == TWO_GATEWAYS  # noqa: E731
    release.cluster.until("the old gateways have ended", gone)
    load.stop()
    assert len(load.asked) > 20
    assert load.failed == [], "not one post had to be sent again"


def test_evictions_leave_a_gateway(release: Release) -> None:
    release.upgraded()

    def evict(pod: str) -> int:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": release.namespace}}
        try:
            release.api.call("POST", f"{release.path}/pods/{pod}/eviction", body)
        except Refused as refused:
            return refused.code
        return 201

    budget = f"/apis/policy/v1/namespaces/{release.namespace}/poddisruptionbudgets/talk-repartee-gateway"
    allowed = lambda: release.api.call("GET", budget)["status"].get("disruptionsAllowed", 0)  # noqa: E731
    release.cluster.until("the budget is counted", lambda: allowed() == 1)
    first, second = (pod["metadata"]["name"] for pod in release.pods("rest-gateway"))
    assert evict(first) == 201
    assert evict(second) == 429, "it would be the last one"
    release.cluster.until("the evicted one is replaced", lambda: is_settled(release, "rest-gateway", TWO_GATEWAYS) and allowed() == 1)
    assert evict(second) == 201


def test_an_upgrade_that_cannot_start_is_rolled_back_and_nobody_notices(release: Release) -> None:
    release.upgraded()
    serving = {pod["metadata"]["uid"] for pod in release.pods("rest-gateway")}
    # A setting that the gateway itself refuses: the schema cannot know all of them.
    wrong = release.upgrade({"restGateway": {"settings": {"max-connections": "many"}}}, "--timeout=5s")
    assert wrong.returncode != 0
    assert serving < {pod["metadata"]["uid"] for pod in release.pods("rest-gateway")}, "the old ones stay, beside one that fails"
    post(release.gateway(), "lobby", "Still there?")
    release.cluster.ok("helm", "rollback", "talk", "1", "--namespace", release.namespace, "--wait", "--timeout=1m")
    release.cluster.until("the failing one is gone", lambda: {pod["metadata"]["uid"] for pod in release.pods("rest-gateway")} == serving)


def accepted(release: Release) -> set[str]:
    """The hashes of the tokens that are accepted."""
    return {json.loads(line)["sha256"] for line in release.secret("talk-repartee-tokens", "tokens").splitlines()}


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_tokens_are_kept_over_upgrades_and_replaced_without_a_restart(release: Release) -> None:
    release.upgraded()
    pods = {pod["metadata"]["uid"] for pod in release.pods()}
    name, url = "talk-repartee-operator-token", release.gateway()
    first, second = release.secret(name, "token"), release.secret(name, "next")

    def works(token: str) -> bool:
        try:
            return bool(call(url, "GET", "/api/stats", headers={"Authorization": f"Bearer {token}"}))
        except Refusal:
            return False

    release.upgraded()
    assert release.secret(name, "token") == first, "an upgrade keeps it"
    assert {digest(first), digest(second)} <= accepted(release)

    release.upgraded({"tokens": {"rotation": 2}})
    assert release.secret(name, "token") == second, "the next one comes up"
    third = release.secret(name, "next")
    assert {digest(first), digest(second), digest(third)} <= accepted(release)
    assert works(first) and works(second)

    release.upgraded({"tokens": {"rotation": 2, "acceptPrevious": False}})
    release.cluster.until("the first one is refused", lambda: not works(first))
    assert works(second)
    release.cluster.until("the queue-service knows the next one", lambda: works(third))
    # Gateways and bots have followed: they still talk to the queue-service, which accepts their old tokens no more.
    stream = Stream(url, "lobby")
    asked, _ = post(url, "lobby", "Who is there?")
    release.cluster.until("the answer", lambda: asked in stream.answers())
    stream.close()
    assert {pod["metadata"]["uid"] for pod in release.pods()} == pods, "nothing was restarted"
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in release.pods())


def test_a_rollback_brings_back_no_token(release: Release) -> None:
    release.upgraded()
    name = "talk-repartee-operator-token"
    first = release.secret(name, "token")
    release.upgraded({"tokens": {"rotation": 2}})
    release.upgraded({"tokens": {"rotation": 2, "acceptPrevious": False}})
    second, hashes = release.secret(name, "token"), accepted(release)
    assert digest(second) in hashes and digest(first) not in hashes
    release.cluster.ok("helm", "rollback", "talk", "1", "--namespace", release.namespace, "--wait", "--timeout=1m")
    assert (release.secret(name, "token"), accepted(release)) == (second, hashes), "they belong to no revision"
    release.upgraded()
    assert (release.secret(name, "token"), accepted(release)) == (second, hashes), "a lower rotation is none"


def test_the_claim_grows_while_its_pod_runs(release: Release) -> None:
    release.upgraded()
    serving = {pod["metadata"]["uid"] for pod in release.pods()}
    larger = {"queueService": {"persistence": {"size": "20Gi"}}}
    refused = release.upgrade(larger)
    assert refused.returncode != 0
    assert "volumeClaimTemplates" in refused.stderr or "Forbidden" in refused.stderr, refused.stderr
    # As docs/kubernetes.md says.
    claim = ["persistentvolumeclaim", "data-talk-repartee-queue-0", "--namespace", release.namespace]
    release.cluster.ok("kubectl", "patch", *claim, '--patch={"spec": {"resources": {"requests": {"storage": "20Gi"}}}}')
    has = lambda: release.cluster.ok("kubectl", "get", *claim, "--output=jsonpath={.status.capacity.storage}")  # noqa: E731
    release.cluster.until("the claim has grown", lambda: has() == "20Gi")
    release.cluster.ok("kubectl", "delete", "statefulset", "talk-repartee-queue", "--cascade=orphan", "--namespace", release.namespace)
    release.upgraded(larger)
    assert {pod["metadata"]["uid"] for pod in release.pods()} == serving, "nothing was restarted"


def test_comments_outlive_the_pod_that_has_them(release: Release) -> None:
    release.upgraded()
    url = release.gateway()
    asked, _ = post(url, "lobby", "Remember this.")
    (queue,) = release.pods("queue-service")
    release.api.call("DELETE", f"{release.path}/pods/{queue['metadata']['name']}")
    release.cluster.until("a new pod", lambda: is_settled(release, "queue-service", 1) and release.pods("queue-service")[0]["metadata"]["uid"] != queue["metadata"]["uid"])
    release.cluster.until("gateways are ready", lambda: is_settled(release, "rest-gateway", TWO_GATEWAYS))
    after, _ = post(url, "lobby", "And this.")
    found = {one["id"] for one in get(url, "/api/comments?domain=lobby&limit=50")}
    assert {asked, after} <= found


def test_uninstalled_it_leaves_the_claim_and_the_tokens(release: Release) -> None:
    release.upgraded()
    token = release.secret("talk-repartee-operator-token", "token")
    release.cluster.ok("helm", "uninstall", "talk", "--namespace", release.namespace, "--wait", "--timeout=1m")
    kinds = "all,secret,configmap,networkpolicy,poddisruptionbudget,persistentvolumeclaim"
    left = lambda: release.cluster.ok("kubectl", "get", kinds, "--namespace", release.namespace, "--output=name").split()  # noqa: E731
    tokens = [f"secret/talk-repartee-{name}" for name in ("bot-echo-token", "gateway-token", "operator-token", "tokens")]
    kept = sorted(["persistentvolumeclaim/data-talk-repartee-queue-0", *tokens])
    release.cluster.until("all else is gone", lambda: sorted(left()) == kept)
    release.upgraded()
    assert release.secret("talk-repartee-operator-token", "token") == token, "the next install finds them"
