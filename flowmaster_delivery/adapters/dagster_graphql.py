"""Launcher over the webserver's GraphQL: starts runs from outside and reads how they fare.

Dagster's GraphQL has no contract: a test holds every query here against the installed schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from flowmaster_delivery.adapters.dagster_queries import (
    EVENTS,
    FIND,
    LAUNCH,
    LOCATIONS,
    RUN,
)
from flowmaster_delivery.adapters.dagster_reasons import reasons_of
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Malformed,
    NotFound,
    Permanent,
    Refused,
    Unreachable,
)
from flowmaster_delivery.model.seal import Grant
from flowmaster_delivery.ports import LaunchedRun, RunOrder, RunReason

GRANT_TTL = timedelta(minutes=5)
"""For how long a grant lets a run be submitted."""
JOB = "__ASSET_JOB"
PAGES = 50
"""Pages of 1,000 events of one run that are read for its reasons, at most."""
FAILED = ("FAILURE", "CANCELED")


class GraphqlLauncher:
    """`ports.Launcher` on a webserver at `url`; links lead to `ui_url`, where people reach it.

    One instance serves all threads of a process.
    """

    def __init__(
        self,
        url: str,
        seal_key: Callable[[], str],
        clock: Callable[[], datetime],
        *,
        ui_url: str | None = None,
        client: httpx.Client | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._ui_url = (ui_url or url).rstrip("/")
        self._seal_key = seal_key
        self._clock = clock
        self._client = client or httpx.Client(timeout=httpx.Timeout(20, connect=5))
        self._location: tuple[str, str] | None = None

    def launch(self, order: RunOrder, asked_by: str) -> LaunchedRun:
        """Launch, or answer with the run that this occasion has already."""
        known = self.find(order.occasion)
        if known:
            return known
        params = {
            "selector": self._selector(order),
            "runConfigData": {"resources": {"form": {"config": dict(order.form)}}},
            "executionMetadata": {"tags": _as_list(self._tags(order, asked_by))},
        }
        answer = self._ask(LAUNCH, {"params": params})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise _refusal(order, answer)
        return self._launched(answer["run"])

    def find(self, occasion: str) -> LaunchedRun | None:
        """The run of an occasion. One submitted twice has a second run, which is called off."""
        runs = [r for r in self.runs({"flowmaster/occasion": occasion}) if r.state != "CANCELED"]
        taken_on = [run for run in runs if run.state != "NOT_STARTED"]
        return next(iter(taken_on or runs), None)

    def runs(self, tags: Mapping[str, str]) -> tuple[LaunchedRun, ...]:
        """The newest runs (up to 20) with all of these tags, newest first."""
        answer = self._ask(FIND, {"filter": {"tags": _as_list(tags)}})["runsOrError"]
        if answer["__typename"] != "Runs":
            raise Unreachable(f"Dagster cannot list runs: {answer.get('message', '')}")
        return tuple(self._launched(run) for run in answer["results"])

    def run(self, run_id: str) -> LaunchedRun:
        """Raise NotFound where there is no such run."""
        answer = self._ask(RUN, {"id": run_id})["runOrError"]
        if answer["__typename"] == "RunNotFoundError":
            raise NotFound(f"there is no run {run_id}; `flowmaster status` shows what is there")
        if answer["__typename"] != "Run":
            raise Unreachable(f"Dagster cannot read run {run_id}: {answer.get('message', '')}")
        reasons = self._reasons(run_id) if answer["status"] in FAILED else ()
        return self._launched(answer, reasons)

    def _reasons(self, run_id: str) -> tuple[RunReason, ...]:
        events: list[Mapping[str, Any]] = []
        cursor: str | None = None
        for _ in range(PAGES):
            page = self._ask(EVENTS, {"id": run_id, "after": cursor})["logsForRun"]
            events += page.get("events", ())
            cursor = page.get("cursor")
            if not page.get("hasMore"):
                break
        return reasons_of(events)

    def _selector(self, order: RunOrder) -> dict[str, Any]:
        location, repository = self._where()
        return {
            "repositoryLocationName": location,
            "repositoryName": repository,
            "jobName": JOB,
            "assetSelection": [{"path": [service, chapter]} for service, chapter in order.assets],
        }

    def check(self) -> None:
        self._read_location()

    def _where(self) -> tuple[str, str]:
        """The code location with our assets; read once, since it does not move."""
        if self._location is None:
            self._location = self._read_location()
        return self._location

    def _read_location(self) -> tuple[str, str]:
        answer = self._ask(LOCATIONS, {})["repositoriesOrError"]
        nodes = answer.get("nodes") or ()
        if not nodes:
            raise Unreachable(
                f"Dagster at {self._url} has no code location loaded; look at its Deployment "
                "page, and try again when the code server is up"
            )
        return nodes[0]["location"]["name"], nodes[0]["name"]

    def _tags(self, order: RunOrder, asked_by: str) -> dict[str, str]:
        expires = self._clock() + GRANT_TTL
        grant = Grant(asked_by, order.occasion, order.environment, expires)
        return {
            **order.tags,
            "dagster/partition": order.environment,
            "flowmaster/environment": order.environment,
            "flowmaster/occasion": order.occasion,
            "flowmaster/asked-by": asked_by,
            "flowmaster/grant": grant.sealed(self._seal_key()),
        }

    def _launched(self, run: Mapping[str, Any], reasons: tuple[RunReason, ...] = ()) -> LaunchedRun:
        return LaunchedRun(
            id=run["runId"],
            state=run["status"],
            tags={tag["key"]: tag["value"] for tag in run["tags"]},
            url=f"{self._ui_url}/runs/{run['runId']}",
            reasons=reasons,
            steps={
                step["stepKey"].replace("__", "/"): step["status"] or ""
                for step in run.get("stepStats") or ()
            },
        )

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = self._client.post(
                f"{self._url}/graphql", json={"query": query, "variables": variables}
            )
        except httpx.HTTPError as error:
            raise Unreachable(
                f"Dagster at {self._url} does not answer ({type(error).__name__}); "
                "is its webserver running?"
            ) from error
        return _data(response, self._url)


def _data(response: httpx.Response, url: str) -> dict[str, Any]:
    if response.status_code >= 500:
        raise Unreachable(f"Dagster at {url} answered {response.status_code}; look at its log")
    try:
        body = response.json()
    except ValueError as error:
        raise Malformed(f"what answers at {url} is not Dagster: it did not send JSON") from error
    if not isinstance(body, dict) or body.get("errors") or "data" not in body:
        said = body.get("errors") if isinstance(body, dict) else body
        raise Malformed(f"Dagster at {url} did not understand: {str(said)[:500]}")
    data: dict[str, Any] = body["data"]
    return data


def _refusal(order: RunOrder, answer: Mapping[str, Any]) -> DeliveryError:
    kind = answer["__typename"]
    said = answer.get("message") or "; ".join(e["message"] for e in answer.get("errors") or ())
    if kind == "UnauthorizedError":
        return Refused(f"Dagster's webserver is read-only: {said}; set FLOWMASTER_DAGSTER_URL")
    if kind == "PythonError":
        return Unreachable(f"Dagster could not launch {order.occasion}: {said}")
    return Permanent(f"Dagster refused to launch {order.occasion}: {kind}: {said}")


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
