"""Create, change and delete objects by the API server's rules; requests and controllers both do."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from flowmaster_delivery.sandbox.kubernetes.defaults import defaulted
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    BY_TYPE,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SERVICES,
    Kind,
    Object,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.ownership import managed_fields
from flowmaster_delivery.sandbox.kubernetes.statuses import (
    ApiError,
    bad_request,
    conflict,
    not_found,
    version_needed,
)
from flowmaster_delivery.sandbox.kubernetes.store import Store
from flowmaster_delivery.sandbox.kubernetes.validation import validate

Clock = Callable[[], datetime]
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own for generated names: no vowels, so no words."""

KEPT = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
)
"""Metadata that only the server writes."""


def wall_clock() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def timestamp(moment: datetime) -> str:
    """RFC 3339 to the second, as `metav1.Time` is."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def random_suffix() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(5))


class Resources:
    """The objects of the cluster, with everything the server does to a write."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._addresses = 0

    def create(
        self, kind: Kind, item: Object, *, manager: str = "", dry_run: bool = False
    ) -> Object:
        """Store a new object. Raise 404 (its namespace), 409 (its name) or 422 (its content)."""
        item = _readable(kind, item)
        metadata = item["metadata"]
        if "generateName" in metadata and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + random_suffix()
        validate(kind, item)
        if kind.namespaced and not self.store.find(NAMESPACES, "", namespace_of(item)):
            raise not_found(NAMESPACES, namespace_of(item))
        for field in ("resourceVersion", "deletionTimestamp", "selfLink", "managedFields"):
            metadata.pop(field, None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp(self.clock())
        if kind.is_generational:
            metadata["generation"] = 1
        if manager:
            moment = metadata["creationTimestamp"]
            metadata["managedFields"] = managed_fields(None, item, manager, moment)
        self._complete(kind, item)
        if dry_run:
            if self.store.find(kind, namespace_of(item), name_of(item)):
                self.store.create(kind, item)  # says AlreadyExists
            return item
        return self.store.create(kind, item)

    def update(
        self, kind: Kind, item: Object, *, manager: str = "", dry_run: bool = False
    ) -> Object:
        """Replace an object except its status; a resource version in it must be the newest.

        `manager` is the writer that fields are noted for; the controllers leave no note.
        """
        item = _readable(kind, item)
        previous = self._current(kind, item)
        expected = item["metadata"].pop("resourceVersion", None)
        if kind.is_lock and not expected:
            raise version_needed(kind, name_of(item))
        _keep(item, previous, "status")
        validate(kind, item, previous)
        if kind.is_generational and _counts(kind, item, previous):
            item["metadata"]["generation"] = previous["metadata"]["generation"] + 1
        if manager:
            moment = timestamp(self.clock())
            item["metadata"]["managedFields"] = managed_fields(previous, item, manager, moment)
        return self._replace(kind, item, previous, expected, dry_run=dry_run)

    def update_status(self, kind: Kind, item: Object, *, dry_run: bool = False) -> Object:
        """Replace an object's status (and annotations), leaving its spec and labels."""
        item = _readable(kind, item)
        previous = self._current(kind, item)
        expected = item["metadata"].pop("resourceVersion", None)
        _keep(item, previous, "spec")
        item["metadata"].pop("labels", None)
        if labels := previous["metadata"].get("labels"):
            item["metadata"]["labels"] = labels
        return self._replace(kind, item, previous, expected, dry_run=dry_run)

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        grace: int | None = None,
        orphan: bool = False,
        dry_run: bool = False,
    ) -> tuple[Object, bool]:
        """Delete an object; the flag says whether it is gone already or only marked (pods)."""
        item = self.store.get(kind, namespace, name)
        if dry_run:
            return item, kind is not PODS
        if orphan:
            self._orphan(item)
        waits = kind in (PODS, NAMESPACES) or bool(item["metadata"].get("finalizers"))
        if not waits or grace == 0:
            return self.store.remove(kind, namespace, name), True
        if "deletionTimestamp" in item["metadata"]:
            return item, False
        metadata = {**item["metadata"], "deletionTimestamp": timestamp(self.clock())}
        if kind is PODS:
            seconds = item["spec"]["terminationGracePeriodSeconds"] if grace is None else grace
            metadata["deletionGracePeriodSeconds"] = seconds
        marked = {**item, "metadata": metadata}
        if kind is NAMESPACES:
            marked["status"] = {"phase": "Terminating"}
        return self.store.replace(kind, marked), False

    def finish_deletion(self, kind: Kind, item: Object) -> None:
        """Remove an object that was only marked, unless it is gone already."""
        if self.store.find(kind, namespace_of(item), name_of(item)):
            self.store.remove(kind, namespace_of(item), name_of(item))

    def apply(self, manifest: Object) -> Object:
        """Create the object, or replace it where it exists."""
        kind = BY_TYPE.get((manifest.get("apiVersion", ""), manifest.get("kind", "")))
        if kind is None:
            raise bad_request(f"no matches for kind {manifest.get('kind')!r}")
        manifest = {**manifest, "metadata": {**manifest.get("metadata", {})}}
        if kind.namespaced:
            manifest["metadata"].setdefault("namespace", "default")
        if self.store.find(kind, namespace_of(manifest), name_of(manifest)):
            return self.update(kind, manifest)
        return self.create(kind, manifest)

    def _current(self, kind: Kind, item: Object) -> Object:
        previous = self.store.get(kind, namespace_of(item), name_of(item))
        uid, known = item["metadata"].get("uid"), previous["metadata"]["uid"]
        if uid and uid != known:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {known}"
            raise conflict(kind, name_of(item), why)
        return previous

    def _replace(
        self, kind: Kind, item: Object, previous: Object, expected: str | None, *, dry_run: bool
    ) -> Object:
        if dry_run:
            if expected and expected != previous["metadata"]["resourceVersion"]:
                raise conflict(kind, name_of(item))
            item["metadata"]["resourceVersion"] = previous["metadata"]["resourceVersion"]
            return item
        stored = self.store.replace(kind, item, expected=expected)
        metadata = stored["metadata"]
        if kind is not PODS and "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self.finish_deletion(kind, stored)
        return stored

    def _complete(self, kind: Kind, item: Object) -> None:
        """What the server, not the client, decides about a new object."""
        if kind in (DEPLOYMENTS, REPLICA_SETS, JOBS):
            item["status"] = {"replicas": 0} if kind is REPLICA_SETS else {}
        elif kind is PODS:
            item["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
        elif kind is NAMESPACES:
            item["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(item)
            item["status"] = {"phase": "Active"}
        elif kind is SERVICES and "clusterIP" not in item["spec"]:
            self._addresses += 1
            address = f"10.96.{self._addresses // 250}.{self._addresses % 250 + 1}"
            item["spec"] |= {"clusterIP": address, "clusterIPs": [address]}
            item["status"] = {"loadBalancer": {}}
        if kind is JOBS:
            _job_labels(item)

    def _orphan(self, owner: Object) -> None:
        uid = owner["metadata"]["uid"]
        for kind, item in self.store.every():
            owners = item["metadata"].get("ownerReferences", [])
            left = [o for o in owners if o["uid"] != uid]
            if len(left) != len(owners):
                metadata = {**item["metadata"], "ownerReferences": left}
                self.store.replace(kind, {**item, "metadata": metadata})


def _readable(kind: Kind, item: Object) -> Object:
    """The object with its defaults, or 400 where its fields have the wrong shapes."""
    try:
        item.setdefault("metadata", {})
        return defaulted(kind, item)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        words = f"{kind.kind} in version {kind.version!r} cannot be handled as a {kind.kind}"
        raise ApiError(400, "BadRequest", f"{words}: {error}") from error


def _keep(item: Object, previous: Object, part: str) -> None:
    if part in previous:
        item[part] = previous[part]
    else:
        item.pop(part, None)
    for field in KEPT:
        item["metadata"].pop(field, None)
        if field in previous["metadata"]:
            item["metadata"][field] = previous["metadata"][field]


def _counts(kind: Kind, item: Object, previous: Object) -> bool:
    """Deployments count changed annotations too: a change cause is part of a revision."""
    if item.get("spec") != previous.get("spec"):
        return True
    before, after = (o["metadata"].get("annotations", {}) for o in (previous, item))
    return kind is DEPLOYMENTS and bool(before != after)


def _job_labels(job: Object) -> None:
    labels = {"controller-uid": job["metadata"]["uid"], "job-name": name_of(job)}
    job["spec"].setdefault("selector", {"matchLabels": {"controller-uid": job["metadata"]["uid"]}})
    template = job["spec"]["template"]["metadata"]
    template["labels"] = {**template.get("labels", {}), **labels}
