"""Volumes of a pod as folders of this machine."""

import base64
import os
import shutil
from pathlib import Path

from api import MERGE, Api, Object

FS_GROUP_MODE = 0o2775
# What claims get that name no class; the node plays its provisioner.
CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "played", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "example.test/played",
    "allowVolumeExpansion": True,
}


def content(api: Api, namespace: str, volume: Object) -> dict[str, bytes] | None:
    """The files of a Secret's or ConfigMap's volume; nothing while the object is not there."""
    if "secret" in volume:
        path, name, items = "secrets", volume["secret"]["secretName"], volume["secret"].get("items")
    else:
        path, name, items = "configmaps", volume["configMap"]["name"], volume["configMap"].get("items")
    found = api.find(f"/api/v1/namespaces/{namespace}/{path}/{name}")
    if found is None:
        return None
    data = found.get("data") or {}
    decoded = {key: base64.b64decode(value) if path == "secrets" else value.encode() for key, value in data.items()}
    if items is None:
        return decoded
    if any(item["key"] not in decoded for item in items):
        return None
    return {item["path"]: decoded[item["key"]] for item in items}


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Replaces all files at once as the kubelet does: a link is turned to a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / "..data"
    old = current.resolve() if current.is_symlink() else None
    if old is not None and {one.name: one.read_bytes() for one in old.iterdir()} == files:
        return
    new = folder / f"..{os.urandom(8).hex()}"
    new.mkdir()
    for name, text in files.items():
        (new / name).write_bytes(text)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}")
    turned = folder / "..turning"
    turned.symlink_to(new.name)
    turned.rename(current)
    if old is not None:
        shutil.rmtree(old)


def bind(api: Api) -> None:
    """Says of every claim that it has what it asks for."""
    for claim in api.items("/api/v1/persistentvolumeclaims"):
        wanted = claim["spec"]["resources"]["requests"]
        status = {"phase": "Bound", "accessModes": claim["spec"]["accessModes"], "capacity": wanted}
        if claim["status"].get("capacity") != wanted:
            path = f"/api/v1/namespaces/{claim['metadata']['namespace']}/persistentvolumeclaims/{claim['metadata']['name']}/status"
            api.call("PATCH", path, {"status": status}, MERGE)


def claimed(folder: Path, group: int) -> Path:
    """The folder of a claim, which outlives its pods; its group may write."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, 0, group)
    folder.chmod(FS_GROUP_MODE)
    return folder
