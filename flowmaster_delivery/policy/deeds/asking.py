"""What somebody asks for, before it is done, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from flowmaster_delivery.model.audit import Action, Deed, Result, Whence
from flowmaster_delivery.model.promotion import Verdict
from flowmaster_delivery.model.run import RunOrder
from flowmaster_delivery.policy.deeds.naming import said
from flowmaster_delivery.policy.submission import Purpose, Submission


def of_order(order: RunOrder, by: str, via: str, whence: Whence, now: datetime) -> Deed:
    """That somebody asks for a run, before it is launched; its occasion leads to the run."""
    version = str(order.form.get("version") or order.form.get("rollback_to") or "")
    purpose = order.tags.get("flowmaster/purpose", "")
    return Deed(
        ASKED.get(purpose, Action.RUN_SUBMITTED),
        Result.ACCEPTED,
        now,
        whence,
        who=by,
        via=via,
        environment=order.environment,
        services=tuple(dict.fromkeys(service for service, _ in order.assets)),
        version=version,
        commit=str(order.form.get("commit") or ""),
        reason=str(order.form.get("reason") or ""),
        occasion=order.occasion,
        details=said(
            incident=order.form.get("incident"),
            method=order.form.get("method"),
            partial="yes" if order.form.get("partial") else "",
        ),
    )


ASKED = {
    Purpose.PROMOTION.value: Action.PROMOTION_ASKED,
    Purpose.ROLLBACK.value: Action.ROLLBACK_ASKED,
}


def of_submission(
    submission: Submission,
    purpose: str,
    who: str,
    via: str,
    whence: Whence,
    now: datetime,
    form: Mapping[str, object],
    *,
    asked_here: bool,
    refused: str = "",
) -> Deed:
    """A run that was submitted. `asked_here` where nobody put on the trail before that it was asked
    for: by the UI."""
    asked = ASKED.get(purpose, Action.RUN_SUBMITTED) if asked_here else Action.RUN_SUBMITTED
    return Deed(
        Action.RUN_REFUSED if refused else asked,
        Result.REFUSED if refused else Result.ACCEPTED,
        now,
        whence,
        who=who,
        via=via,
        environment=",".join(submission.environments),
        services=tuple(sorted({service for service, _ in submission.assets})),
        version=str(form.get("version") or form.get("rollback_to") or ""),
        commit=submission.commit or str(form.get("commit") or ""),
        reason=refused or str(form.get("reason") or ""),
        run_id=submission.run_id,
        occasion=submission.occasion,
        details=said(
            purpose=purpose,
            chapters=", ".join(sorted(submission.chapters)),
            said=form.get("reason") if refused else "",
        ),
    )


def of_verdict(
    verdict: Verdict, who: str, via: str, whence: Whence, run_id: str, reason: str
) -> Deed:
    """A candidate that its gates keep out, with everyone of them that is closed."""
    candidate = verdict.candidate
    return Deed(
        Action.PROMOTION_REFUSED,
        Result.REFUSED,
        verdict.at,
        whence,
        who=who,
        via=via,
        environment=candidate.environment,
        services=(candidate.service,),
        version=candidate.version or "",
        commit=candidate.commit,
        to_digest=candidate.digest or "",
        reason=reason,
        gates=tuple(f"{check.gate}: {check.summary}" for check in verdict.unmet),
        run_id=run_id,
    )
