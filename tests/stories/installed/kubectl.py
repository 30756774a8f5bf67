"""kubectl, as the story's onlooker: reads what is there, and breaks what it is told to break."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]
PATIENCE = 120


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One cluster, with all rights."""

    kubeconfig: Path

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        """What it printed. Fails with kubectl's own words."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, namespace: str, selector: str = "") -> list[Object]:
        chosen = ["--selector", selector] if selector else []
        found = self("get", kind, "--namespace", namespace, *chosen, "--output", "json")
        items: list[Object] = json.loads(found)["items"]
        return items

    def one(self, kind: str, namespace: str, name: str) -> Object:
        found: Object = json.loads(self("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self(
            "apply",
            "--filename",
            "-",
            stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}),
        )

    def kill_pods(self, namespace: str, selector: str) -> None:
        """End the containers at once, as a node that fails does."""
        names = [p["metadata"]["name"] for p in self.get("pods", namespace, selector)]
        assert names, f"no pod {selector} in {namespace}"
        self("delete", "pod", *names, "-n", namespace, "--force", "--grace-period=0")
