"""One run's or request's view of the outside: each question is asked once, whoever asks it.

Twenty-two services of one repository share their pipelines, trees, merge request and group; reading
them through here keeps the number of calls constant. A view is short-lived: what must be read again
at the moment of effect is read by a new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

from flowmaster_delivery.model.catalog import Catalog, Repository, Service
from flowmaster_delivery.model.image import RegistryImage, fingerprint
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.source import Job, MergeRequest, Person, Pipeline, Refs
from flowmaster_delivery.policy.intake import newest_pipeline
from flowmaster_delivery.ports import Ports

T = TypeVar("T")


class Reading:
    """A memo over the ports. Safe for the threads of one run; a failed read is tried again."""

    def __init__(self, catalog: Catalog, ports: Ports) -> None:
        self.catalog = catalog
        self.ports = ports
        self._values: dict[Hashable, object] = {}
        self._locks: dict[Hashable, threading.Lock] = {}
        self._guard = threading.Lock()

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """The value of `key`, read by the first who asks; the others wait for that one."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._values:
                self._values[key] = read()
            return self._values[key]  # type: ignore[return-value]  # one key, one reader, one type

    def refs(self, repository: Repository) -> Refs:
        return self.once(("refs", repository.name), lambda: self.ports.forge.refs(repository))

    def fingerprints(self, repository: Repository, commit: str) -> dict[str, str]:
        """Fingerprint of every service of the repository at a commit: one read of its trees."""

        def read() -> dict[str, str]:
            services = self.catalog.services_of(repository.name)
            paths = sorted({path for service in services for path in service.paths})
            trees = self.ports.forge.trees(repository, commit, paths)
            return {
                service.name: fingerprint({path: trees.get(path) for path in service.paths})
                for service in services
            }

        return self.once(("fingerprints", repository.name, commit), read)

    def ci(
        self, repository: Repository, commit: str, ref: str
    ) -> tuple[Pipeline | None, tuple[Job, ...]]:
        """The pipeline that speaks for the commit, with its jobs."""

        def read() -> tuple[Pipeline | None, tuple[Job, ...]]:
            found = self.ports.forge.pipelines_of(repository, commit)
            pipeline = newest_pipeline(found, ref, commit)
            return pipeline, self.ports.forge.jobs(repository, pipeline.id) if pipeline else ()

        return self.once(("ci", repository.name, commit, ref), read)

    def merge_request(self, repository: Repository, commit: str) -> MergeRequest | None:
        """The merged merge request that brought the commit to the main branch."""
        return self.once(
            ("merge_request", repository.name, commit),
            lambda: self.ports.forge.merge_request_of(repository, commit, repository.main),
        )

    def registry_image(self, service: Service, digest: str) -> RegistryImage | None:
        return self.once(
            ("registry", service.image, digest),
            lambda: self.ports.registry.read(service.image, digest),
        )

    def members(self, group: str) -> frozenset[str]:
        return self.once(("members", group), lambda: self.ports.forge.members(group))

    def person(self, email: str) -> Person | None:
        return self.once(("person", email), lambda: self.ports.forge.person_by_email(email))

    def holds(self) -> tuple[Hold, ...]:
        return self.once(("holds",), self.ports.history.holds)
