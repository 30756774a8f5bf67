"""Catalogs of any size, written as the YAML that people write."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

REPOSITORIES = 7
SHARED = "shared/libraries"


def write_catalog(path: Path, services: int, repositories: int = REPOSITORIES) -> Path:
    """A catalog of so many deployments, none of which waits for another, in three environments."""
    names = [f"repository-{number}" for number in range(repositories)]
    document = {
        "name": f"bench-{services}",
        "forge_url": "http://127.0.0.1:1",
        "registry_url": "http://127.0.0.1:1",
        "repositories": {name: {"project": f"bench/{name}"} for name in names},
        "environments": {
            "dev": _environment("dev", {"branch": "develop"}, automatic=True),
            "staging": _environment("staging", {"branch": "staging"}, "dev", automatic=True),
            "production": _environment("production", {"tag": "vX.Y.Z"}, "staging"),
        },
        "services": {
            f"service-{number:04}": {
                "repository": names[number % repositories],
                "path": f"services/service-{number:04}",
                "shared_paths": [SHARED],
                "port": 9000,
                "owners": ["platform-team"],
            }
            for number in range(services)
        },
    }
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(document, file)
    return path


def _environment(
    name: str, ref: dict[str, str], upstream: str | None = None, *, automatic: bool = False
) -> dict[str, object]:
    gates = ["ci_passed", "image", "hold"]
    made = {"namespace": f"bench-{name}", "ref": ref, "automatic": automatic, "gates": gates}
    if upstream is None:
        return made
    gates += ["upstream_healthy"] if automatic else ["upstream_healthy", "soak"]
    return {**made, "upstream": upstream}
