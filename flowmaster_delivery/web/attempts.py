"""What a request wants done, on the audit trail: before it takes effect, or that it was refused.

A route that changes something is made by `asking`, and by nothing else: it says what is wanted, and
whatever its handler records or launches is on the trail before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows.auditing import audited
from flowmaster_delivery.model.audit import Action, Channel, Deed, Result, Whence
from flowmaster_delivery.model.errors import DeliveryError, Transient
from flowmaster_delivery.policy.asking import Asker, Via
from flowmaster_delivery.policy.deeds.asking import of_order
from flowmaster_delivery.policy.deeds.naming import said
from flowmaster_delivery.policy.deeds.records import of_record
from flowmaster_delivery.ports import LaunchedRun, Launcher, Record, RunOrder
from flowmaster_delivery.web.addresses import address_of
from flowmaster_delivery.web.answers import Handler, known_only, telling
from flowmaster_delivery.web.identity import TooManyFailures, Unauthenticated
from flowmaster_delivery.web.office import Office

NOBODY = Asker("", Via.NOTHING)
NOBODY_KNOWN = (Unauthenticated, TooManyFailures)


@dataclass(slots=True)
class Attempt:
    """One request. `caller` and `body` are known once the handler has asked for them."""

    action: Action
    office: Office
    request: Request
    caller: Asker = NOBODY
    body: BaseModel | None = None
    written: int = 0

    def working(self) -> Office:
        """The office whose records and runs are on the trail before."""
        office = self.office
        ports = replace(office.ports, history=audited(office.ports.history, self._before_record))
        return replace(office, ports=ports, launcher=_Launcher(office.launcher, self))

    def before(self, deed: Deed | None) -> None:
        """Raise what the trail raises: then it must not happen."""
        if deed is not None:
            place = deed.environment or str(getattr(self.body, "environment", ""))
            self.office.ports.audit.append(replace(deed, environment=place))
            self.written += 1

    def before_launch(self, order: RunOrder, by: str) -> None:
        via, now = self.caller.via.value, self.office.clock()
        self.before(of_order(order, by, via, self.whence, now))

    def _before_record(self, record: Record) -> None:
        self.before(of_record(record, self.whence, self.caller.via.value))

    def unchanged(self) -> None:
        """It was allowed, and there was nothing to do."""
        if not self.written:
            self.office.ports.audit.append_late(self._deed(Result.UNCHANGED))

    def ended(self, error: Exception) -> None:
        """It was refused, or came to nothing after all."""
        known = self.caller.known
        left_out = 0 if known else self.office.strangers.left_out_before(self.office.clock())
        if left_out is None:
            return
        came_to_nothing = self.written or isinstance(error, Transient)
        failed = came_to_nothing or not isinstance(error, DeliveryError)
        deed = self._deed(Result.FAILED if failed else Result.REFUSED)
        why = str(error) if isinstance(error, DeliveryError) else type(error).__name__
        details = {**deed.details, **said(said=deed.reason, left_out=left_out or "")}
        if isinstance(error, NOBODY_KNOWN):
            details["wanted"] = self.action.value
            deed = replace(deed, action=Action.AUTHENTICATION_REFUSED)
        self.office.ports.audit.append_late(replace(deed, reason=why, details=details))

    def _deed(self, result: Result) -> Deed:
        asked = self.body.model_dump(mode="json") if self.body else {}
        named = [asked.get("service"), asked.get("job"), *(asked.get("services") or ())]
        version = asked.get("version") or asked.get("to")
        return Deed(
            self.action,
            result,
            self.office.clock(),
            self.whence,
            who=self.caller.name,
            via=self.caller.via.value if self.caller.known else "",
            environment=str(asked.get("environment") or ""),
            services=tuple(name for name in named if name),
            version="" if version is None else str(version),
            reason=str(asked.get("reason") or ""),
            details=said(
                path=self.request.url.path,
                **{name: asked.get(name) for name in ("gate", "command", "method")},
            ),
        )

    @property
    def whence(self) -> Whence:
        return Whence(Channel.API, address_of(self.request, self.office.settings))


class _Launcher:
    """Launches what is on the trail; all else as the launcher does it."""

    def __init__(self, launcher: Launcher, attempt: Attempt) -> None:
        self._launcher, self._attempt = launcher, attempt
        self.find, self.runs, self.run = launcher.find, launcher.runs, launcher.run
        self.check = launcher.check

    def launch(self, order: RunOrder, asked_by: str) -> LaunchedRun:
        self._attempt.before_launch(order, asked_by)
        return self._launcher.launch(order, asked_by)


def asking(path: str, handler: Handler, action: Action) -> Route:
    """The route of a request that wants something done."""
    of_somebody = known_only(handler)

    async def attempting(request: Request) -> Response:
        attempt = Attempt(action, request.app.state.office, request)
        request.state.attempt = attempt
        try:
            response = await of_somebody(request)
        except Exception as error:
            await run_in_threadpool(attempt.ended, error)
            raise
        await run_in_threadpool(attempt.unchanged)
        return response

    return Route(path, telling(attempting), methods=["POST"])


def webhook_refused(request: Request, office: Office, why: str) -> None:
    """Somebody tried who has not the secret, or GitLab has another one than we."""
    attempt = Attempt(Action.WEBHOOK_REFUSED, office, request)
    left_out = office.strangers.left_out_before(office.clock())
    if left_out is not None:
        deed = Deed(
            Action.WEBHOOK_REFUSED,
            Result.REFUSED,
            office.clock(),
            attempt.whence,
            reason=why,
            details=said(left_out=left_out or ""),
        )
        office.ports.audit.append_late(deed)
