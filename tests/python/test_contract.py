"""The document of the JSON API against the gateway that serves it, by schemathesis: requests that the schema allows and
requests that it does not, and every answer against what the document says of it.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent


def test_the_document_states_what_the_gateway_does(service: SimpleNamespace, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml"),
        *("run", f"{service.url}/openapi.json", "--url", service.url, "--no-color"),
        *("--header", f"Authorization: Bearer {service.token}"),
        *("--max-examples", "25"),
        # The same requests each time: what is new in them is for whoever runs it by hand with another seed.
        *("--seed", os.environ.get("REPARTEE_SEED", "1"), "--generation-database", "none"),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "contract_hooks", "PYTHONPATH": str(HERE)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=540)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
