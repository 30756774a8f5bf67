"""A canary's way: its share, its pause, the next step; then the service itself, or its end.

Where it stands is on the cluster before anything follows from it, so whoever comes after a crash
goes on from there.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from flowmaster_delivery.flows.canary.pause import CANCELED, Pause
from flowmaster_delivery.flows.canary.trial import Standing
from flowmaster_delivery.flows.canary_removal import CONFLICTS, remove, silence, take_away
from flowmaster_delivery.flows.changing import bring_under
from flowmaster_delivery.flows.goal import Done, Goal
from flowmaster_delivery.flows.telling import canary_given_up
from flowmaster_delivery.flows.waiting import Wait
from flowmaster_delivery.model.errors import NotFound, Superseded, Unreachable
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Phase, Progress, Workload
from flowmaster_delivery.policy.canary import Decision, Move, percent
from flowmaster_delivery.policy.canary_marks import Ending, ending_mark
from flowmaster_delivery.policy.rollout import FENCE, digest_in, runs


class Steps:
    """From wherever the canary stands. `stable` is the service as it was read with the lease."""

    def __init__(self, state: Standing, stable: Workload) -> None:
        self._state, self._stable = state, stable
        self._trial, self._grip, self._pace = state.trial, state.grip, state.trial.pace
        self._service, self._cluster = state.grip.service, state.grip.cluster

    def run(self) -> Done:
        """Bring it to its end. Raise Superseded where somebody has taken over, Transient where the
        cluster gives no answer: the canary stands then, and is gone on with."""
        try:
            return self._resumed() or self._walked()
        except NotFound as error:
            return self._done(
                Decision(Move.END, f"the canary of {self._service.name} is gone: {error}")
            )

    def _resumed(self) -> Done | None:
        """What was decided before a crash is carried out."""
        canary = self._state.canary
        if canary.verdict is None:
            return None
        if canary.verdict is not Outcome.SUCCESS:
            return self._ended(Decision(Move.END, canary.said, canary.verdict))
        container = self._service.container_name
        closed = (
            ""
            if runs(self._stable, container, self._trial.goal.reference)
            else self._trial.still_admitted()
        )
        if closed:
            return self._ended(Decision(Move.END, f"its gate has closed: {closed}"))
        return self._promoted(canary.said)

    def _walked(self) -> Done:
        while True:
            decision = self._share_made() or Pause(self._state, self._stable).run()
            if decision.move is Move.PROMOTE:
                return self._promoted(decision.words)
            if decision.move is Move.END:
                return self._ended(decision)
            self._state.mark(step=self._state.canary.step + 1, step_began=None, asked_at=None)

    def _share_made(self) -> Decision | None:
        """As many pods as the step asks for, ready, and the route's weight; None when it stands."""
        state, step = self._state, self._state.step
        if state.canary.step_began is not None and state.found.desired == step.pods:
            return None
        before = state.found
        if before.desired != step.pods:
            state.scale(step.pods, step_began=None)
        done = Wait(
            self._canary_goal(), self._cluster, self._pace, before, state.found, self._grip.lease
        ).run()
        if done.outcome is Outcome.FAILURE:
            return Decision(Move.END, done.message, Outcome.FAILURE)
        if self._pace.cancelled():
            return CANCELED
        if done.outcome is Outcome.INCONCLUSIVE:
            raise Superseded(done.message)
        if done.outcome is Outcome.ERROR:
            raise Unreachable(done.message)
        self._weigh()
        state.mark(step_began=self._pace.now())
        return None

    def _canary_goal(self) -> Goal:
        return replace(self._trial.goal, service=self._service.canary)

    def _weigh(self) -> None:
        if not self._state.canary.weighted:
            return
        share = percent(self._state.step, self._stable.desired)
        told = self._grip.patiently(lambda: self._cluster.weigh(self._service, share))
        try:
            self._grip.renew()
        except Superseded:  # no fence is on a route: whoever took over has no canary to lead to
            self._grip.patiently(lambda: self._cluster.weigh(self._service, 0))
            raise
        words = told or f"no route leads to {self._service.name} any more: its canary gets nothing"
        self._pace.on_progress(Progress(Phase.WAITING, words))

    def _promoted(self, words: str) -> Done:
        """The service itself first; as long as it is not whole, the canary serves beside it."""
        state = self._state
        state.mark(verdict=Outcome.SUCCESS, said=words)
        try:
            done = bring_under(self._grip.lease, self._trial.goal, self._cluster, self._pace)
        except NotFound as error:
            done = Done(Outcome.INCONCLUSIVE, str(error), token=self._grip.lease.token)
        if done.outcome is Outcome.ERROR:
            return replace(done, judgements=tuple(state.judgements))
        self._grip.renew()
        take_away(self._grip, state.found)
        before = digest_in(self._stable.images.get(self._service.container_name, ""))
        said = f"{done.message}; its canary: {words}"
        return replace(
            done,
            message=said,
            previous_digest=done.previous_digest if done.changed else before,
            judgements=tuple(state.judgements),
        )

    def _ended(self, decision: Decision) -> Done:
        state, grip = self._state, self._grip
        if decision is CANCELED:
            grip.renew()
            state.mark(step=0, step_began=None, asked_at=None)
            take_away(grip, state.found)
            return self._done(decision)
        if decision.loud:
            event = canary_given_up(self._trial.draft, decision.words, self._pace.now())
            self._trial.ports.notifier.tell(event)
        state.mark(verdict=decision.outcome, said=decision.words)
        silence(grip, state.found)
        self._leave_word(decision)
        remove(grip, state.found)
        return self._done(decision)

    def _leave_word(self, decision: Decision) -> None:
        """On the service's Deployment, not its template: how it ended must outlive the canary, or
        whoever comes after a crash would try the same image again."""
        token = self._grip.lease.token
        ending = Ending(self._trial.draft.digest, token, decision.outcome, decision.words)
        with suppress(NotFound):
            for _ in range(CONFLICTS):
                try:
                    self._annotate(ending, token)
                except Superseded:
                    self._grip.renew()
                else:
                    return

    def _annotate(self, ending: Ending, token: int) -> None:
        stable = self._grip.patiently(lambda: self._cluster.workload(self._service))
        self._grip.patiently(
            lambda: self._cluster.annotate(
                self._service,
                resource_version=stable.resource_version,
                annotations={**ending_mark(ending), FENCE: str(token)},
            )
        )

    def _done(self, decision: Decision) -> Done:
        """How a canary ended that was not promoted: the service runs what it ran."""
        stable, container = self._stable, self._service.container_name
        return Done(
            decision.outcome,
            f"canary of {self._service.name}: {decision.words}",
            previous_digest=digest_in(stable.images.get(container, "")),
            revision=stable.revision,
            token=self._grip.lease.token,
            changed=False,
            judgements=tuple(self._state.judgements),
        )
