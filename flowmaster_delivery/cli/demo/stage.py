"""The stage: the platform as the story uses it, by the same commands and API as anybody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from flowmaster_delivery.cli.demo.narrator import Narrator, expect, wait_for
from flowmaster_delivery.cli.demo.people import Person
from flowmaster_delivery.cli.loopback import client
from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.cli.up.platform import Platform
from flowmaster_delivery.model.catalog import Catalog

PATIENCE = 180.0
"""Seconds after which something that should have happened is given up: a slow machine's."""
Matrix = Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Stage:
    """What is up, who is there, and the narrator."""

    platform: Platform
    narrator: Narrator
    catalog: Catalog
    told: Mapping[str, Any]
    """The sandbox's addresses."""

    @property
    def session(self) -> Session:
        return Session(self.platform.settings)

    def person(self, name: str) -> Person:
        folder = self.platform.home.folder / "demo"
        return Person(name, str(self.told["gitlab_url"]), folder, self.told["users"][name])

    def flowmaster(self, *words: str, who: Person | None = None) -> int:
        """Run a command as a person would type it; its exit status."""
        self.narrator.command(" ".join(["flowmaster", *(_quoted(word) for word in words)]))
        session = replace(self.session, token=who.token if who else None)
        status = main.main(list(words), obj=session, standalone_mode=False)
        return int(status or 0)

    def matrix(self) -> Matrix:
        rows = self.session.server().get("/api/status")
        return {(row["service"], row["environment"]): row for row in rows}

    def digests(self, environment: str) -> dict[str, str]:
        return {
            service: row["digest"]
            for (service, where), row in self.matrix().items()
            if where == environment
        }

    def plan(self, environment: str, version: str, *services: str) -> Any:
        params = {"environment": environment, "version": version, "service": list(services)}
        return self.session.server().get("/api/plan", params)

    def wait_for_run(self, limit: float = PATIENCE, **sought: str) -> Mapping[str, Any]:
        """The run that something led to, once it has ended well; its link is told at once."""
        self.wait_for_begin(limit, **sought)
        words = _words(sought)

        def ended() -> Mapping[str, Any] | None:
            run = self._run_of(sought)
            return run if run and run["finished"] else None

        found = wait_for(f"the run of {words} to end", ended, limit)
        done: Mapping[str, Any] = self.session.server().get(f"/api/runs/{found['run']}")
        reasons = "; ".join(reason["message"] for reason in done["reasons"])
        expect(done["state"] == "SUCCESS", f"the run of {words} ended {done['state']}: {reasons}")
        return done

    def wait_for_begin(self, limit: float = PATIENCE, **sought: str) -> Mapping[str, Any]:
        """The run that something led to, as soon as there is one."""
        run = wait_for(f"the run of {_words(sought)}", lambda: self._run_of(sought), limit)
        self.narrator.say("the run that this led to:", run["url"])
        return run

    def _run_of(self, sought: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Webhook and sensor may both ask for it: then one is called off before it begins."""
        runs = self.session.server().get("/api/runs", sought)
        aside = ("CANCELED", "NOT_STARTED")
        return next((run for run in runs if run["state"] not in aside), None)

    def refusal(self, version: str) -> dict[str, str]:
        """Gate to its words, of all that closed the newest promotion of a version."""
        server = self.session.server()
        newest = server.get("/api/runs", {"version": version, "purpose": "promotion"})[0]
        reasons = server.get(f"/api/runs/{newest['run']}")["reasons"]
        return {reason["check"]: reason["message"] for reason in reasons}

    def answers(self, environment: str, service: str) -> bool:
        """Whether a service answers at its public address."""
        path = self.catalog.service(service).health_path
        url = f"{self.catalog.environment(environment).base_url}/{service}{path}"
        try:
            return client().get(url, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def order_services(self, **order: object) -> None:
        """Tell the sandbox's services how to answer from now on."""
        response = client().post(
            f"{self.told['control_url']}/sandbox/services",
            json=order,
            headers={"Authorization": f"Bearer {self.told['control_token']}"},
        )
        response.raise_for_status()

    def incident_of(self, service: str, *states: str, limit: float = PATIENCE) -> Any:
        """The incident of a service in production, once it is in one of the states."""

        def found() -> Any:
            incidents = self.session.server().get("/api/incidents", {"environment": "production"})
            ours = (i for i in incidents if service in i["services"] and i["state"] in states)
            return next(ours, None)

        return wait_for(f"an incident of {service} that is {' or '.join(states)}", found, limit)

    def page(self, service: str, chapter: str, environment: str) -> str:
        """The page of an asset's partition in the UI."""
        return f"{self.platform.ports.ui_url}/assets/{service}/{chapter}?partition={environment}"


def _words(sought: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value[:12]}" for name, value in sought.items())


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word


def closed_gates(plan: Mapping[str, Any]) -> dict[str, str]:
    """Gate to its words, of every gate that is closed for one of the services."""
    return {
        check["gate"]: check["summary"]
        for row in plan["plan"]["rows"]
        for check in row["verdict"]["checks"]
        if check["state"] in ("unmet", "unreadable")
    }
