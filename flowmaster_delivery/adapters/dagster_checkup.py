"""Dagster for a checkup: what its webserver says of the installation, and its storage, opened.

The queries stand in `QUERIES`; a test holds them against the installed schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flowmaster_delivery.adapters.wire import MEGABYTE, Patience, Wire, excerpt, fault
from flowmaster_delivery.model.checkup import DagsterFacts, StorageFacts
from flowmaster_delivery.model.errors import DeliveryError, Malformed, Unreachable
from flowmaster_delivery.ports.audit import AuditTrail

VERSION = "query { version }"
LOCATIONS = """
query {
  workspaceOrError {
    __typename
    ... on Workspace {
      locationEntries {
        name
        loadStatus
        locationOrLoadError { __typename ... on PythonError { message } }
      }
    }
    ... on PythonError { message }
  }
}
"""
DAEMONS = (
    "query { instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
)
QUERIES = (VERSION, LOCATIONS, DAEMONS)
WHAT = "Dagster's webserver"
KEY = "flowmaster/doctor"
PARTS = {"run_storage": "runs", "event_log_storage": "events", "schedule_storage": "schedules"}
"""Of an instance: what each storage keeps."""


class DagsterWebserver:
    """The webserver at `url`; it may be a read-only one."""

    def __init__(self, url: str, *, timeout: float = 5.0, patience: Patience | None = None) -> None:
        self._url = f"{url.rstrip('/')}/graphql"
        self._wire = Wire(WHAT, url, timeout=timeout)
        self._patience = patience or Patience(attempts=2, budget=10.0)

    def close(self) -> None:
        self._wire.close()

    def facts(self) -> DagsterFacts:
        version = str(self._ask(VERSION).get("version", ""))
        found = self._ask(LOCATIONS)["workspaceOrError"]
        if found["__typename"] != "Workspace":
            raise Unreachable(
                f"{WHAT} cannot read its workspace: {excerpt(found.get('message', ''))}"
            )
        statuses = self._ask(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return DagsterFacts(
            version,
            locations={entry["name"]: _trouble(entry) for entry in found["locationEntries"]},
            daemons={s["daemonType"]: bool(s["healthy"]) for s in statuses if s["required"]},
        )

    def _ask(self, query: str) -> dict[str, Any]:
        content = json.dumps({"query": query}).encode()
        headers = {"Content-Type": "application/json"}

        def send() -> dict[str, Any]:
            answer = self._wire.send(
                "POST", self._url, limit=4 * MEGABYTE, headers=headers, content=content
            )
            if answer.status != 200:
                raise fault(WHAT, answer.status, said=excerpt(answer.body))
            return _data(answer.body)

        return self._patience.call(send)


class InstanceStorage:
    """The storage of an instance that is open."""

    def __init__(self, instance: Any, audit: AuditTrail) -> None:
        self._instance, self.audit = instance, audit

    def facts(self) -> StorageFacts:
        parts = {label: getattr(self._instance, name) for name, label in PARTS.items()}
        kinds = ", ".join(dict.fromkeys(type(part).__name__ for part in parts.values()))
        return StorageFacts(kinds, {label: _revisions(part) for label, part in parts.items()})

    def write_and_read(self) -> None:
        """To a key of its own in the table of cursors."""
        runs = self._instance.run_storage
        before = runs.get_cursor_values({KEY}).get(KEY, "0")
        value = str(int(before) + 1 if before.isdigit() else 1)
        runs.set_cursor_values({KEY: value})
        if runs.get_cursor_values({KEY}).get(KEY) != value:
            raise Unreachable("what was written to the storage did not come back")


@contextmanager
def storage_errors() -> Iterator[None]:
    """Whatever a database's client raises, as an error of ours."""
    try:
        yield
    except DeliveryError:
        raise
    except Exception as error:
        said = excerpt(str(error)) or type(error).__name__
        raise Unreachable(
            f"Dagster's storage gives no usable answer: {said}; check dagster.yaml and the database"
        ) from error


def _revisions(part: Any) -> tuple[str | None, str | None]:
    found = part.alembic_version()
    return found or (None, None)


def _trouble(entry: Mapping[str, Any]) -> str:
    found = entry.get("locationOrLoadError") or {}
    if found.get("__typename") == "PythonError":
        return f"it cannot be loaded: {excerpt(found.get('message', ''))}"
    return "" if entry.get("loadStatus") == "LOADED" else "it is still being loaded"


def _data(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Malformed(f"what answers is not {WHAT}: it sent no JSON") from error
    if (
        not isinstance(found, dict)
        or found.get("errors")
        or not isinstance(found.get("data"), dict)
    ):
        raise Malformed(f"{WHAT} did not understand: {excerpt(body)}")
    data: dict[str, Any] = found["data"]
    return data
