"""The chart, rendered: what is in it, what every pod has, and which values are refused."""

import hashlib
import json
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from conftest import CHART, ROOT, Helm, Object, built, of_kind, pods, selected
from matrix import DEFAULT, MATRIX, OTHERS, REFUSED

# The oldest that the chart allows, one between, and the newest.
KUBERNETES = ("1.30", "1.34", "1.37")

every_case = pytest.mark.parametrize("case", MATRIX)


def rendered(helm: Helm, case: str) -> list[Object]:
    return Helm.rendered(helm.folder, case, MATRIX[case][0])


def test_helm_finds_nothing_to_complain_about(helm: Helm) -> None:
    done = helm.run("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


@every_case
def test_the_values_make_these_objects_and_no_others(helm: Helm, case: str) -> None:
    expected = Counter(DEFAULT)
    expected.update(MATRIX[case][1])
    assert Counter(found["kind"] for found in rendered(helm, case)) == +expected


@every_case
def test_kubernetes_knows_every_field(helm: Helm, case: str) -> None:
    checked = 0
    for found in rendered(helm, case):
        if found["kind"] not in OTHERS:
            for version in KUBERNETES:
                kubernetes_validate.validate(found, version, strict=True)
                checked += 1
    assert checked >= len(KUBERNETES)


@every_case
def test_every_pod_is_restricted_and_has_no_token_of_the_api(helm: Helm, case: str) -> None:
    for name, pod in pods(rendered(helm, case)).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True), name


@every_case
def test_every_pod_says_what_it_needs_and_how_it_is_probed(helm: Helm, case: str) -> None:
    for name, pod in pods(rendered(helm, case)).items():
        for container in pod["spec"]["containers"]:
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
            if pod["of"]["kind"] != "Pod":
                assert {"livenessProbe", "readinessProbe"} <= container.keys(), name
    queue = pods(rendered(helm, case))["talk-repartee-queue"]["spec"]["containers"][0]
    # Recovery may take minutes: until it is over, liveness may not judge.
    assert queue["startupProbe"]["periodSeconds"] * queue["startupProbe"]["failureThreshold"] >= 600


@every_case
def test_what_is_mounted_is_there_and_follows_changes(helm: Helm, case: str) -> None:
    objects, values = rendered(helm, case), json.dumps(MATRIX[case][0])
    made = {f"{kind}/{name}" for kind in ("Secret", "ConfigMap") for name in of_kind(objects, kind)}
    made |= {f"Secret/{found['spec']['secretName']}" for found in objects if found["kind"] == "Certificate"}
    for name, pod in pods(objects).items():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        claims = {claim["metadata"]["name"] for claim in pod["of"]["spec"].get("volumeClaimTemplates", [])}
        for container in pod["spec"]["containers"]:
            mounts = container.get("volumeMounts", [])
            # With subPath a change of a Secret would never arrive.
            assert all("subPath" not in mount for mount in mounts), name
            assert {mount["name"] for mount in mounts} == volumes.keys() | claims, name
        for volume in volumes.values():
            secret, config = volume.get("secret", {}).get("secretName"), volume.get("configMap", {}).get("name")
            named = f"Secret/{secret}" if secret else f"ConfigMap/{config}"
            assert named in made or f'"{secret}"' in values, f"{name}: {named}"


@every_case
def test_selectors_choose_their_pods_and_ports_have_names(helm: Helm, case: str) -> None:
    objects = rendered(helm, case)
    for found in objects:
        spec = found.get("spec", {})
        if found["kind"] in ("Deployment", "StatefulSet"):
            assert selected(spec["selector"], spec["template"]["metadata"]["labels"])
        if found["kind"] == "Service":
            chosen = [pod for pod in pods(objects).values() if selected({"matchLabels": spec["selector"]}, pod["labels"])]
            ports = [port["name"] for pod in chosen for one in pod["spec"]["containers"] for port in one["ports"]]
            assert len(chosen) == 1 and {port["targetPort"] for port in spec["ports"]} <= set(ports)
        if found["kind"] in ("PodDisruptionBudget", "NetworkPolicy"):
            selector = spec.get("selector") or spec["podSelector"]
            chosen = [pod for pod in pods(objects).values() if selected(selector, pod["labels"])]
            is_test = found["metadata"]["name"] == "talk-repartee-test"
            assert len(chosen) == 1 or is_test, found["metadata"]["name"]


@every_case
def test_every_mounted_file_that_a_flag_names_is_mounted(helm: Helm, case: str) -> None:
    named = 0
    for name, pod in pods(rendered(helm, case)).items():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for container in pod["spec"]["containers"]:
            folders = {mount["mountPath"]: volumes.get(mount["name"]) for mount in container.get("volumeMounts", [])}
            for argument in container["args"]:
                _, _, path = argument.partition("=/")
                if path.startswith("etc/"):
                    folder, _, file = f"/{path}".rpartition("/")
                    volume = folders[folder]
                    items = volume.get("secret", {}).get("items")
                    assert items is None or file in [item["path"] for item in items], f"{name}: {argument}"
                    named += 1
    assert named >= 2


@pytest.mark.parametrize(("values", "sentence"), REFUSED, ids=[sentence[:50] for _, sentence in REFUSED])
def test_values_that_cannot_work_are_refused_with_a_sentence(helm: Helm, values: Object, sentence: str) -> None:
    assert sentence in helm.refusal(values)


@pytest.mark.parametrize(("part", "file"), [("prometheusRule", "alerts.yaml"), ("dashboard", "dashboard.json")])
def test_what_is_installed_for_monitoring_is_what_is_in_the_chart(helm: Helm, part: str, file: str) -> None:
    values = {"metrics": {part: {"enabled": True}}}
    path = CHART / "files" / file
    if not path.exists():
        assert f"files/{file} is missing from the chart" in helm.refusal(values)
        return
    objects = helm.render(values)
    if part == "dashboard":
        (found,) = of_kind(objects, "ConfigMap").values()
        assert json.loads(found["data"]["repartee.json"]) == json.loads(path.read_text())
    else:
        (found,) = of_kind(objects, "PrometheusRule").values()
        assert found["spec"] == yaml.safe_load(path.read_text())


def test_settings_become_flags_and_keep_what_they_say(helm: Helm) -> None:
    def flags(case: str, pod: str) -> list[str]:
        return pods(rendered(helm, case))[pod]["spec"]["containers"][0]["args"]

    queue = flags("settings, placement, annotations", "talk-repartee-queue")
    assert {"--retention=90d", "--max-pending=200000", "--reserved-name=Ann", "--reserved-name=Bea"} <= set(queue)
    helper = flags("two bots, one with a model", "talk-repartee-bot-helper")
    assert {"--history=40", "--temperature=0.5", "--stop=END", "--stop=a: b"} <= set(helper)


def test_an_image_with_a_digest_is_that_one(helm: Helm) -> None:
    found = pods(rendered(helm, "settings, placement, annotations"))
    queue, gateway = (found[f"talk-repartee-{part}"]["spec"]["containers"][0]["image"] for part in ("queue", "gateway"))
    assert queue == f"registry.example/talk/queue-service:1.2.3@sha256:{64 * 'a'}"
    assert gateway == "registry.example/talk/rest-gateway:1.2.3"


def test_what_a_prompt_says_is_no_template(helm: Helm) -> None:
    (config,) = of_kind(rendered(helm, "two bots, one with a model"), "ConfigMap").values()
    assert config["data"]["system-prompt.txt"] == "Be brief.\nBe kind: say {{ please }}."


def test_an_annotation_of_the_values_comes_before_the_charts_own(helm: Helm) -> None:
    (ingress,) = of_kind(rendered(helm, "ingress-nginx"), "Ingress").values()
    prefix = "nginx.ingress.kubernetes.io/proxy-"
    assert ingress["metadata"]["annotations"][f"{prefix}read-timeout"] == "7200"
    assert ingress["metadata"]["annotations"][f"{prefix}buffering"] == "off"


def accepted(objects: list[Object]) -> list[Object]:
    """The lines of the tokens file."""
    text = of_kind(objects, "Secret")["talk-repartee-tokens"]["stringData"]["tokens"]
    return [json.loads(line) for line in text.splitlines()]


def test_each_part_has_a_token_that_is_accepted_for_its_role_only(helm: Helm) -> None:
    objects = rendered(helm, "two bots, one with a model")
    secrets, lines = of_kind(objects, "Secret"), accepted(objects)
    by_hash = {line["sha256"]: line for line in lines}
    expected: dict[str, tuple[str, Any]] = {
        "talk-repartee-operator-token": ("operator", None),
        "talk-repartee-gateway-token": ("gateway", None),
        "talk-repartee-bot-echo-token": ("worker", ["echo"]),
        "talk-repartee-bot-helper-token": ("worker", ["helper", "aide"]),
    }
    assert len(lines) == 2 * len(expected), "of each part the token, and the next one"
    for name, (role, entities) in expected.items():
        for which in ("token", "next"):
            token = secrets[name]["stringData"][which]
            line = by_hash[hashlib.sha256(token.encode()).hexdigest()]
            assert (line["role"], line.get("entities"), line["id"]) == (role, entities, token.split("_")[1])


def test_the_tokens_belong_to_no_revision(helm: Helm) -> None:
    secrets = of_kind(helm.render(), "Secret")
    assert len(secrets) == 4
    for name, secret in secrets.items():
        # A rollback brings back what is in the manifest of a revision: hooks are not.
        assert secret["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade", name


def test_a_pod_gets_its_own_token_and_never_the_next_one(helm: Helm) -> None:
    for name, pod in pods(helm.render()).items():
        for volume in pod["spec"].get("volumes", []):
            if volume["name"] == "token":
                assert volume["secret"]["items"] == [{"key": "token", "path": "token"}], name


def test_the_queue_service_reads_the_tokens_of_the_chart(helm: Helm, tmp_path: Path) -> None:
    objects = helm.render()
    file = tmp_path / "tokens"
    file.write_text(of_kind(objects, "Secret")["talk-repartee-tokens"]["stringData"]["tokens"])
    command = [built("queue-service"), "token", "list", "--tokens-file", str(file)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(line["id"] in listed for line in accepted(objects))


@every_case
def test_the_binaries_take_every_flag_of_the_chart(helm: Helm, case: str) -> None:
    for name, pod in pods(rendered(helm, case)).items():
        (container,) = pod["spec"]["containers"]
        if pod["of"]["kind"] == "Pod":
            continue
        binary = container["command"][0].removeprefix("/")
        command = [built(binary), *container["args"], "--print-config"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"


def leaves(value: Any, path: str = "") -> set[str]:
    """The paths of all values that are not objects, and of empty objects."""
    if not isinstance(value, dict) or not value:
        return {path}
    return set().union(*(leaves(inner, f"{path}/{key}") for key, inner in value.items()))


def objects_of(schema: Object, whole: Object) -> dict[str, Object]:
    """The part of the schema at each path that describes an object with known keys."""
    schema = whole["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    found = {"": schema} if "properties" in schema else {}
    for key, inner in schema.get("properties", {}).items():
        found |= {f"/{key}{path}": part for path, part in objects_of(inner, whole).items()}
    return found


def test_the_schema_knows_exactly_the_values_and_refuses_others() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    known = objects_of(schema, schema)
    assert all(part["additionalProperties"] is False for part in known.values())
    described = {f"{path}/{key}" for path, part in known.items() for key in part["properties"]}
    described = {path for path in described if path not in known and path != "/global"}
    # What botDefaults says of resources and the like is one value, which the schema knows as an object.
    written = {path for path in leaves(values) if not any(path.startswith(f"{one}/") for one in described)}
    assert written <= described | known.keys()
    missing = {path for path in described if not any(one == path or one.startswith(f"{path}/") for one in leaves(values))}
    assert missing - {path for path in missing if "/resources/" in path} == set()
    bot = schema["properties"]["bots"]["items"]
    assert bot["additionalProperties"] is False
    assert bot["properties"].keys() - {"name", "entities"} == values["botDefaults"].keys()


def test_the_readme_of_the_chart_is_made_from_its_values() -> None:
    script = ROOT / "deploy" / "helm" / "readme.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_chart_has_the_version_of_the_binaries() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    assert (chart["version"], chart["appVersion"]) == (workspace["version"], workspace["version"])
