"""The watch: looks at every environment, records changes and a heartbeat, and acts on what failed.

Deciding does not wait for another look, and acting does not keep the next one waiting: a rollback
runs beside the watch, in its process. What a process leaves half-done the next one carries on.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from flowmaster_delivery.flows.canary.trying import sweep
from flowmaster_delivery.flows.goal import Asked, Clock, Pace
from flowmaster_delivery.flows.health import Round, look_all
from flowmaster_delivery.flows.incidents.illness import hold_if_ill
from flowmaster_delivery.flows.incidents.opening import REMEMBERED, open_case
from flowmaster_delivery.flows.incidents.people import escalate, settle
from flowmaster_delivery.flows.incidents.taking_back import resume, take_back
from flowmaster_delivery.flows.watch.figures import Judged, judge_all
from flowmaster_delivery.flows.watch.residents import Residents
from flowmaster_delivery.flows.work import Work, in_a_thread
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.policy.deeds.naming import PLATFORM
from flowmaster_delivery.policy.health import FAILING, worth_recording
from flowmaster_delivery.policy.rollback import Case
from flowmaster_delivery.policy.watching import Resident, of_judgement, of_look
from flowmaster_delivery.ports import History, Ports

LOG = logging.getLogger(__name__)

Call = Callable[[], None]
Spawn = Callable[[Call], None]
AT_ONCE = 16
"""Rollbacks that this process carries out side by side; the others wait for their turn."""
TIDY_EVERY = timedelta(minutes=1)
"""Between two looks for what is left half-done: rollbacks, unanswered questions, canaries."""
DECIDED_FOR = timedelta(minutes=1)
"""How long a decision that nothing is to be done is not asked for again."""


def in_threads() -> Spawn:
    """Threads that keep no process from its end: what they leave, the next one carries on."""
    slots = threading.BoundedSemaphore(AT_ONCE)

    def spawn(call: Call) -> None:
        def run() -> None:
            with slots:
                call()

        threading.Thread(target=run, name="rollback", daemon=True).start()

    return spawn


@dataclass(frozen=True, slots=True)
class Sight:
    """What the last look at an environment came to."""

    trouble: str
    """Why it could not be made or recorded; empty where it was made."""
    states: Mapping[str, HealthState]
    """Of each service, as last seen."""


@dataclass(slots=True)
class _Place:
    """What this process knows of one environment. A new process begins with what is on record."""

    environment: Environment
    residents: Residents = field(default_factory=Residents)
    seen: dict[str, HealthObservation] = field(default_factory=dict)
    recorded: dict[str, HealthObservation] = field(default_factory=dict)
    looked: datetime | None = None
    trouble: str = ""
    tidied: datetime | None = None
    decided: dict[tuple[str, str, str | None], datetime] = field(default_factory=dict)


class Watch:
    """`spawn` runs a rollback beside the watch; `aside` tells people without waiting for them.

    Of all environments, or of those that are named.
    """

    def __init__(
        self,
        catalog: Catalog,
        now: Clock,
        *,
        spawn: Spawn | None = None,
        aside: Callable[[Call], None] = in_a_thread,
        pace: Pace | None = None,
        environments: Collection[str] | None = None,
    ) -> None:
        self._catalog, self._now, self._aside = catalog, now, aside
        self._spawn = spawn or in_threads()
        self._pace = pace or Pace(now)
        self._holder = f"watch-{uuid.uuid4().hex[:8]}"
        names = catalog.environments if environments is None else environments
        self._places = {name: _Place(catalog.environment(name)) for name in names}
        self._busy: set[str] = set()
        self._said: deque[str] = deque(maxlen=100)
        self._guard = threading.Lock()

    def look(self, ports: Ports, now: datetime) -> tuple[int, list[str]]:
        """Look where it is time to; how much was recorded, and what there is to say."""
        recorded = 0
        with self._guard:
            for place in self._places.values():
                last, every = place.looked, place.environment.health.look_every
                if last is not None and now - last < every:
                    continue
                place.looked = now
                try:
                    recorded += self._look_at(place, ports, now)
                except DeliveryError as error:
                    place.trouble = str(error)
                    name = place.environment.name
                    self._said.append(f"{name} could not be looked at: {error}")
            said = [self._said.popleft() for _ in range(len(self._said))]
        return recorded, said

    def sight(self, environment: str) -> Sight:
        """What is known of an environment after the last look at it."""
        with self._guard:
            place = self._places[environment]
            states = {name: look.state for name, look in place.seen.items()}
            return Sight(place.trouble, states)

    def _look_at(self, place: _Place, ports: Ports, now: datetime) -> int:
        environment = place.environment
        if not place.recorded:
            place.recorded = self._known(environment, ports.history)
        previous = place.seen or place.recorded
        found = look_all(environment, self._catalog, ports, previous=previous, now=self._now)
        place.seen = {one.service: one for one in found.observations}
        place.trouble = found.blind
        count = _record(place, ports.history)
        self._judge(place, found, ports)
        if place.tidied is None or now - place.tidied >= TIDY_EVERY:
            place.tidied = now
            try:
                self._tidy(place, ports)
            except DeliveryError as error:
                self._said.append(f"{environment.name}: what is left half-done stays so: {error}")
        return count

    def _judge(self, place: _Place, found: Round, ports: Ports) -> None:
        """Health decides first: it waits for no metrics server."""
        environment, now = place.environment, self._now()
        looks = [o for o in found.observations if self._on_cluster(o.service)]
        failing = {o.service for o in looks if o.state in FAILING and o.digest}
        of = sum(o.digest is not None for o in looks)
        unwell = [case for o in looks if (case := of_look(o, environment.health))]
        self._act(place, unwell, failing, of, ports)
        if environment.metrics is None:
            return
        residents = place.residents.of(looks, environment, ports.history, now)
        judged = judge_all(environment, self._catalog, residents, found.pods, ports, now)
        over = [case for one in judged if (case := _over(one, environment, residents))]
        self._act(place, over, failing | {case.service for case in over}, of, ports)
        place.residents.remember(judged, ports.history, now)

    def _act(
        self, place: _Place, cases: Sequence[Case], failing: set[str], of: int, ports: Ports
    ) -> None:
        now, work = self._now(), self._work(ports)
        if not cases or hold_if_ill(place.environment, failing, of, cases, work):
            return
        for case in cases:
            key = (case.service, case.trigger, case.digest)
            last = place.decided.get(key)
            if last is not None and timedelta(0) <= now - last < DECIDED_FOR:
                continue
            incident = open_case(case, work)
            place.decided[key] = now
            if incident is not None and incident.state is IncidentState.ROLLING_BACK:
                self._beside(incident, partial(take_back, incident, work))

    def _tidy(self, place: _Place, ports: Ports) -> None:
        environment, work = place.environment, self._work(ports)
        place.decided = {
            key: at for key, at in place.decided.items() if self._now() - at < DECIDED_FOR
        }
        incidents = ports.history.incidents(environment.name, limit=REMEMBERED)
        for incident in incidents:
            if incident.state is IncidentState.ROLLING_BACK:
                self._beside(incident, partial(resume, environment, (incident,), work))
        settle(incidents, {name: look.digest for name, look in place.seen.items()}, work)
        escalate(ports.history.incidents(environment.name, limit=REMEMBERED), work)
        self._said.extend(sweep(environment, self._catalog, ports, self._now()))

    def _beside(self, incident: Incident, act: Callable[[], object]) -> None:
        """Beside the watch, once at a time for each incident."""
        if incident.id in self._busy:
            return
        self._busy.add(incident.id)

        def carry() -> None:
            try:
                act()
            except DeliveryError as error:
                self._said.append(f"incident {incident.id}: {error}")
            except Exception as error:
                # Nobody else would hear of it; the incident stays open, and is carried on.
                LOG.exception("incident %s", incident.id)
                self._said.append(f"incident {incident.id}: {type(error).__name__}: {error}")
            finally:
                self._busy.discard(incident.id)

        self._spawn(carry)

    def _work(self, ports: Ports) -> Work:
        asked = Asked(self._holder, PLATFORM)
        return Work(self._catalog, ports, asked, self._pace, aside=self._aside)

    def _on_cluster(self, service: str) -> bool:
        return self._catalog.services[service].kind is Kind.DEPLOYMENT

    def _known(self, environment: Environment, history: History) -> dict[str, HealthObservation]:
        found = {
            name: history.observations(name, environment.name, limit=1)
            for name in self._catalog.services
        }
        return {name: observations[0] for name, observations in found.items() if observations}


def _over(
    judged: Judged, environment: Environment, residents: Mapping[str, Resident]
) -> Case | None:
    digest = residents[judged.service].digest
    return of_judgement(judged.service, environment.name, judged.trigger, judged.judgement, digest)


def _record(place: _Place, history: History) -> int:
    """Changes and heartbeats; how many."""
    rule = place.environment.health
    news = [
        look
        for look in place.seen.values()
        if worth_recording(
            place.recorded.get(look.service), look, rule.heartbeat, rule.failures_in_a_row
        )
    ]
    for look in news:
        history.record(look)
        place.recorded[look.service] = look
    return len(news)
