"""What happens behind the story: two more releases on their way to production."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

from rich.console import Console

from flowmaster_delivery.cli.demo.narrator import Aside
from flowmaster_delivery.cli.demo.release import Release
from flowmaster_delivery.cli.demo.stage import Stage
from flowmaster_delivery.model.errors import DeliveryError

FRONTEND = "flowmaster-frontend"
FRONTEND_VERSION = "v2.0.0"
"""The frontend's releases are its own, and so are those of the migrations."""
MIGRATIONS = "database-migrations"
MIGRATIONS_VERSION = "v3.0.0"
CONTRACTION = {
    "before": 1,
    "after": 2,
    "phase": "contract",
    "reversible": False,
    "up": ["migrate", "up", "2"],
}


class Behind:
    """Devi's two releases, one after the other beside the story; told when the story is there."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.aside = stage, Aside()
        behind = replace(stage, narrator=self.aside)
        self.devi, self.sam, self.sofia = (stage.person(n) for n in ("devi", "sam", "sofia"))
        job = stage.catalog.service(MIGRATIONS)
        frontend = stage.catalog.service(FRONTEND).repository
        self.frontend = Release(behind, frontend, FRONTEND_VERSION, (FRONTEND,), self.devi)
        self.migrations = Release(
            behind,
            job.repository,
            MIGRATIONS_VERSION,
            (MIGRATIONS,),
            self.devi,
            {f"{job.path}/migration.json": json.dumps(CONTRACTION)},
        )
        self._beside = threading.Thread(target=self._release_both, name="second", daemon=True)
        self._fault: list[DeliveryError] = []

    def start(self) -> None:
        self._beside.start()

    def tell(self, console: Console) -> None:
        """Wait for the end of it and tell it. Raise what went wrong."""
        self._beside.join()
        self.aside.tell(console)
        if self._fault:
            raise self._fault[0]

    def _release_both(self) -> None:
        try:
            self._release(self.frontend, "feat(dxg): new designer")
            self._release(self.migrations, "feat(schema): drop what nothing reads any more")
        except DeliveryError as error:
            self._fault.append(error)

    def _release(self, release: Release, message: str) -> None:
        before = self.stage.digests("dev")
        commit = release.push(message)
        release.reaches("dev", commit, before)
        before = self.stage.digests("staging")
        staged = release.merge("develop", "staging", [], self.devi, f"{release.version} to staging")
        release.reaches("staging", staged, before)
        approvers = [self.sam, self.sofia]
        title = f"Release {release.version}"
        released = release.merge("staging", "main", approvers, self.sam, title)
        release.tag(self.sam, released)
        release.becomes_candidate()
