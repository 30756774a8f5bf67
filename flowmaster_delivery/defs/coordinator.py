"""The run coordinator: every submission, wherever it comes from, goes through these rules.

It adds locks, writes down who asked, and turns away what may not start. Lock limits come from the
catalog, so that no service is named in dagster.yaml. What it cannot see (a run executed without
submission) is held by the voucher that the assets ask for, and by the lease of each rollout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from dagster import DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import (
    QueuedRunCoordinator,
    RunQueueConfig,
)
from dagster._core.storage.tags import MAX_RETRIES_TAG
from starlette.datastructures import Headers

from flowmaster_delivery.defs import submissions as tags
from flowmaster_delivery.defs.submission_audit import SubmissionAudit
from flowmaster_delivery.defs.submissions import record_submission, voucher, voucher_of
from flowmaster_delivery.flows.entry import may_ask
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.errors import DeliveryError, Refused
from flowmaster_delivery.model.seal import Grant, seal
from flowmaster_delivery.policy import submission as rules
from flowmaster_delivery.policy.asking import Asker, Via
from flowmaster_delivery.policy.submission import Submission
from flowmaster_delivery.ports import AuditTrail, Forge
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import audit_on, open_catalog, open_forge


class DeliveryCoordinator(QueuedRunCoordinator):
    """`run_coordinator` of dagster.yaml. Takes the same config as Dagster's own queue."""

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_environ()

    @cached_property
    def catalog(self) -> Catalog:
        return open_catalog(self.settings)

    @cached_property
    def forge(self) -> Forge:
        return open_forge(self.settings, self.catalog)

    @cached_property
    def trail(self) -> AuditTrail:
        return audit_on(self._instance, self.settings)

    @property
    def dequeue_interval_seconds(self) -> float:  # type: ignore[override]  # a number to the daemon
        """Seconds between two looks at the queue: half of what is configured in whole ones."""
        return super().dequeue_interval_seconds / 2

    def get_run_queue_config(self) -> RunQueueConfig:
        """Dagster's own, with one limit per service: one rollout per environment at a time."""
        config = super().get_run_queue_config()
        limits: list[Mapping[str, Any]] = [
            {"key": f"{rules.LOCK}{name}", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
            for name in self.catalog.services
        ]
        return config._replace(tag_concurrency_limits=[*config.tag_concurrency_limits, *limits])

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        record = self._instance.get_run_record_by_id(run.run_id)
        if record is None or run.status is not DagsterRunStatus.NOT_STARTED:
            return super().submit_run(context)
        submission = record_submission(record, self.catalog.services)
        who = self._asker(context, submission)
        if who.via is not Via.GRANT:  # an occasion is a claim, and only ours are believed
            submission = replace(submission, occasion=f"run:{run.run_id}")
        self._instance.add_run_tags(run.run_id, _claims(submission, who))
        refused = rules.refusal(submission, self.catalog.environments, who)
        refused = refused or self._not_permitted(context, submission, who)
        audit = self._audit(context, submission, who)
        if refused:
            audit.refused(refused)
            tags.refuse(self._instance, run, f"Refused: {refused}")
            return self._reloaded(run)
        duplicate = rules.duplicate_of(submission, self._same_occasion(submission))
        if duplicate:
            self._call_off(run, f"{submission.occasion} has its run already: {duplicate.run_id}")
            return self._reloaded(run)
        newer = self._overtaken_by(context, submission)
        if newer:
            words = f"run {newer.run_id} brought {newer.ref} to {newer.commit[:8]} meanwhile"
            self._call_off(run, words)
            return self._reloaded(run)
        unwritten = audit.unwritten()
        if unwritten:
            self._instance.report_run_failed(run, f"Refused: {unwritten}")
            return self._reloaded(run)
        self._instance.add_run_tags(run.run_id, self._tags(submission, who))
        submitted = super().submit_run(context._replace(dagster_run=self._reloaded(run)))
        self._make_way(submission)
        return submitted

    def _audit(
        self, context: SubmitRunContext, submission: Submission, who: Asker
    ) -> SubmissionAudit:
        names = submission.environments
        return SubmissionAudit(
            trail=self.trail,
            settings=self.settings,
            context=context,
            submission=submission,
            who=who,
            environment=self.catalog.environments.get(names[0]) if len(names) == 1 else None,
            again=self._inherited(context) is not None,
            now=datetime.now(UTC),  # noqa: TID251  # the coordinator's own clock
        )

    def _asker(self, context: SubmitRunContext, submission: Submission) -> Asker:
        header = self.settings.identity_header
        sealed = context.dagster_run.tags.get(tags.GRANT)
        inherited = self._inherited(context)
        if inherited:
            return inherited
        return rules.asker(
            Grant.opened(self.settings.seal_key.read(), sealed) if sealed else None,
            submission,
            header_values(context, header) if header else None,
            datetime.now(UTC),  # noqa: TID251  # the coordinator's own clock
            sandbox=self.settings.sandbox,
        )

    def _not_permitted(
        self, context: SubmitRunContext, submission: Submission, who: Asker
    ) -> str | None:
        """Why the asker may not do this here; what cannot be found out lets nobody pass.

        A run that Dagster starts again was asked for already, and asks again at its effect.
        """
        if self._inherited(context):
            return None
        environment = self.catalog.environments[submission.environments[0]]
        about = rules.described(submission, environment, who)
        try:
            may_ask(who, environment, self.forge.members)
        except Refused as error:
            return f"{about}: {error}"
        except DeliveryError as error:
            return f"{about}: whether they may is not known, so ask again later: {error}"
        return None

    def _inherited(self, context: SubmitRunContext) -> Asker | None:
        """A run that Dagster itself starts again after a crash is asked for by who asked first."""
        run = context.dagster_run
        asked_over_http = getattr(context.workspace, "source", None) is not None
        if run.parent_run_id is None or asked_over_http or tags.BACKFILL in run.tags:
            return None
        parent = self._instance.get_run_by_id(run.parent_run_id)
        vouched = voucher_of(parent, self.settings.seal_key.read()) if parent else None
        same_place = vouched and run.tags.get(tags.PARTITION) == vouched.environment
        return vouched.asker if vouched and same_place else None

    def _tags(self, submission: Submission, who: Asker) -> dict[str, str]:
        environment = self.catalog.environments[submission.environments[0]]
        key = self.settings.seal_key.read()
        return {
            tags.ENVIRONMENT: environment.name,
            tags.PURPOSE: rules.purpose(submission, environment).value,
            tags.VOUCHER: seal(key, voucher(submission.run_id, who, environment.name)),
            MAX_RETRIES_TAG: str(self._instance.run_retries_max_retries),
            **rules.locks(submission),
        }

    def _same_occasion(self, submission: Submission) -> list[tuple[Submission, bool]]:
        wanted = RunsFilter(tags={tags.OCCASION: submission.occasion})
        records = self._instance.get_run_records(wanted)
        return [
            (self._read(record), record.dagster_run.status is DagsterRunStatus.FAILURE)
            for record in records
            if record.dagster_run.status is not DagsterRunStatus.CANCELED
        ]

    def _overtaken_by(self, context: SubmitRunContext, again: Submission) -> Submission | None:
        """Only of what Dagster itself starts again; a person may want the older commit."""
        parent = context.dagster_run.parent_run_id
        if not (parent and again.ref and self._inherited(context)):
            return None
        crashed = self._instance.get_run_record_by_id(parent)
        wanted = RunsFilter(tags={tags.ENVIRONMENT: again.environments[0], tags.REF: again.ref})
        others = [
            self._read(record)
            for record in self._instance.get_run_records(wanted, limit=100)
            if record.dagster_run.status is not DagsterRunStatus.CANCELED
        ]
        return rules.overtaken_by(self._read(crashed), again, others) if crashed else None

    def _make_way(self, newer: Submission) -> None:
        """Call off the queued runs that this one makes idle."""
        if not newer.ref:
            return
        wanted = RunsFilter(
            statuses=[DagsterRunStatus.QUEUED],
            tags={tags.ENVIRONMENT: newer.environments[0], tags.REF: newer.ref},
        )
        for record in self._instance.get_run_records(wanted):
            if rules.gives_way(self._read(record), newer):
                words = f"gave way to run {newer.run_id}: {newer.ref} is at {newer.commit[:8]} now"
                self._call_off(record.dagster_run, words)

    def _call_off(self, run: DagsterRun, why: str) -> None:
        self._instance.report_run_canceled(run, f"Called off: {why}")

    def _read(self, record: RunRecord) -> Submission:
        return record_submission(record, self.catalog.services)

    def _reloaded(self, run: DagsterRun) -> DagsterRun:
        return self._instance.get_run_by_id(run.run_id) or run


def _claims(submission: Submission, who: Asker) -> dict[str, str]:
    """What the run claims to be, as far as it is true; a grant is good for one submission."""
    return {
        tags.OCCASION: submission.occasion,
        tags.ASKED_BY: who.name,
        tags.GRANT: tags.SPENT,
    }


def header_values(context: SubmitRunContext, name: str) -> tuple[str, ...] | None:
    """Every value that the request has for the header; None where a run comes without a request.

    Dagster itself would answer with the first one of several. A caller can make a proxy leave out
    a header that it sets (`Connection: <header>`): a request without it is one that hides its name.
    """
    headers: Headers | None = getattr(getattr(context.workspace, "source", None), "headers", None)
    return tuple(headers.getlist(name)) if headers is not None else None
