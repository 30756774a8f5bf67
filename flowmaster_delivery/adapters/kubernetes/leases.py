"""One rollout per service: a Lease with a fencing token, changed by compare-and-swap only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from flowmaster_delivery.adapters.kubernetes.api import AlreadyThere, Api, Object, Outdated
from flowmaster_delivery.model.errors import NotFound, Refused, Superseded, Unreachable
from flowmaster_delivery.model.rollout import lease_name
from flowmaster_delivery.ports import Lease

TOKEN = "flowmaster.ai/fencing-token"  # noqa: S105  # an annotation's name
ATTEMPTS = 5
Now = Callable[[], datetime]


class Leases:
    """The leases of one namespace. The token lives in an annotation and only ever grows."""

    def __init__(self, api: Api, namespace: str, now: Now) -> None:
        self._api, self._now = api, now
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    def acquire(self, service: str, holder: str, *, preempt: bool, ttl: float) -> Lease:
        """See ports.Cluster.acquire; Unreachable where others always get in between."""
        for _ in range(ATTEMPTS):
            with suppress(Outdated, AlreadyThere):
                return self._try_to_acquire(service, holder, preempt, ttl)
        raise Unreachable(f"the lease of {service} changes all the time; try again")

    def renew(self, lease: Lease, ttl: float) -> None:
        """Raise Superseded where the token is not the newest any more."""
        for _ in range(ATTEMPTS):
            current = self._read_own(lease)
            current["spec"].update(self._times(ttl))
            with suppress(Outdated):
                self._api.once("PUT", f"{self._path}/{lease_name(lease.service)}", body=current)
                return
        raise Unreachable(f"the lease of {lease.service} changes all the time; try again")

    def release(self, lease: Lease) -> None:
        """Give it up; nothing where somebody newer has it. The token stays behind."""
        try:
            current = self._read_own(lease)
            current["spec"].update(holderIdentity="", leaseDurationSeconds=1)
            self._api.once("PUT", f"{self._path}/{lease_name(lease.service)}", body=current)
        except Superseded:
            return

    def _try_to_acquire(self, service: str, holder: str, preempt: bool, ttl: float) -> Lease:
        try:
            current = self._api.get(f"{self._path}/{lease_name(service)}")
        except NotFound:
            return self._create(service, holder, ttl)
        spec = current.setdefault("spec", {})
        owner = spec.get("holderIdentity") or ""
        if owner not in ("", holder) and not preempt and not self._expired(spec):
            raise Refused(
                f"{service} is being changed by {owner}; wait until it has finished, "
                "or roll back, which takes over"
            )
        annotations = current["metadata"].setdefault("annotations", {})
        token = _token(annotations) + 1
        annotations[TOKEN] = str(token)
        spec.update(self._times(ttl), holderIdentity=holder, acquireTime=self._stamp())
        spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        self._api.once("PUT", f"{self._path}/{lease_name(service)}", body=current)
        return Lease(service, holder, token)

    def _create(self, service: str, holder: str, ttl: float) -> Lease:
        """The first token is the time, so that tokens grow even if somebody deletes the Lease."""
        token = int(self._now().timestamp())
        self._api.once(
            "POST",
            self._path,
            body={
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": lease_name(service), "annotations": {TOKEN: str(token)}},
                "spec": {
                    "holderIdentity": holder,
                    "acquireTime": self._stamp(),
                    "leaseTransitions": 1,
                    **self._times(ttl),
                },
            },
        )
        return Lease(service, holder, token)

    def _read_own(self, lease: Lease) -> Object:
        try:
            current = self._api.get(f"{self._path}/{lease_name(lease.service)}")
        except NotFound as error:
            raise Superseded(f"the lease of {lease.service} was deleted; stopped") from error
        token = _token(current["metadata"].get("annotations") or {})
        holder = (current.get("spec") or {}).get("holderIdentity") or "nobody"
        if token != lease.token or holder != lease.holder:
            raise Superseded(
                f"{holder} has taken over {lease.service} with token {token}; "
                f"{lease.holder} with token {lease.token} stops"
            )
        return current

    def _expired(self, spec: Object) -> bool:
        renewed = datetime.fromisoformat(str(spec.get("renewTime") or _LONG_AGO))
        lasts = timedelta(seconds=float(spec.get("leaseDurationSeconds") or 0))
        return self._now() >= renewed + lasts

    def _times(self, ttl: float) -> Object:
        return {"renewTime": self._stamp(), "leaseDurationSeconds": max(1, round(ttl))}

    def _stamp(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_LONG_AGO = "1970-01-01T00:00:00Z"


def _token(annotations: Object) -> int:
    text = str(annotations.get(TOKEN, "0"))
    return int(text) if text.isdigit() else 0
