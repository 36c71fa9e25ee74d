"""docs/kubernetes.md, followed word by word: its files are written and its commands run, in their order."""

import os
import re
from pathlib import Path

from conftest import ROOT, Cluster, program

BLOCK = re.compile(r"^```(sh|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page_works(cluster: Cluster, tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "kubernetes.md").read_text())
    assert [language for language, _ in blocks].count("yaml") == 1, "the page names one file: talk.yaml"
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("helm", "kubectl"):
        (programs / name).symlink_to(program(f"REPARTEE_{name.upper()}"))
    (programs / "queue-service").symlink_to(Path(program("REPARTEE_BIN_DIR")) / "queue-service")
    said = {}
    for language, text in blocks:
        if language == "yaml":
            (tmp_path / "talk.yaml").write_text(text)
        else:
            done = cluster.shell(text, tmp_path, {"PATH": f"{programs}:{os.environ['PATH']}"})
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}\n{cluster.logs()}"
            said[text] = done.stdout
    assert any(out.startswith("rpt_") for out in said.values()), "one command prints the operator's token"
    assert any("Phase:" in out and "Succeeded" in out for out in said.values()), "helm test ran"
    left = cluster.ok("kubectl", "get", "all,secret,persistentvolumeclaim", "--namespace", "talk", "--output=name").split()
    assert left == [f"secret/{name}" for name in ("llm", "talk-gateway", "talk-helper", "talk-tokens")], "what the page itself made"
