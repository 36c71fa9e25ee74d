"""A cluster for the tests of the chart: a real control plane, and one node that is played by this process.

It needs network and mount namespaces of its own, which tests/run makes around the whole suite. REPARTEE_CONTROL_PLANE names the
folder with the programs of Kubernetes, REPARTEE_ETCD, REPARTEE_HELM and REPARTEE_KUBECTL those programs, REPARTEE_BIN_DIR the
built binaries.
"""

import base64
import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import volumes
from api import Api, Object
from control_plane import control_plane
from node import Node, network

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "deploy" / "helm" / "repartee"
WITHIN = 60.0  # seconds
NUMBERS = itertools.count(1)


def program(variable: str) -> str:
    """What a variable names."""
    if variable not in os.environ:
        pytest.skip(f"{variable} is not set: tests/run sets it")
    return os.environ[variable]


class Cluster:
    """The cluster, by the programs that an operator uses."""

    def __init__(self, api: Api, node: Node, folder: Path) -> None:
        self.api, self.node, self.folder = api, node, folder

    def run(self, *command: str, inward: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs helm or kubectl, whatever comes of it."""
        names = {"helm": program("REPARTEE_HELM"), "kubectl": program("REPARTEE_KUBECTL")}
        homes = {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        words = [names[command[0]], *command[1:]]
        return subprocess.run(words, capture_output=True, text=True, input=inward, env={**os.environ, **homes}, check=False)

    def shell(self, text: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs a script of the documentation in a folder."""
        homes = {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        env = {**os.environ, **homes, **variables}
        return subprocess.run(["bash", "-euc", text], cwd=folder, capture_output=True, text=True, env=env, check=False)

    def ok(self, *command: str, inward: str | None = None) -> str:
        """Runs helm or kubectl, which have to succeed; gives what they say."""
        done = self.run(*command, inward=inward)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}\n{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        """The end of what each pod logged."""
        found = sorted(self.folder.glob("*-*.log"))
        return "\n".join(f"== {one.name}\n{one.read_text(errors='replace')[-1500:]}" for one in found)

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Waits until something holds."""
        deadline = time.monotonic() + WITHIN
        while not holds():
            assert time.monotonic() < deadline, f"not within {WITHIN} s: {what}\n{self.logs()}"
            time.sleep(0.05)


class Release:
    """The release `talk` in a namespace of its own, which enforces Pod Security `restricted`."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.api, self.namespace = cluster, cluster.api, namespace
        self.path = f"/api/v1/namespaces/{namespace}"
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
        self.api.call("POST", "/api/v1/namespaces", made)

    def upgrade(self, values: Object | None = None, *words: str) -> subprocess.CompletedProcess[str]:
        """Installs the release, or upgrades it, and waits, whatever comes of it."""
        file = self.cluster.folder / "values.json"
        file.write_text(json.dumps(values or {}))
        given = ["--namespace", self.namespace, "--wait", "--values", str(file), *(words or ["--timeout=1m"])]
        return self.cluster.run("helm", "upgrade", "--install", "talk", str(CHART), *given)

    def upgraded(self, values: Object | None = None) -> str:
        """Installs or upgrades it; gives what helm says."""
        done = self.upgrade(values)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.cluster.logs()}"
        return done.stdout

    def pods(self, component: str = "") -> list[Object]:
        """The pods that are not going."""
        chosen = f"?labelSelector=app.kubernetes.io/component%3D{component}" if component else ""
        found = self.api.items(f"{self.path}/pods{chosen}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def secret(self, name: str, key: str) -> str:
        """What a Secret holds."""
        return base64.b64decode(self.api.call("GET", f"{self.path}/secrets/{name}")["data"][key]).decode()

    def gateway(self) -> str:
        """The URL of the gateways' Service, at its virtual address."""
        return f"http://{self.api.call('GET', f'{self.path}/services/talk-repartee-gateway')['spec']['clusterIP']}"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, without anything in it."""
    programs, binaries = Path(program("REPARTEE_CONTROL_PLANE")), Path(program("REPARTEE_BIN_DIR"))
    if program("REPARTEE_APART") != "yes":
        pytest.skip("not in namespaces of its own")
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o711)
    folder.parent.chmod(0o711)
    network()
    with control_plane(folder, programs) as api:
        api.call("POST", "/apis/storage.k8s.io/v1/storageclasses", volumes.CLASS)
        node = Node(api, folder, binaries)
        try:
            yield Cluster(api, node, folder)
        finally:
            node.close()


@pytest.fixture
def release(cluster: Cluster) -> Iterator[Release]:
    """A namespace for a release, which is uninstalled in the end."""
    found = Release(cluster, f"town-{next(NUMBERS)}")
    yield found
    cluster.run("helm", "uninstall", "talk", "--namespace", found.namespace, "--wait", "--timeout=1m")
