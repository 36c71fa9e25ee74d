"""Every object of every set of values, as a real server sees it: with its defaults, its rules and Pod Security."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from api import Refused
from conftest import CHART, Cluster, Release

sys.path.append(str(Path(__file__).parent.parent / "deploy"))
from matrix import MATRIX, OTHERS  # noqa: E402


@pytest.fixture(scope="module")
def town(cluster: Cluster) -> Release:
    """A namespace with the accounts of the chart: a dry run of a pod asks whether its account is there."""
    found = Release(cluster, "objects")
    accounts = ["queue-service", "rest-gateway", "bot-worker"]
    for name in accounts:
        cluster.ok("kubectl", "create", "serviceaccount", f"talk-repartee-{name}", "--namespace", found.namespace)
    return found


@pytest.mark.parametrize("case", MATRIX)
def test_the_server_accepts_every_object(cluster: Cluster, town: Release, case: str) -> None:
    values = cluster.folder / "case.json"
    values.write_text(json.dumps({**MATRIX[case][0], "tokens": {"renderWithoutCluster": True, **MATRIX[case][0].get("tokens", {})}}))
    text = cluster.ok("helm", "template", "talk", str(CHART), "--namespace", town.namespace, "--values", str(values))
    objects = [found for found in yaml.safe_load_all(text) if found and found["kind"] not in OTHERS]
    # The accounts were made by another hand, and are taken over.
    words = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename=-"]
    said = cluster.ok("kubectl", *words, inward=yaml.safe_dump_all(objects))
    assert said.count("(server dry run)") == len(objects) > len(OTHERS)


def test_the_server_refuses_a_pod_that_is_not_restricted(cluster: Cluster, town: Release) -> None:
    container = {"name": "a", "image": "a", "securityContext": {"runAsUser": 0}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container]}}
    with pytest.raises(Refused, match='violates PodSecurity .*"restricted') as refused:
        cluster.api.call("POST", f"{town.path}/pods", pod)
    assert refused.value.code == 403


def test_the_server_refuses_what_a_schema_lets_through(cluster: Cluster, town: Release) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 70000}]}}
    with pytest.raises(Refused, match="between 1 and 65535"):
        cluster.api.call("POST", f"{town.path}/services", service)
