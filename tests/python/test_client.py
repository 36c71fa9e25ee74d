"""A typed client in Python, generated from the document that the gateway serves, and used against that gateway."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
# A picture is text to it.
CONFIG = "post_hooks: []\ncontent_type_overrides: {image/svg+xml: text/html}\n"


def run(*command: str | Path, **environment: str) -> None:
    """Runs a program, which has to succeed."""
    ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"


def test_a_client_is_generated_without_a_warning_and_its_types_hold(service: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    generator = (sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning")
    where = ("--config", tmp_path / "config.yaml", "--output-path", tmp_path / "client")
    run(*generator, "--url", f"{service.url}/openapi.json", *where)
    uses = HERE / "use_client.py"
    path = str(tmp_path / "client")
    run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "mypy", uses, MYPYPATH=path)
    run(sys.executable, uses, service.url, service.token, PYTHONPATH=path)
