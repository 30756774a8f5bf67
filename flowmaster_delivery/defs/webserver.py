"""Dagster's webserver with the rights of whoever asks: evidence cannot be removed by a click.

Dagster knows two sorts of webserver, read-only and not. This one decides for each request, by the
name that the authenticating proxy gives it. Pinned to the release of Dagster it was tested with:
`tests/defs/test_webserver.py` shows when another one does it differently.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._core.workspace.permissions import (
    LOCATION_SCOPED_PERMISSIONS,
    PermissionResult,
    Permissions,
)
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from flowmaster_delivery.defs.same_origin import SameOrigin
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.policy.asking import ANONYMOUS, LOCAL, Asker, Via, named_by_proxy
from flowmaster_delivery.policy.ui_rights import UiRight, groups_that_operate, ui_rights
from flowmaster_delivery.ports import Forge
from flowmaster_delivery.settings import Settings

LOG = logging.getLogger(__name__)
GRANTED: Mapping[UiRight, frozenset[Permissions]] = {
    UiRight.LAUNCH: frozenset(
        {Permissions.LAUNCH_PIPELINE_EXECUTION, Permissions.LAUNCH_PIPELINE_REEXECUTION}
    ),
    UiRight.CONTROL: frozenset(
        {
            Permissions.TERMINATE_PIPELINE_EXECUTION,
            Permissions.CANCEL_PARTITION_BACKFILL,
            Permissions.EDIT_SENSOR,
            Permissions.START_SCHEDULE,
            Permissions.STOP_RUNNING_SCHEDULE,
            Permissions.RELOAD_REPOSITORY_LOCATION,
            Permissions.RELOAD_WORKSPACE,
        }
    ),
}
"""What is not named here is for nobody: assets wiped, runs deleted, events reported, cursors moved,
backfills (nobody can be asked who started one), and whatever a later Dagster adds."""
MEMBERS_LAST = 60.0
"""Seconds for which the UI believes who operates; a run's submission asks GitLab each time."""
STATEMENT_TIMEOUT, POOL_RECYCLE, POOL_OVERFLOW = 15_000, 3600, 20
"""Of the database, as dagster-webserver sets them: milliseconds, seconds, connections."""


class Doorman:
    """Who stands behind a request, and what they may do. Safe for threads."""

    def __init__(self, settings: Settings, catalog: Catalog, forge: Forge) -> None:
        self._settings, self._forge = settings, forge
        self._groups = groups_that_operate(catalog.environments.values())
        self._guard = threading.Lock()
        self._members: tuple[float, frozenset[str]] | None = None

    def asker(self, source: object) -> Asker:
        """By the proxy's header, where one is configured."""
        header = self._settings.identity_header
        if header is None:
            local = self._settings.sandbox
            return Asker(LOCAL, Via.SANDBOX) if local else Asker(ANONYMOUS, Via.NOTHING)
        headers: Headers | None = getattr(source, "headers", None)
        return named_by_proxy(headers.getlist(header) if headers is not None else ())

    def rights(self, source: object) -> frozenset[UiRight]:
        who = self.asker(source)
        return ui_rights(who, operates=self._operates(who))

    def _operates(self, who: Asker) -> bool:
        if who.via is not Via.PROXY or not self._groups:
            return who.known
        with self._guard:
            now = time.monotonic()
            if self._members is None or now - self._members[0] >= MEMBERS_LAST:
                self._members = now, self._read()
            return who.name in self._members[1]

    def _read(self) -> frozenset[str]:
        """Members of the groups that can be read: what is not known gives no right."""
        found: frozenset[str] = frozenset()
        for group in sorted(self._groups):
            try:
                found |= self._forge.members(group)
            except DeliveryError as error:
                LOG.warning("who operates cannot be read, so nobody of %s does: %s", group, error)
        return found


class DeliveryRequest(WorkspaceRequestContext):
    """One request's view of the workspace, with the rights of who asks."""

    doorman: Doorman

    @cached_property
    def permissions(self) -> Mapping[str, PermissionResult]:
        granted = {p for right in self.doorman.rights(self.source) for p in GRANTED[right]}
        return {
            permission: PermissionResult(
                enabled=permission in granted,
                disabled_reason=None if permission in granted else "Not for you (docs/identity.md)",
            )
            for permission in Permissions
        }

    def permissions_for_location(
        self,
        *,
        location_name: str,  # noqa: ARG002  # Dagster's form; all locations are ours
    ) -> Mapping[str, PermissionResult]:
        found = self.permissions
        return {p: found[p] for p in LOCATION_SCOPED_PERMISSIONS}


class DeliveryWorkspace(WorkspaceProcessContext):
    """The workspace of the webserver's process."""

    def __init__(
        self, instance: DagsterInstance, workspace: WorkspaceFileTarget, doorman: Doorman
    ) -> None:
        self.doorman = doorman
        super().__init__(instance, workspace, version=__version__)

    def create_request_context(self, source: object | None = None) -> DeliveryRequest:
        made = DeliveryRequest(
            instance=self._instance,
            current_workspace=self.get_current_workspace(),
            process_context=self,
            version=self.version,
            source=source,
            read_only=False,
        )
        made.doorman = self.doorman
        return made


class DeliveryWebserver(DagsterWebserver[DeliveryWorkspace, DeliveryRequest]):
    """Refuses what foreign pages send, and tells the log who changes what."""

    def build_middleware(self) -> list[Middleware]:
        return [Middleware(SameOrigin), *super().build_middleware()]

    async def execute_graphql_request(
        self,
        request: Request,
        query: str,
        variables: dict[str, object] | None,
        operation_name: str | None,
    ) -> JSONResponse:
        for name in mutations_in(query):
            who = self._process_context.doorman.asker(request)
            LOG.info("%s (%s) asks for %s", who.name, who.via, name)
        return await super().execute_graphql_request(request, query, variables, operation_name)


def mutations_in(query: str) -> list[str]:
    """Names of the mutations in a GraphQL document; none where it cannot be read."""
    try:
        document = parse(query)
    except GraphQLError:
        return []
    return [
        getattr(getattr(field, "name", None), "value", "…")
        for operation in document.definitions
        if isinstance(operation, OperationDefinitionNode)
        and operation.operation is OperationType.MUTATION
        for field in operation.selection_set.selections
    ]


def ui(workspace: DeliveryWorkspace) -> Starlette:
    """The ASGI application."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            LOG.info("the webserver ends")

    app: Starlette = DeliveryWebserver(workspace).create_asgi_app(lifespan=lifespan)
    return app


def serve(instance: DagsterInstance, file: Path, doorman: Doorman, host: str, port: int) -> None:
    """Serve the UI of the workspace that the file describes, until told to end."""
    instance.optimize_for_webserver(STATEMENT_TIMEOUT, POOL_RECYCLE, POOL_OVERFLOW)
    target = WorkspaceFileTarget(paths=[str(file)])
    with DeliveryWorkspace(instance, target, doorman) as workspace:
        uvicorn.run(ui(workspace), host=host, port=port, log_level="warning")
