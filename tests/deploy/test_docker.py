"""The Dockerfile and the compose file, as far as they can be read without an engine; tests/images builds and runs the images."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import CHART, ROOT

DOCKER = ROOT / "deploy" / "docker"


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_layer_of_dependencies_has_every_manifest() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    for member in tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]:
        assert f"COPY {member}/Cargo.toml {member}/\n" in text, member


def test_cargo_takes_the_empty_sources_of_the_layer_of_dependencies(tmp_path: Path) -> None:
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    for file in ["Cargo.toml", "Cargo.lock", *(f"{member}/Cargo.toml" for member in members)]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    subprocess.run([DOCKER / "skeleton.sh"], cwd=tmp_path, check=True)
    command = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version=1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_the_chart_runs_is_a_target_of_the_dockerfile() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    for binary in ("queue-service", "rest-gateway", "bot-worker"):
        assert f"FROM runtime AS {binary}\n" in text
        assert f'ENTRYPOINT ["/{binary}"]\n' in text
        assert any(f"command: [/{binary}]" in one.read_text() for one in (CHART / "templates").iterdir() if one.is_file())


def test_the_compose_file_mounts_what_is_there() -> None:
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert compose["services"].keys() == {"repartee", "prometheus", "grafana", "collector"}
    # The alerts and the dashboard are those of the chart.
    mounted = [mount.split(":")[0] for one in compose["services"].values() for mount in one.get("volumes", [])]
    files = [DOCKER / mount for mount in mounted if mount.startswith(".")]
    assert len(files) >= 6
    assert [str(file) for file in files if not file.is_file()] == []


def test_a_docker_client_accepts_the_compose_file() -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker client with compose")
    done = subprocess.run(["docker", "compose", "--file", DOCKER / "compose.yaml", "config", "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
