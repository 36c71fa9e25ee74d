"""etcd, kube-apiserver and kube-controller-manager, each a real one, on the loopback of this network namespace."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from api import Api

START_WITHIN = 120.0  # seconds
TOKEN = "of-the-tests"
PORT, ETCD = 6443, 2379
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",
    "serviceaccount-controller",
)


class Programs:
    """Processes that end with the test, each with a log of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts a program."""
        with (self.folder / f"{Path(command[0]).name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def stop(self) -> None:
        """Ends all, the last first."""
        for process in reversed(self.running):
            process.kill()
            process.wait()


def kubeconfig(path: Path) -> Path:
    """What helm and kubectl need to reach the server."""
    cluster = {"server": f"https://127.0.0.1:{PORT}", "insecure-skip-tls-verify": True}
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.write_text(json.dumps(whole))
    return path


def ready(api: Api, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the server serves."""
    deadline = time.monotonic() + START_WITHIN
    while True:
        with contextlib.suppress(Exception):
            api.call("GET", "/readyz")
            return
        # Waits for the end of the process, so that a failed start is seen at once.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            raise RuntimeError(f"kube-apiserver has ended: {log.read_text()[-2000:]}")
        assert time.monotonic() < deadline, f"kube-apiserver is not ready within {START_WITHIN} s"


@contextlib.contextmanager
def control_plane(folder: Path, programs: Path) -> Iterator[Api]:
    """A control plane that keeps what it stores in the folder; the programs of Kubernetes are in the other one."""
    started = Programs(folder)
    try:
        etcd = f"http://127.0.0.1:{ETCD}"
        # Nothing here has to survive the machine, so nothing is synced.
        started.start(os.environ.get("REPARTEE_ETCD", "etcd"), "--unsafe-no-fsync", f"--data-dir={folder}/etcd", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}")
        key = folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        users = folder / "tokens.csv"
        users.write_text(f"{TOKEN},admin,admin,system:masters\n")
        server = started.start(
            str(programs / "kube-apiserver"),
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={PORT}",
            f"--cert-dir={folder}/certificates",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--token-auth-file={users}",
            "--authorization-mode=RBAC",
        )
        api = Api(f"https://127.0.0.1:{PORT}", TOKEN)
        ready(api, server, folder / "kube-apiserver.log")
        config = kubeconfig(folder / "kubeconfig")
        started.start(
            str(programs / "kube-controller-manager"),
            f"--kubeconfig={config}",
            "--leader-elect=false",
            f"--controllers={','.join(CONTROLLERS)}",
        )
        os.environ["KUBECONFIG"] = str(config)
        yield api
    finally:
        started.stop()
