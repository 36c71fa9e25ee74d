"""What a node does for Services: their names in the `hosts` of every pod, and their virtual addresses.

The addresses come from the EndpointSlices of the real controller. A headless Service's name is those of its pods; any other
has a virtual address, at which a connection is passed on to one of its pods, as kube-proxy once did it.
"""

import itertools
import random
import selectors
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field

from api import Api, Object

BLOCK = 64 * 1024
# How much later than the control plane a node knows of a change: on real ones it is about as long.
BEHIND = 1.0  # seconds


@dataclass
class Addresses:
    """The pods of one Service that may be sent to, and the number behind each name of a port."""

    pods: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)


def addresses(slices: list[Object]) -> dict[tuple[str, str], Addresses]:
    """The addresses of all Services, by namespace and name."""
    found: dict[tuple[str, str], Addresses] = {}
    for one in slices:
        service = one["metadata"]["labels"].get("kubernetes.io/service-name")
        of = found.setdefault((one["metadata"]["namespace"], service), Addresses())
        of.ports |= {port["name"]: port["port"] for port in one.get("ports") or []}
        for endpoint in one.get("endpoints") or []:
            if endpoint["conditions"].get("ready", True):
                of.pods += endpoint["addresses"]
    return found


def pass_on(one: socket.socket, other: socket.socket) -> None:
    """Passes bytes both ways until both ends have ended."""
    with one, other, selectors.DefaultSelector() as ready:
        ready.register(one, selectors.EVENT_READ, other)
        ready.register(other, selectors.EVENT_READ, one)
        while ready.get_map():
            for key, _ in ready.select():
                come: socket.socket = key.fileobj  # type: ignore[assignment]
                try:
                    block = come.recv(BLOCK)
                    if block:
                        key.data.sendall(block)
                        continue
                    ready.unregister(come)
                    key.data.shutdown(socket.SHUT_WR)
                except OSError:
                    return


class VirtualAddress:
    """The address and port of a Service, which passes connections on to the pods that the node knows of."""

    def __init__(self, address: str, port: int) -> None:
        self.targets: list[tuple[str, int]] = []
        self.coming, self.since = self.targets, 0.0
        self.turn = itertools.count(random.randrange(1000))
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=False, capture_output=True)
        self.listener = socket.create_server((address, port), backlog=1024)
        threading.Thread(target=self.accept, daemon=True).start()

    def follow(self, targets: list[tuple[str, int]]) -> None:
        """Learns of these pods, after a while."""
        if targets != self.coming:
            self.coming, self.since = targets, time.monotonic()
        if time.monotonic() - self.since >= BEHIND:
            self.targets = self.coming

    def accept(self) -> None:
        while True:
            try:
                come, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(come,), daemon=True).start()

    def connect(self, come: socket.socket) -> None:
        targets = self.targets
        if not targets:
            come.close()
            return
        try:
            gone = socket.create_connection(targets[next(self.turn) % len(targets)], timeout=10)
        except OSError:
            # As for kube-proxy: whoever connected is refused, and nobody tries another pod for them.
            come.close()
            return
        gone.settimeout(None)
        pass_on(come, gone)


class Services:
    """All Services of the cluster."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.virtual: dict[tuple[str, int], VirtualAddress] = {}

    def look(self) -> str:
        """Follows the EndpointSlices; gives the text of a `hosts` file."""
        found = addresses(self.api.items("/apis/discovery.k8s.io/v1/endpointslices"))
        lines = ["127.0.0.1 localhost"]
        for service in self.api.items("/api/v1/services"):
            namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
            behind, own = found.get((namespace, name), Addresses()), service["spec"]["clusterIP"]
            names = f"{name}.{namespace}.svc {name}.{namespace}.svc.cluster.local {name}.{namespace}"
            lines += [f"{address} {names}" for address in (behind.pods if own == "None" else [own])]
            if own != "None" and service["spec"].get("selector"):
                self.follow(own, service["spec"]["ports"], behind)
        return "\n".join(lines) + "\n"

    def follow(self, own: str, ports: list[Object], behind: Addresses) -> None:
        for port in ports:
            key = (own, port["port"])
            if key not in self.virtual:
                self.virtual[key] = VirtualAddress(*key)
            target = behind.ports.get(port["name"])
            self.virtual[key].follow([(pod, target) for pod in behind.pods if target is not None])
