#!/usr/bin/env python3
"""Writes the chart's README.md from the comments of its values.yaml; with --check it only says whether it is up to date.

Each value has its comment on the lines above it. A value without one is refused, so none stays undocumented.
"""

import re
import sys
from pathlib import Path

CHART = Path(__file__).parent / "repartee"
HEAD = """\
# The chart of Repartee

Made by `deploy/helm/readme.py` from the comments of [values.yaml](values.yaml): change those, and run it again.

```sh
helm install talk deploy/helm/repartee --namespace talk --create-namespace --wait
helm test talk --namespace talk
```

What it installs, who may reach whom, and how it is upgraded: [docs/kubernetes.md](../../../docs/kubernetes.md).

## Values

| value | default | meaning |
|---|---|---|
"""
KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):(?: (.*))?$")


def values(text: str) -> list[tuple[str, str, str]]:
    """Path, default and meaning of each value, in order. Raises ValueError for one that has no comment."""
    found: list[tuple[str, str, str]] = []
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            comment.append(line.lstrip(" #"))
            continue
        key = KEY.match(line)
        if key is None:
            # An empty line ends a comment that is of no value; a list is shown as its key's own default.
            comment = []
            continue
        indent, name, default = len(key[1]), key[2], key[3]
        in_list = bool(path) and path[-1][1] == "bots" and indent > path[-1][0]
        if in_list:
            continue
        while path and path[-1][0] >= indent:
            path.pop()
        path.append((indent, name))
        whole = ".".join(part for _, part in path)
        if default is not None and not comment:
            raise ValueError(f"values.yaml:{number}: {whole} has no comment above it")
        if comment:
            found.append((whole, default or "", " ".join(comment)))
        comment = []
    return found


def readme(text: str) -> str:
    """The README of these values."""
    rows = []
    for path, default, meaning in values(text):
        shown = f"`{default}`" if default else "see below" if path == "bots" else ""
        rows.append(f"| `{path}` | {shown} | {meaning.replace('|', chr(92) + '|')} |\n")
    bots = text[text.index("\nbots:\n") + 1 : text.index("\n# What an entry of `bots`")].strip()
    return HEAD + "".join(rows) + f"\nThe default of `bots`:\n\n```yaml\n{bots}\n```\n"


def main() -> int:
    made, file = readme((CHART / "values.yaml").read_text()), CHART / "README.md"
    if sys.argv[1:] == ["--check"]:
        current = file.read_text() if file.exists() else ""
        if current != made:
            print("deploy/helm/repartee/README.md is out of date: run deploy/helm/readme.py", file=sys.stderr)
        return int(current != made)
    file.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
