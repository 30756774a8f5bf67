"""Pipelines that we start ourselves, each of them once.

GitLab has no idempotency key for pipelines, so what is there is looked at before one is started: a
pipeline is known by its variables.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowmaster_delivery.adapters.gitlab.client import Client, project_path
from flowmaster_delivery.adapters.gitlab.shapes import PipelineShape, VariableShape
from flowmaster_delivery.model.errors import NotFound, Unreachable
from flowmaster_delivery.model.source import Pipeline

NEWEST = 20
"""Pipelines of the ref, started through the API, whose variables are compared."""


def one(client: Client, project: str, pipeline: int) -> Pipeline:
    path = project_path(project, "pipelines", str(pipeline))
    return client.one(PipelineShape, path).pipeline()


def start(client: Client, project: str, ref: str, variables: Mapping[str, str]) -> Pipeline:
    """The pipeline with these variables, started where there is none. The POST is sent once; one
    without an answer is looked for before it is given up."""
    found = _started(client, project, ref, variables)
    if found is not None:
        return found
    given = [{"key": key, "value": value} for key, value in variables.items()]
    path = project_path(project, "pipeline")
    try:
        made = client.write("post", PipelineShape, path, {"ref": ref, "variables": given})
    except Unreachable:
        found = _started(client, project, ref, variables)
        if found is None:
            raise
        return found
    return made.pipeline()


def _started(
    client: Client, project: str, ref: str, variables: Mapping[str, str]
) -> Pipeline | None:
    query = {"source": "api", "ref": ref, "order_by": "id", "sort": "desc"}
    path = project_path(project, "pipelines")
    for found in client.first_page(PipelineShape, path, query, NEWEST):
        if _variables(client, f"{path}/{found.id}/variables") == dict(variables):
            return found.pipeline()
    return None


def _variables(client: Client, path: str) -> dict[str, str] | None:
    """None where the pipeline was deleted meanwhile."""
    try:
        return {found.key: found.value for found in client.all(VariableShape, path)}
    except NotFound:
        return None
