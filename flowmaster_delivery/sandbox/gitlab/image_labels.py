"""Labels that a pipeline's `docker build` puts on an image, from files of the service's folder.

`migration.json` says what a migration does to its schema, `schema.json` on which versions of which
schema a service runs. What cannot be read becomes no label, as with a script that prints nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flowmaster_delivery.model.migration import LABEL, SCHEMA_LABEL
from flowmaster_delivery.sandbox.gitlab.ci import CiService
from flowmaster_delivery.sandbox.gitlab.state import Project

MIGRATION_FILE = "migration.json"
SCHEMA_FILE = "schema.json"


def labels_at(project: Project, image: str, sha: str) -> dict[str, str]:
    """The labels of an image of the project, by what its folder holds at the commit."""
    service = next((s for s in project.ci.services if s.image == image), None)
    if service is None:
        return {}
    said = _file(project, service, MIGRATION_FILE, sha)
    needs = _file(project, service, SCHEMA_FILE, sha)
    return {
        **{f"{LABEL}{name}": text for name, text in _texts(said)},
        **{f"{SCHEMA_LABEL}{job}": text for job, text in _texts(needs)},
    }


def _texts(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Words as they are, all else as JSON."""
    for name, value in said.items():
        yield name, value if isinstance(value, str) else json.dumps(value)


def _file(project: Project, service: CiService, name: str, sha: str) -> dict[str, Any]:
    path = f"{service.paths[0].strip('/')}/{name}".lstrip("/")
    found = project.repository.blob(sha, path)
    try:
        content = json.loads(found[1]) if found else {}
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
