"""Questions about where the candidate comes from: its pipeline, its image, its tag."""

from __future__ import annotations

from collections.abc import Iterable

from flowmaster_delivery.model.facts import CiFacts, Unread
from flowmaster_delivery.model.source import Job, Pipeline, PipelineState
from flowmaster_delivery.policy.questions.asking import Answer, Asked, met, unmet

SHORT = 8
"""Characters of a commit or digest that people are shown."""

ENDED_BADLY = frozenset({PipelineState.FAILED, PipelineState.CANCELED, PipelineState.SKIPPED})


def ci_passed(asked: Asked) -> Answer | Unread:
    """The jobs of the catalog's stages succeeded; deploy, validate and manual ones do not count."""
    facts, candidate = asked.facts.ci, asked.candidate
    if isinstance(facts, Unread):
        return facts
    if facts.pipeline is None:
        return unmet(
            f"no pipeline ran for {candidate.commit[:SHORT]}",
            f"run the pipeline of {candidate.ref}",
        )
    return _jobs(facts, facts.pipeline, candidate.ref)


def _jobs(facts: CiFacts, pipeline: Pipeline, ref: str) -> Answer:
    counting = [job for job in facts.jobs if job.stage in facts.stages and not job.allow_failure]
    number, page = f"pipeline {pipeline.id}", {"url": pipeline.url}
    bad = [job for job in counting if job.state in ENDED_BADLY]
    if bad:
        words = f"{number}: {_named(bad)}"
        return unmet(words, f"mend it and push, or run the pipeline of {ref} again", page)
    waiting = [job for job in counting if job.state is PipelineState.MANUAL]
    if waiting:
        return unmet(f"{number} waits at {_named(waiting)}", "start the job in GitLab", page)
    running = [job for job in counting if job.state is not PipelineState.SUCCESS]
    if running:
        return unmet(f"{number} still runs: {_named(running)}", "wait for it", page)
    if not counting:
        stages = ", ".join(facts.stages)
        return unmet(f"{number} has no job of {stages}", f"run the pipeline of {ref}", page)
    return met(f"{number} passed: {len(counting)} jobs", page)


def _named(jobs: Iterable[Job]) -> str:
    every = [f"{job.name} {job.state.value}" for job in jobs]
    more = f" and {len(every) - 4} more" if len(every) > 4 else ""
    return ", ".join(every[:4]) + more


def image(asked: Asked) -> Answer | Unread:
    """There is an image of the candidate's source, and the registry has it."""
    found, candidate = asked.facts.image, asked.candidate
    if candidate.digest is None:
        return unmet(
            f"no image was built for this source of {candidate.service}",
            f"run the pipeline of {candidate.ref}",
        )
    if isinstance(found, Unread):
        return found
    if found is None or found.digest != candidate.digest:
        return unmet(
            f"the registry does not have {asked.service.image}@{candidate.digest}",
            f"run the pipeline of {candidate.ref}",
            {"digest": candidate.digest},
        )
    short = candidate.digest.removeprefix("sha256:")[:12]
    return met(
        f"{asked.service.image} {short}",
        {"digest": found.digest, "size": found.size, "built_from": found.revision},
    )


def tag_unmoved(asked: Asked) -> Answer | Unread:
    """The version tag stands where it stood when the candidate was made of it."""
    facts, candidate = asked.facts.tag, asked.candidate
    if isinstance(facts, Unread):
        return facts
    version, own = candidate.version, candidate.commit[:SHORT]
    if version is None:
        return unmet("the candidate has no version", "tag the commit as vX.Y.Z")
    if facts.commit is None:
        return unmet(f"the tag {version} is gone", "tag a new version")
    if facts.commit != candidate.commit:
        words = f"the tag {version} moved from {own} to {facts.commit[:SHORT]}"
        return unmet(words, "tag a new version")
    if facts.last_seen_commit is None:
        return unmet(f"the tag {version} has not been taken in yet", "wait for the next intake")
    if facts.last_seen_commit != candidate.commit:
        words = f"the tag {version} was seen at {facts.last_seen_commit[:SHORT]}, is at {own}"
        return unmet(words, "tag a new version")
    return met(f"{version} is at {own} as it was first seen", {"commit": candidate.commit})


def on_main(asked: Asked) -> Answer | Unread:
    """The commit is on the main branch, and that branch is protected."""
    facts, candidate = asked.facts.tag, asked.candidate
    if isinstance(facts, Unread):
        return facts
    if not facts.main_protected:
        return unmet("the main branch is not protected", "protect it in GitLab")
    if not facts.on_main:
        return unmet(
            f"{candidate.commit[:SHORT]} is not on the main branch",
            "merge it to main and tag it there",
        )
    return met(f"{candidate.commit[:SHORT]} is on the protected main branch")


def signature(asked: Asked) -> Answer | Unread:
    """A signature is attached to the digest."""
    signed = asked.facts.signed
    if isinstance(signed, Unread):
        return signed
    return met("signed") if signed else unmet("the image is not signed", "sign it in the pipeline")


def scan(asked: Asked) -> Answer | Unread:
    """A scan of the image passed; no result is no pass."""
    passed = asked.facts.scan_passed
    if isinstance(passed, Unread):
        return passed
    if passed is None:
        return unmet("there is no scan result for this image", "scan it in the pipeline")
    return met("the scan passed") if passed else unmet("the scan failed", "mend what it found")
