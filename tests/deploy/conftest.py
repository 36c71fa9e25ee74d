"""What the tests of the chart begin with: helm, and the objects that it renders.

REPARTEE_HELM and REPARTEE_KUBECTL name the programs, REPARTEE_BIN_DIR the folder with the built binaries.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "deploy" / "helm" / "repartee"

Object = dict[str, Any]


def program(variable: str) -> str:
    """The program that a variable names; without it the test is skipped."""
    if variable not in os.environ:
        pytest.skip(f"{variable} names no program")
    return os.environ[variable]


def built(name: str) -> str:
    """The path of a built binary."""
    return str(Path(program("REPARTEE_BIN_DIR")) / name)


def without_cluster(values: Object) -> Object:
    """The values with the permission to make tokens that are of no cluster."""
    return {**values, "tokens": {"renderWithoutCluster": True, **values.get("tokens", {})}}


class Helm:
    """helm template, with values as one object."""

    cases: ClassVar[dict[str, list[Object]]] = {}

    def __init__(self, folder: Path) -> None:
        self.program, self.values = program("REPARTEE_HELM"), folder / "values.json"
        self.folder = folder

    def run(self, *words: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
        """Runs helm; nothing of the user's own settings is read or written."""
        self.values.write_text(json.dumps(values or {}))
        homes = {f"HELM_{kind}_HOME": str(self.folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        command = [self.program, *words, "--values", str(self.values)]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **homes}, check=False)

    @classmethod
    def rendered(cls, folder: Path, case: str, values: Object) -> list[Object]:
        """The objects of a case of the matrix, rendered once for all tests."""
        if case not in cls.cases:
            cls.cases[case] = cls(folder).render(values)
        return cls.cases[case]

    def render(self, values: Object | None = None) -> list[Object]:
        """The objects of a release `talk` in the namespace `town`, as its install makes them."""
        done = self.run("template", "talk", str(CHART), "--namespace", "town", values=without_cluster(values or {}))
        assert done.returncode == 0, done.stderr
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    def refusal(self, values: Object) -> str:
        """Why helm refuses these values."""
        done = self.run("template", "talk", str(CHART), values=without_cluster(values))
        assert done.returncode != 0, "these values are accepted"
        return done.stderr


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """helm, with a folder of its own."""
    return Helm(tmp_path)


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind, by name."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def pods(objects: list[Object]) -> dict[str, Object]:
    """Every pod that the objects make: its labels and its spec, by the name of what makes it."""
    found = {}
    for made in objects:
        if made["kind"] in ("Deployment", "StatefulSet"):
            template = made["spec"]["template"]
            found[made["metadata"]["name"]] = {"labels": template["metadata"]["labels"], "spec": template["spec"], "of": made}
        elif made["kind"] == "Pod":
            found[made["metadata"]["name"]] = {"labels": made["metadata"]["labels"], "spec": made["spec"], "of": made}
    return found



def selected(selector: Object, labels: Object) -> bool:
    """Whether a selector chooses these labels."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
