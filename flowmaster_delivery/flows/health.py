"""Health: one look at a service, or at all of an environment. Records nothing; the caller does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from flowmaster_delivery.flows.goal import Clock
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import DeliveryError, NotFound
from flowmaster_delivery.model.health import HealthObservation, HealthState, ProbeResult
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    Pod,
    Workload,
)
from flowmaster_delivery.policy.health import (
    State,
    failures,
    of_answers,
    of_workload,
    running_digest,
)
from flowmaster_delivery.policy.rollout import newest_pods
from flowmaster_delivery.ports import Ports

AT_ONCE = 32
"""Services whose endpoints are asked side by side."""
LOOKED_BACK = 20


def look_at(
    service: Service, environment: Environment, catalog: Catalog, ports: Ports, *, now: Clock
) -> HealthObservation:
    """One look at one service; UNKNOWN with the reason where it could not be made."""
    catalog.service(service.name)
    known = ports.history.observations(service.name, environment.name, limit=1)
    look = _Look(environment, ports, now, {service.name: known[0]} if known else {})
    cluster = ports.cluster(environment)

    def read() -> tuple[Workload, tuple[Pod, ...]]:
        return cluster.workload(service), cluster.pods(service)

    try:
        return look.at(service, read)
    except NotFound as error:
        return look.missing(service, str(error))


@dataclass(frozen=True, slots=True)
class Round:
    """One look at every service. `pods` are the newest of each that is on the cluster."""

    observations: tuple[HealthObservation, ...]
    pods: Mapping[str, tuple[Pod, ...]]
    blind: str = ""
    """Why the cluster could not be read; then nothing is known of what runs there."""


def look_all(
    environment: Environment,
    catalog: Catalog,
    ports: Ports,
    *,
    previous: Mapping[str, HealthObservation],
    now: Clock,
) -> Round:
    """One look at every service: the cluster is read once, endpoints are asked side by side."""
    look = _Look(environment, ports, now, previous)
    services = tuple(catalog.services.values())
    try:
        cluster = ports.cluster(environment)
        workloads, pods = cluster.workloads(), cluster.all_pods()
    except DeliveryError as error:
        unseen = tuple(look.without_cluster(service, error) for service in services)
        return Round(unseen, {}, blind=_unseen(error))

    def one(service: Service) -> HealthObservation:
        name = service.workload_name
        if service.kind is Kind.DEPLOYMENT and name not in workloads:
            reason = f"there is no Deployment {name} in {environment.namespace}"
            return look.missing(service, reason)
        return look.at(service, lambda: (workloads[name], pods.get(name, ())))

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="health") as pool:
        observations = tuple(pool.map(one, services))
    newest = {
        service.name: tuple(newest_pods(workloads[name], pods.get(name, ())))
        for service in services
        if (name := service.workload_name) in workloads
    }
    return Round(observations, newest)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look saw of a service."""

    state: HealthState
    reason: str
    digest: str | None
    evidence: Mapping[str, str]


Read = Callable[[], tuple[Workload, tuple[Pod, ...]]]


class _Look:
    """A look around one environment. Safe for threads: it keeps nothing."""

    def __init__(
        self,
        environment: Environment,
        ports: Ports,
        now: Clock,
        previous: Mapping[str, HealthObservation],
    ) -> None:
        self._environment, self._ports, self._now = environment, ports, now
        self._previous = previous

    def at(self, service: Service, read: Read) -> HealthObservation:
        """The observation of a service; raises NotFound only, where `read` does."""
        if service.kind is not Kind.DEPLOYMENT:
            return self._observation(service, self._of_record(service))
        try:
            return self._observation(service, self._of_cluster(service, *read()))
        except NotFound:
            raise
        except DeliveryError as error:
            return self.without_cluster(service, error)

    def missing(self, service: Service, reason: str) -> HealthObservation:
        return self._observation(service, _Seen(HealthState.MISSING, reason, None, {}))

    def without_cluster(self, service: Service, error: DeliveryError) -> HealthObservation:
        """An error, not a failure: nothing is known of now, so the image seen last stands."""
        if service.kind is not Kind.DEPLOYMENT:
            return self._observation(service, self._of_record(service))
        before = self._previous.get(service.name)
        digest = before.digest if before else None
        return self._observation(service, _Seen(HealthState.UNKNOWN, _unseen(error), digest, {}))

    def _of_cluster(self, service: Service, workload: Workload, pods: tuple[Pod, ...]) -> _Seen:
        """The cluster's word first; the endpoint is asked where that is good."""
        newest = newest_pods(workload, pods)
        digest = running_digest(workload.images.get(service.container_name, ""), newest)
        state, reason = of_workload(workload, pods)
        evidence = {"replicas": f"{workload.available} of {workload.desired} available"}
        if state is HealthState.HEALTHY:
            try:
                answers = self._ask(service, [p for p in newest if p.ready and not p.terminating])
            except DeliveryError as error:
                return _Seen(HealthState.UNKNOWN, _unseen(error), digest, evidence)
            state, reason = of_answers(answers)
            evidence |= {where: _shown(answer) for where, answer in answers}
        return _Seen(state, reason, digest, evidence)

    def _ask(self, service: Service, pods: Iterable[Pod]) -> list[tuple[str, ProbeResult]]:
        """Each new pod, by the cluster; the environment's address where the cluster may not."""
        seconds = self._environment.health.timeout.total_seconds()
        cluster = self._ports.cluster(self._environment)
        try:
            return [(f"pod {p.name}", cluster.pod_answers(service, p, seconds)) for p in pods]
        except DeliveryError:
            if self._environment.base_url is None:
                raise
        base = self._environment.base_url.rstrip("/")
        url = f"{base}/{service.name}{service.health_path}"
        return [(url, self._ports.probe.get(url, seconds))]

    def _of_record(self, service: Service) -> _Seen:
        """Jobs, manifests and artifacts have no endpoint: they are as well as what was done."""
        name = self._environment.name
        records = self._ports.history.deployments(service.name, name, limit=1)
        if not records:
            return _Seen(HealthState.MISSING, "nothing has been done here yet", None, {})
        last = records[0]
        states: Mapping[Outcome, State] = {
            Outcome.SUCCESS: (HealthState.HEALTHY, ""),
            Outcome.FAILURE: (HealthState.DEGRADED, last.message),
            Outcome.INCONCLUSIVE: (HealthState.UNKNOWN, last.message),
            Outcome.ERROR: (HealthState.UNKNOWN, last.message),
        }
        state, reason = states[last.outcome]
        return _Seen(state, reason, last.digest, {"last": f"{last.method}: {last.message}"})

    def _observation(self, service: Service, seen: _Seen) -> HealthObservation:
        return HealthObservation(
            service=service.name,
            environment=self._environment.name,
            state=seen.state,
            digest=seen.digest,
            fingerprint=self._fingerprint(service, seen.digest),
            at=self._now(),
            reason=seen.reason,
            evidence=seen.evidence,
            failures_in_a_row=failures(self._previous.get(service.name), seen.state, seen.digest),
        )

    def _fingerprint(self, service: Service, digest: str | None) -> str | None:
        """Of the image that runs: as seen before, else as it was deployed, else as it was built
        (its rollout runs still). None for an image that is not ours."""
        before = self._previous.get(service.name)
        if digest is None:
            return None
        if before is not None and before.digest == digest and before.fingerprint:
            return before.fingerprint
        history, name = self._ports.history, self._environment.name
        done = history.deployments(service.name, name, limit=LOOKED_BACK)
        found = next((r.fingerprint for r in done if r.digest == digest), None)
        if found is None:
            images = history.images(service.name, name, limit=LOOKED_BACK)
            found = next((i.fingerprint for i in images if i.digest == digest), None)
        return found


def _unseen(error: DeliveryError) -> str:
    return f"it could not be looked at: {error}"


def _shown(answer: ProbeResult) -> str:
    said = str(answer.status) if answer.status else answer.error or "no answer"
    return f"{said} in {answer.seconds:.3f} s"
