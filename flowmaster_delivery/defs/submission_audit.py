"""What the coordinator puts on the audit trail: runs where people decide, and every refusal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dagster._core.run_coordinator.base import SubmitRunContext
from starlette.requests import HTTPConnection

from flowmaster_delivery.defs.submissions import form_of
from flowmaster_delivery.model.audit import Channel, Deed, Whence
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.policy.addresses import LOOPBACK, client_address, networks
from flowmaster_delivery.policy.asking import Asker, Via, people_decide
from flowmaster_delivery.policy.deeds.asking import of_submission
from flowmaster_delivery.policy.submission import Submission, purpose
from flowmaster_delivery.ports import AuditTrail
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import here


@dataclass(frozen=True, slots=True)
class SubmissionAudit:
    """One submission. `environment` is None where it names none, or not one."""

    trail: AuditTrail
    settings: Settings
    context: SubmitRunContext
    submission: Submission
    who: Asker
    environment: Environment | None
    again: bool
    """Whether Dagster itself starts it again: nobody asks now."""
    now: datetime

    def refused(self, why: str) -> None:
        self.trail.append_late(self._deed(why))

    def unwritten(self) -> str | None:
        """Put on the trail that it goes ahead; why it must not, where that cannot be done.

        What the platform carries on by itself was put there when it was asked for: it goes ahead.
        """
        if self.environment is None or not people_decide(self.environment):
            return None
        if self.again or self._request is None:
            self.trail.append_late(self._deed())
            return None
        try:
            self.trail.append(self._deed())
        except DeliveryError as error:
            return f"nothing is done that is not on the audit trail, so ask again later: {error}"
        return None

    def _deed(self, refused: str = "") -> Deed:
        submission, place = self.submission, self.environment
        return of_submission(
            submission,
            purpose(submission, place).value if place else "",
            self.who.name,
            self.who.via.value,
            self._whence(),
            self.now,
            form_of(self.context.dagster_run),
            asked_here=self.who.via is not Via.GRANT and not self.again,
            refused=refused,
        )

    @property
    def _request(self) -> HTTPConnection | None:
        """None where a sensor or the daemon submits."""
        found: HTTPConnection | None = getattr(self.context.workspace, "source", None)
        return found if hasattr(found, "headers") else None

    def _whence(self) -> Whence:
        request = self._request
        if request is None:
            return here(Channel.SENSOR)
        if self.who.via is Via.GRANT:
            return Whence(Channel.API)  # its own entry says from where
        return Whence(Channel.UI, self._address(request))

    def _address(self, request: HTTPConnection) -> str:
        """Where a proxy says who asks, it is on this host: what reaches us comes from there."""
        beside = LOOPBACK if self.settings.identity_header else ()
        trusted = networks([*self.settings.trusted_proxies, *beside])
        peer = request.client.host if request.client else ""
        return client_address(peer, request.headers.getlist("x-forwarded-for"), trusted)
