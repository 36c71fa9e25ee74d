"""The only node: it plays scheduler, kubelet and kube-proxy for the real control plane.

Each pod is started as a local process from what it says: command, arguments, variables, mounts, user, probes. What is not
played: resources, images (the binaries are those that were built), the effect of NetworkPolicies, provisioners of volumes.
"""

import contextlib
import itertools
import subprocess
import threading
from pathlib import Path

import volumes
from api import MERGE, Api, Object, Refused
from pods import Pod
from services import Services

NAME = "n1"
LOOK_EVERY = 0.1  # seconds


def network() -> None:
    """Sets up the network that the pods share, in this network namespace."""
    for words in (
        ["link", "set", "lo", "up"],
        ["link", "add", "pods", "type", "bridge"],
        ["address", "add", "10.244.0.1/16", "dev", "pods"],
        ["link", "set", "pods", "up"],
    ):
        subprocess.run(["ip", *words], check=True)


class Node:
    """Runs until it is closed."""

    def __init__(self, api: Api, folder: Path, binaries: Path) -> None:
        self.api, self.folder, self.binaries = api, folder, binaries
        self.pods: dict[str, Pod] = {}
        self.told: dict[str, Object] = {}
        self.ending: list[threading.Thread] = []
        self.addresses = (f"10.244.{number // 250}.{number % 250 + 2}" for number in itertools.count(1))
        self.services = Services(api)
        self.hosts = ""
        self.closed = threading.Event()
        self.trouble: Exception | None = None
        api.call("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        """Looks again and again at what should run."""
        while not self.closed.wait(LOOK_EVERY):
            try:
                self.look()
            except Refused as refused:
                # A pod that has just gone, or changed in between: the next look sees it as it is.
                if refused.code not in (404, 409):
                    self.trouble = refused
            except Exception as error:  # noqa: BLE001
                self.trouble = error

    def look(self) -> None:
        """One look."""
        self.hosts = self.services.look()
        volumes.bind(self.api)
        seen = {pod["metadata"]["uid"]: pod for pod in self.api.items("/api/v1/pods")}
        for uid in self.pods.keys() - seen.keys():
            self.pods.pop(uid).end(0)
        for uid, pod in seen.items():
            running = self.pods.get(uid)
            if "deletionTimestamp" in pod["metadata"]:
                if running is None:
                    self.forget(pod)
                elif not running.killed:
                    running.killed = True
                    self.ending.append(threading.Thread(target=self.end, args=(running, pod), daemon=True))
                    self.ending[-1].start()
            elif running is None:
                self.begin(pod)
            else:
                running.tell(self.hosts)
                running.refresh()
                self.report(running)

    def begin(self, pod: Object) -> None:
        """Binds a new pod, and starts one that is bound, once what it mounts is there."""
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        if not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": NAME}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
            self.api.call("POST", f"{path}/binding", binding)
            return
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return
        made = Pod(self.api, self.folder, pod, next(self.addresses), self.binaries)
        if made.prepare(self.hosts):
            self.pods[pod["metadata"]["uid"]] = made
            made.thread.start()

    def report(self, pod: Pod) -> None:
        """Tells what a pod is at, if that is new."""
        status = pod.status()
        if self.told.get(pod.pod["metadata"]["uid"]) != status:
            path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
            self.api.call("PATCH", path, {"status": status}, MERGE)
            self.told[pod.pod["metadata"]["uid"]] = status

    def end(self, running: Pod, pod: Object) -> None:
        """Ends a pod that is to go, within its grace, and lets the server forget it."""
        running.end(pod["metadata"].get("deletionGracePeriodSeconds", 30))
        with contextlib.suppress(Refused):
            self.forget(pod)

    def forget(self, pod: Object) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        self.api.call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0,
                                       "preconditions": {"uid": pod["metadata"]["uid"]}})

    def close(self) -> None:
        """Ends everything; raises what went wrong meanwhile."""
        self.closed.set()
        self.thread.join()
        for pod in self.pods.values():
            pod.end(0)
        for thread in self.ending:
            thread.join()
        if self.trouble is not None:
            raise self.trouble
