"""One pod as local processes: namespaces, a root, an address, its container, its probes, and how it ends."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import volumes
from api import Api, Object
from probes import passes

HERE = Path(__file__).parent
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# Probes come as many times as often as the pod says: what is tested is what they ask, not how long a test may take.
HURRY = 5
# How long a container that has ended stays away: as long again with each further end, which bounds what a broken one costs.
RESTART_AFTER = 0.5  # seconds


def expanded(text: str, variables: dict[str, str]) -> str:
    """`$(NAME)` replaced by the variable, where there is one."""
    return re.sub(r"\$\(([A-Za-z0-9_.-]+)\)", lambda found: variables.get(found[1], found[0]), text)


def environment(container: Object, pod: Object, address: str) -> dict[str, str]:
    """The variables of a container."""
    fields = {"metadata.name": pod["metadata"]["name"], "metadata.namespace": pod["metadata"]["namespace"], "status.podIP": address}
    made = {"PATH": "/usr/bin:/bin"}
    for one in container.get("env", []):
        source = one.get("valueFrom")
        made[one["name"]] = fields[source["fieldRef"]["fieldPath"]] if source else expanded(one.get("value", ""), made)
    return made


class Pod:
    """A pod that this node runs."""

    def __init__(self, api: Api, folder: Path, pod: Object, address: str, binaries: Path) -> None:
        self.api, self.pod, self.address = api, pod, address
        self.namespace, self.name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        self.folder = folder / "pods" / pod["metadata"]["uid"]
        self.claims = folder / "claims"
        self.log = folder / f"{self.name}.log"
        (self.container,) = pod["spec"]["containers"]
        self.binaries = binaries
        self.process: subprocess.Popen[bytes] | None = None
        self.ready, self.ended, self.restarts = False, threading.Event(), 0
        self.code: int | None = None
        self.killed, self.stopping = False, threading.Event()
        self.thread = threading.Thread(target=self.live, daemon=True)

    # What it is made of.

    def prepare(self, hosts: str) -> bool:
        """Makes the folders that are mounted; False while a Secret or ConfigMap is not there."""
        etc, image = self.folder / "etc", self.folder / "image"
        for made in (etc / "ssl" / "certs", image):
            made.mkdir(parents=True, exist_ok=True)
        # The one file of the images beside their program.
        shutil.copy(AUTHORITIES, etc / "ssl" / "certs")
        (etc / "nsswitch.conf").write_text("hosts: files\n")
        (etc / "ld.so.cache").write_bytes(Path("/etc/ld.so.cache").read_bytes())
        self.tell(hosts)
        binary = self.container["image"].rpartition("/")[2].partition(":")[0]
        if (self.binaries / binary).exists():
            target = image / binary
            if not target.exists():
                os.link(self.binaries / binary, target) if self.same_disk() else shutil.copy(self.binaries / binary, target)
        lines = []
        for volume in self.pod["spec"].get("volumes", []):
            place = self.place(volume)
            if place is None:
                return False
            for mount in self.container.get("volumeMounts", []):
                if mount["name"] == volume["name"]:
                    # A folder to mount on, which the read-only root must hold already.
                    if mount["mountPath"].startswith("/etc/"):
                        (self.folder / mount["mountPath"][1:]).mkdir(parents=True, exist_ok=True)
                    lines.append(f"{place}\t{mount['mountPath']}\t{'ro' if mount.get('readOnly') else 'rw'}\n")
        (self.folder / "mounts").write_text("".join(lines))
        return True

    def same_disk(self) -> bool:
        return self.binaries.stat().st_dev == self.folder.stat().st_dev

    def place(self, volume: Object) -> Path | None:
        """The folder of a volume."""
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            return volumes.claimed(self.claims / self.namespace / claim, self.pod["spec"]["securityContext"]["fsGroup"])
        place = self.folder / "volumes" / volume["name"]
        if "emptyDir" in volume:
            return volumes.claimed(place, self.pod["spec"]["securityContext"]["fsGroup"])
        if "secret" not in volume and "configMap" not in volume:
            # The token of the API, which the chart never asks for.
            raise AssertionError(f"{self.name} mounts {volume}")
        files = volumes.content(self.api, self.namespace, volume)
        if files is None:
            return None
        volumes.write(place, files)
        return place

    def tell(self, hosts: str) -> None:
        """Replaces its names of Services."""
        file = self.folder / "etc" / "hosts"
        if not file.exists() or file.read_text() != hosts:
            new = file.with_name("hosts.new")
            new.write_text(hosts)
            new.rename(file)

    def refresh(self) -> None:
        """Follows its Secrets and ConfigMaps."""
        for volume in self.pod["spec"].get("volumes", []):
            if "persistentVolumeClaim" not in volume:
                self.place(volume)

    # How it runs.

    def start(self) -> None:
        """Starts its container in a network of its own."""
        context = {**self.pod["spec"].get("securityContext", {}), **self.container.get("securityContext", {})}
        variables = environment(self.container, self.pod, self.address)
        words = [expanded(word, variables) for word in [*self.container["command"], *self.container.get("args", [])]]
        writable = "no" if context.get("readOnlyRootFilesystem") else "yes"
        who = [str(context["runAsUser"]), str(context["runAsGroup"]), writable]
        command = ["unshare", "--net", "--mount", "--propagation=private", str(HERE / "pod.sh"), str(self.folder), *who, *words]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=variables)
        self.connect(self.process.pid)
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.close()

    def connect(self, process: int) -> None:
        """Gives the process its address, once it is in a network of its own."""
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{process}/ns/net") == ours:
            time.sleep(0.002)
        end = f"v{process}"
        inside = ["nsenter", f"--target={process}", "--net"]
        for words in (
            ["ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", str(process)],
            ["ip", "link", "set", end, "master", "pods", "up"],
            [*inside, "ip", "link", "set", "lo", "up"],
            [*inside, "ip", "address", "add", f"{self.address}/16", "dev", "eth0"],
            [*inside, "ip", "link", "set", "eth0", "up"],
            [*inside, "ip", "route", "add", "default", "via", "10.244.0.1"],
        ):
            subprocess.run(words, check=True, capture_output=True)

    def live(self) -> None:
        """Runs the container, again if it ends and may, until the pod is killed."""
        again = self.pod["spec"].get("restartPolicy", "Always") == "Always"
        try:
            while not self.killed:
                self.start()
                assert self.process is not None
                self.watch(self.process)
                self.code = self.process.wait()
                self.ready = False
                if not again:
                    break
                self.restarts += 0 if self.killed else 1
                self.stopping.wait(RESTART_AFTER * self.restarts)
        finally:
            # Whatever happened here: somebody waits for it.
            self.ended.set()

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        """Asks its probes until it has ended, and kills it if it fails one that is deadly."""
        startup, liveness, readiness = (self.container.get(f"{kind}Probe") for kind in ("startup", "liveness", "readiness"))
        started, failed = startup is None, {"startup": 0, "liveness": 0, "readiness": 0}
        due = {"startup": 0.0, "liveness": 0.0, "readiness": 0.0}
        while process.poll() is None:
            kinds = {"liveness": liveness, "readiness": readiness} if started else {"startup": startup}
            for kind, probe in kinds.items():
                if probe is None or time.monotonic() < due[kind]:
                    continue
                due[kind] = time.monotonic() + probe.get("periodSeconds", 10) / HURRY
                passed = passes(probe, self.container, self.address, process.pid)
                failed[kind] = 0 if passed else failed[kind] + 1
                too_often = failed[kind] >= probe.get("failureThreshold", 3)
                if kind == "startup" and passed:
                    started = True
                elif kind == "readiness" and (passed or too_often):
                    self.ready = passed
                elif kind != "readiness" and too_often and not self.killed:
                    process.kill()
            if started and readiness is None:
                self.ready = True
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue

    def end(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when it has ended."""
        self.killed = True
        self.stopping.set()
        told, deadline = None, time.monotonic() + grace
        # The process may be one that is only just being started.
        while not self.ended.wait(0.02):
            process = self.process
            if process is None:
                continue
            if time.monotonic() >= deadline:
                process.kill()
            elif process is not told:
                process.send_signal(signal.SIGTERM)
                told = process

    def status(self) -> Object:
        """What the kubelet would tell of it."""
        phase = "Running"
        if self.ended.is_set():
            phase = "Succeeded" if self.code == 0 else "Failed"
        state: Object = {"running": {}} if phase == "Running" else {"terminated": {"exitCode": self.code or 0}}
        ready = str(self.ready)
        return {
            "phase": phase,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self.pod["metadata"]["creationTimestamp"],
            "conditions": [{"type": kind, "status": ready} for kind in ("Ready", "ContainersReady")]
            + [{"type": kind, "status": "True"} for kind in ("Initialized", "PodScheduled")],
            "containerStatuses": [
                {
                    "name": self.container["name"],
                    "image": self.container["image"],
                    "imageID": self.container["image"],
                    "ready": self.ready,
                    "restartCount": self.restarts,
                    "state": state,
                }
            ],
        }
