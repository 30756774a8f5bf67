"""Questions about how the candidate fared in the environment before."""

from __future__ import annotations

from datetime import timedelta

from flowmaster_delivery.model.facts import Unread
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.policy.hotfix import Ruling, required_soak
from flowmaster_delivery.policy.questions.asking import Answer, Asked, met, unmet
from flowmaster_delivery.policy.soak import Soak, observed
from flowmaster_delivery.policy.wording import moment, span


def upstream_healthy(asked: Asked) -> Answer | Unread:
    """Healthy upstream now; of what upstream moved on from, healthy when it was seen last."""
    soak, name = _soak(asked), _upstream_name(asked)
    if isinstance(soak, Unread):
        return soak
    last = soak.last
    if last is None:
        words = f"this source of {asked.service.name} was never seen in {name}"
        return unmet(words, f"roll it out in {name} first")
    seen = f"{moment(last.at, asked.now)} in {name}"
    evidence = {"state": last.state.value, "seen": last.at.isoformat(), "reason": last.reason}
    if last.state is not HealthState.HEALTHY:
        said = f": {last.reason}" if last.reason else ""
        words = f"{last.state.value} at {seen}{said}"
        return unmet(words, f"mend it in {name}", evidence)
    if not soak.here:
        return met(f"healthy when it was last seen, {seen}; {name} has moved on", evidence)
    if asked.upstream is None or not soak.fresh(asked.upstream.health, asked.now):
        words = f"nobody has looked at it since {seen}"
        return unmet(words, "see that the health watch runs", evidence)
    return met(f"healthy in {name}", evidence)


def soak(asked: Asked) -> Answer | Unread:
    """Seen healthy upstream for as long as the service's criticality asks for."""
    environment = asked.environment
    ruling = required_soak(asked.service, environment.soak, environment.hotfix, asked.facts.hotfix)
    required = ruling.required
    if required <= timedelta(0):
        return met(_no_soak(asked, ruling))
    soak, name = _soak(asked), _upstream_name(asked)
    if isinstance(soak, Unread):
        return soak
    evidence = _evidence(soak, ruling)
    words = f"soak {span(soak.earned)} of {span(required)} in {name}{_hotfix(asked, ruling)}"
    if soak.earned >= required:
        return met(words, evidence)
    if soak.last is None:
        return unmet(f"{words}: never seen there", f"roll it out in {name} first", evidence)
    if soak.expired:
        ago = span(asked.now - soak.last.at)
        words = f"soak 0 s of {span(required)}: {name} moved on {ago} ago, too long to count"
        return unmet(words, f"roll it out in {name} again", evidence)
    return _not_yet(asked, soak, required, f"{words}{_pauses(soak)}", evidence)


def _no_soak(asked: Asked, ruling: Ruling) -> str:
    what = ruling.words or f"a {asked.service.criticality.value} service"
    return f"no soak is asked of {what}"


def _hotfix(asked: Asked, ruling: Ruling) -> str:
    """What shortens the soak, and what would be asked without it."""
    usual = asked.environment.soak.required(asked.service)
    return f" ({ruling.words}; usually {span(usual)})" if ruling.required < usual else ""


def _not_yet(
    asked: Asked, soak: Soak, required: timedelta, words: str, evidence: dict[str, str]
) -> Answer:
    name = _upstream_name(asked)
    if not soak.here:
        return unmet(f"{words}: {name} has moved on", f"roll it out in {name} again", evidence)
    opens = None
    if asked.upstream is not None:
        opens = soak.complete_at(required, asked.upstream.health, asked.now)
    if opens is None:
        return unmet(words, f"it counts on when {name} is seen healthy again", evidence)
    remedy = f"opens {moment(opens, asked.now)} if {name} stays healthy"
    return unmet(words, remedy, evidence, opens)


def _pauses(soak: Soak) -> str:
    if soak.broken and (soak.since is None or soak.since >= soak.broken.at):
        said = f": {soak.broken.reason}" if soak.broken.reason else ""
        return f" (began anew after {soak.broken.state.value}{said})"
    return f" ({span(soak.paused)} not counted)" if soak.paused >= timedelta(seconds=1) else ""


def _soak(asked: Asked) -> Soak | Unread:
    seen = asked.facts.upstream
    if isinstance(seen, Unread):
        return seen
    if asked.upstream is None:
        return Unread(f"{asked.environment.name} has no upstream environment; mend the catalog")
    return observed(
        seen,
        asked.candidate.fingerprint,
        asked.upstream.health,
        asked.now,
        asked.environment.soak.earned_for,
    )


def _upstream_name(asked: Asked) -> str:
    return asked.upstream.name if asked.upstream else "upstream"


def _evidence(soak: Soak, ruling: Ruling) -> dict[str, str]:
    found = {"earned": span(soak.earned)}
    if ruling.words or ruling.why_not:
        found["hotfix"] = ruling.words or ruling.why_not
    if soak.since:
        found["since"] = soak.since.isoformat()
    if soak.last:
        found["last_seen"] = soak.last.at.isoformat()
    if soak.paused:
        found["not_counted"] = span(soak.paused)
    if soak.broken:
        found["broken_at"] = soak.broken.at.isoformat()
    return found
