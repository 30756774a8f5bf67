"""The files of the seeded repositories: small, but laid out as the deployment strategy has them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from flowmaster_delivery.model.catalog import Catalog, Kind, Repository, Service
from flowmaster_delivery.sandbox.seed import manifests

STAGES = ("lint", "test", "build", "package", "deploy", "validate")

LIBRARY = '''"""What the services share."""


def health(service: str) -> dict[str, str]:
    return {"status": "ok", "service": service}
'''

MAIN = '''"""{description}"""

from http.server import BaseHTTPRequestHandler, HTTPServer

PORT = {port}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "{health_path}" else 404)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("", PORT), Handler).serve_forever()
'''

TEST = """from main import PORT


def test_the_port_is_the_one_of_the_registry() -> None:
    assert PORT == {port}
"""

DOCKERFILE = """FROM python:3.11-slim
WORKDIR /app
COPY {path} /app
EXPOSE {port}
USER 10001
CMD ["python", "src/main.py"]
"""

MIGRATION = """-- {name}: first schema
CREATE TABLE IF NOT EXISTS processes (id uuid PRIMARY KEY, name text NOT NULL);
"""


SCHEMAS = "1-2"
"""Schema versions that a service's first image says it runs on."""
ON_THE_FIRST_ALONE = ("process-design",)
"""Services whose first image needs what a contraction takes away: it leaves them no way back."""
FIRST_MIGRATION = {
    "before": 0,
    "after": 1,
    "phase": "expand",
    "reversible": True,
    "up": ["migrate", "up", "1"],
    "down": ["migrate", "down", "0"],
}
"""What the image of a migration job says in its labels, as its folder's migration.json."""


def files_of(repository: Repository, catalog: Catalog) -> dict[str, bytes]:
    """Path to content, for the first commit of a repository."""
    services = catalog.services_of(repository.name)
    files = {
        "README.md": _readme(repository, services),
        ".gitlab-ci.yml": _pipeline(repository, services),
        ".gitignore": "__pycache__/\nnode_modules/\n.venv/\n",
    }
    for path in sorted({p for s in services for p in s.shared_paths}):
        files |= dict(_shared(path))
    for service in services:
        files |= dict(_service(service, catalog))
    if not services:
        files["contract-tests/README.md"] = "Pact contracts between the services.\n"
        files["e2e-tests/test_login.py"] = "def test_login() -> None:\n    assert True\n"
    return {path: text.encode() for path, text in files.items()}


def _shared(path: str) -> Iterator[tuple[str, str]]:
    folder = PurePosixPath(path)
    if folder.suffix:
        yield path, f"# {folder.name}, shared by all services\n"
    elif folder.name == "proto":
        yield f"{path}/events.proto", 'syntax = "proto3";\nmessage Event { string id = 1; }\n'
    elif folder.name == "libraries":
        yield f"{path}/flowmaster_common/__init__.py", LIBRARY
    else:
        yield f"{path}/README.md", f"# {folder.name}\n\nShared by the services that declare it.\n"


def _service(service: Service, catalog: Catalog) -> Iterator[tuple[str, str]]:
    folder = PurePosixPath(service.path or ".")
    names = {
        "description": service.description or service.name,
        "port": service.port or manifests.DEFAULT_PORT,
        "health_path": service.health_path,
        "path": folder,
        "name": service.name,
    }
    if service.kind is Kind.MANIFESTS:
        yield from _kustomization(folder, service)
        return
    yield str(folder / "Dockerfile"), DOCKERFILE.format(**names)
    if service.kind is Kind.JOB:
        yield str(folder / "migrations/0001_first.sql"), MIGRATION.format(**names)
        yield str(folder / "migration.json"), _json(FIRST_MIGRATION)
        return
    yield str(folder / "src/main.py"), MAIN.format(**names)
    yield str(folder / "tests/test_main.py"), TEST.format(**names)
    if service.migrations:
        runs_on = "1" if service.name in ON_THE_FIRST_ALONE else SCHEMAS
        yield str(folder / "schema.json"), _json(dict.fromkeys(service.migrations, runs_on))
    if service.kind is Kind.DEPLOYMENT:
        image = f"{catalog.registry_host}/{service.image}:latest"
        yield str(folder / "k8s/deployment.yaml"), _yaml(manifests.deployment(service, image))


def _kustomization(folder: PurePosixPath, service: Service) -> Iterator[tuple[str, str]]:
    name = f"{service.name}-dashboards"
    dashboards = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": service.name}},
        "data": {"overview.json": '{"title": "FlowMaster overview", "panels": []}'},
    }
    yield str(folder / "kustomization.yaml"), _yaml({"resources": ["dashboards.yaml"]})
    yield str(folder / "dashboards.yaml"), _yaml(dashboards)


def _readme(repository: Repository, services: Sequence[Service]) -> str:
    rows = "".join(f"- `{s.path or '.'}`: {s.description or s.name}\n" for s in services)
    return f"# {repository.name}\n\n{rows}"


def _pipeline(repository: Repository, services: Sequence[Service]) -> str:
    """A pipeline as GitLab would read it; the sandbox's runs from its own description of it."""
    jobs: dict[str, Any] = {"stages": list(STAGES)}
    for service in services:
        where = f"{service.path}/**/*" if service.path.strip("./") else "**/*"
        rules = [{"changes": [where, *(f"{p}/**/*" for p in service.shared_paths)]}]
        for stage in ("lint", "test", "build"):
            script = [f"make {stage} SERVICE={service.name}"]
            jobs[f"{stage}:{service.name}"] = {"stage": stage, "script": script, "rules": rules}
        image = f"$CI_REGISTRY/{service.image}:$CI_COMMIT_SHORT_SHA"
        build = [f"docker build -t {image} {service.path or '.'}", f"docker push {image}"]
        jobs[f"docker:{service.name}"] = {"stage": "package", "script": build, "rules": rules}
    return f"# Pipeline of {repository.name}\n{_yaml(jobs)}"


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _yaml(content: Mapping[str, Any]) -> str:
    buffer = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.width = 4096
    writer.representer.ignore_aliases = lambda _: True
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.dump(content, buffer)
    return buffer.getvalue()
