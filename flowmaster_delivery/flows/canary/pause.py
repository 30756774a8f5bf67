"""The pause of one step: looks at canary and stable, until something follows from one."""

from __future__ import annotations

from datetime import datetime, timedelta

from flowmaster_delivery.flows.canary.trial import Standing, Steady
from flowmaster_delivery.flows.leasing import LEASE_SECONDS, PAUSE_SECONDS, stop_if_overtaken
from flowmaster_delivery.flows.telling import canary_asks
from flowmaster_delivery.flows.waiting import LOOK_SECONDS, Grace
from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    NotFound,
    Superseded,
    Transient,
    Unreachable,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Phase, Pod, Progress, Workload
from flowmaster_delivery.policy.canary import (
    Decision,
    Look,
    Move,
    counting,
    decide,
    share,
    standing,
    summed_up,
)
from flowmaster_delivery.policy.rollout import newest_pods, progress

CANCELED = Decision(Move.END, "canceled while its canary ran; nothing was promoted")


class Pause:
    """`stable` is the service as it was when the canary was taken on."""

    def __init__(self, state: Standing, stable: Workload) -> None:
        self._state, self._stable = state, stable
        self._trial, self._grip, self._pace = state.trial, state.grip, state.trial.pace
        self._clock = Steady.of(self._pace)
        self._before = state.found
        self._grace = Grace(self._pace)
        self._judged: Look | None = None
        self._ungated: datetime | None = None
        self._unread: datetime | None = None
        self._blind_since: float | None = None
        self._renewed = self._pace.monotonic()
        self._said = ""
        self._told: tuple[Look | None, str] = (None, "")

    def run(self) -> Decision:
        """What ends the step. Raise Superseded where somebody has taken over, NotFound where the
        canary is gone, Transient where cluster or record give no answer for too long."""
        while not self._pace.cancelled():
            decision = self._look()
            if decision is not None:
                self._leave_it_where_nobody_can_steer(decision)
                decision = self._gated(decision)
                if decision.ask:
                    self._ask(decision)
                if decision.move is not Move.WAIT:
                    return decision
            self._rest()
        return CANCELED

    def _leave_it_where_nobody_can_steer(self, decision: Decision) -> None:
        """Without its record it must go neither on nor away; whoever comes next goes on with it."""
        since = self._unread
        if since is not None and self._clock.now() - since >= self._trial.rule.patience:
            raise Unreachable(decision.words)

    def _look(self) -> Decision | None:
        """Read and decide; None while the cluster cannot be asked."""
        try:
            decision = self._seen()
        except (Transient, Denied) as error:
            since = self._blind_since = self._blind_since or self._pace.monotonic()
            self._tell(f"the cluster cannot be asked: {error}")
            if self._pace.monotonic() - since >= self._grip.seconds:
                raise
            return None
        self._blind_since = None
        return decision

    def _seen(self) -> Decision:
        self._renew()
        cluster, service = self._grip.cluster, self._grip.service
        try:
            stable = cluster.workload(service)
        except NotFound as error:
            return Decision(Move.END, f"{error}; its canary was taken away")
        stop_if_overtaken(stable, self._grip.lease)
        drift = self._drift(stable)
        if drift:
            return Decision(Move.END, drift)
        self._state.found = cluster.workload(service.canary)
        pods = cluster.pods(service.canary)
        found = self._progress(pods)
        if found.phase is Phase.FAILED:
            return Decision(Move.END, found.message, Outcome.FAILURE)
        self._judge_if_due(pods, stable)
        return self._decided(found, pods, stable)

    def _drift(self, stable: Workload) -> str:
        container = self._grip.service.container_name
        if stable.uid != self._stable.uid:
            return f"{stable.name} was deleted and created anew meanwhile; what is there now stands"
        if stable.images.get(container) != self._stable.images.get(container):
            other = stable.images.get(container) or "nothing"
            return f"{stable.name} was set to {other} by another writer; that stands"
        return ""

    def _progress(self, pods: tuple[Pod, ...]) -> Progress:
        seen = self._state.found
        found = progress(
            seen,
            pods,
            before=self._before,
            patched=self._before,
            container=self._grip.service.container_name,
            token=self._grip.lease.token,
            grace_spent=self._grace.spent,
        )
        self._grace.measure(seen, found)
        if found.phase is Phase.SUPERSEDED:
            raise Superseded(found.message)
        return found

    def _decided(self, found: Progress, pods: tuple[Pod, ...], stable: Workload) -> Decision:
        state, rule, now = self._state, self._trial.rule, self._clock.now()
        unready = "" if found.phase is Phase.COMPLETE else found.message
        try:
            orders = self._orders()
        except DeliveryError as error:
            decision = decide(state.canary, rule, self._judged, (), now, unready=unready)
            if decision.move is not Move.END:
                self._unread = self._unread or now
                decision = Decision(Move.WAIT, f"orders cannot be read: {error}")
        else:
            self._unread = None
            decision = decide(state.canary, rule, self._judged, orders, now, unready=unready)
        ready = sum(pod.ready for pod in pods if not pod.terminating)
        of = share(state.canary, state.step, ready, stable.available)
        if (self._judged, decision.words) != self._told:  # time alone is no news
            self._told = self._judged, decision.words
            self._tell(standing(state.canary, rule, of, decision.words, now))
        return decision

    def _orders(self) -> tuple[CanaryOrder, ...]:
        draft, history = self._trial.draft, self._trial.ports.history
        return counting(history.canary_orders(draft.service, draft.environment), self._state.canary)

    def _judge_if_due(self, pods: tuple[Pod, ...], stable: Workload) -> None:
        if self._clock.now() < self._due():
            return
        beside = newest_pods(stable, self._grip.cluster.pods(self._grip.service))
        now, began = self._clock.now(), self._state.canary.step_began or self._pace.now()
        try:
            judgements = self._trial.judge(pods, beside, began)
        except DeliveryError as error:
            outcome, words = Outcome.ERROR, f"the figures cannot be asked: {error}"
        else:
            outcome, words = summed_up(judgements)
            self._state.remember(judgements)
        before = self._judged.errors if self._judged else 0
        errors = before + 1 if outcome is Outcome.ERROR else 0
        self._judged = Look(outcome, now, words, errors)
        if outcome is not Outcome.FAILURE:  # its end is written at once, with the same words
            self._state.mark(said=words)

    def _due(self) -> datetime:
        """The next judgement: after the rule's time, and at the end of the pause."""
        began = self._state.canary.step_began or self._clock.now()
        end = began + self._state.step.pause
        last = self._judged.at if self._judged else began
        due = last + self._trial.rule.look_every
        return min(due, end) if last < end else due

    def _gated(self, decision: Decision) -> Decision:
        """What would go on goes on only if the gate is open at this moment."""
        if decision.move not in (Move.STEP, Move.PROMOTE):
            return decision
        try:
            closed = self._trial.still_admitted()
        except Transient as error:
            since = self._ungated = self._ungated or self._clock.now()
            words = f"the gate cannot be asked: {error}"
            self._tell(words)
            if self._clock.now() - since < self._trial.rule.patience:
                return Decision(Move.WAIT, words)
            return Decision(Move.END, words, loud=True)
        self._ungated = None
        return Decision(Move.END, f"its gate has closed: {closed}") if closed else decision

    def _ask(self, decision: Decision) -> None:
        """Told before it is written down: rather twice than never."""
        event = canary_asks(self._trial.draft, decision.words, self._trial.rule, self._pace.now())
        self._trial.ports.notifier.tell(event)
        self._state.mark(asked_at=self._pace.now())

    def _renew(self) -> None:
        if self._pace.monotonic() - self._renewed >= LEASE_SECONDS / 3:
            self._grip.cluster.renew(self._grip.lease, LEASE_SECONDS)
            self._renewed = self._pace.monotonic()

    def _rest(self) -> None:
        if self._blind_since is not None:
            self._pace.sleep(PAUSE_SECONDS)
            return
        left = (self._due() - self._clock.now()) / timedelta(seconds=1)
        seconds = min(LOOK_SECONDS, max(left, 0.1))
        found = self._state.found
        self._grip.cluster.wait_for_change(
            self._grip.service.canary, found.resource_version, seconds
        )

    def _tell(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._pace.on_progress(Progress(Phase.WAITING, words))
