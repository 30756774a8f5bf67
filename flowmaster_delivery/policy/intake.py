"""What is new in a repository, and whether it is ready: full snapshots are compared, never times.

A snapshot diff sees what a "since" query cannot: a new tag on an old commit, a moved tag, a deleted
branch, a force push (reference: tags are listed by their commit's time).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flowmaster_delivery.model.source import Job, Pipeline, PipelineState, Refs

SHORT = 16
"""Characters of a commit id that the snapshot keeps of a tag: enough to see it move."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was there at the last look, and how far each environment's ref was dealt with."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]
    handled: Mapping[str, str] = field(default_factory=dict)
    """Environment to the commit that has its order, or that needs none."""
    examined: Mapping[str, str] = field(default_factory=dict)
    """Environment to the pipeline state that was looked into last: `commit:pipeline:state`."""

    def to_json(self) -> str:
        return json.dumps(
            {
                "branches": dict(self.branches),
                "tags": dict(self.tags),
                "handled": dict(self.handled),
                "examined": dict(self.examined),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Seen:
        data = json.loads(text)
        return cls(data["branches"], data["tags"], data["handled"], data["examined"])


class NewsKind(StrEnum):
    TAG_NEW = "tag_new"
    TAG_MOVED = "tag_moved"
    TAG_DELETED = "tag_deleted"
    BRANCH_NEW = "branch_new"
    BRANCH_MOVED = "branch_moved"
    BRANCH_DELETED = "branch_deleted"


@dataclass(frozen=True, slots=True)
class News:
    """One ref that is not as it was; `before` and `after` are commits, None where there is none."""

    kind: NewsKind
    name: str
    before: str | None
    after: str | None


def baseline(refs: Refs, heads: Mapping[str, str]) -> Seen:
    """The first look: all that is there is known, so that 5,000 old tags start nothing.

    `heads` is environment to the commit of its branch.
    """
    return Seen(dict(refs.branches), _short(refs.tags), handled=dict(heads))


def news(seen: Seen, refs: Refs, watched: Iterable[str]) -> tuple[News, ...]:
    """What changed since the last look, of all tags and of the branches watched."""
    branches = [
        item
        for name in sorted(set(watched))
        if (item := _branch_news(name, seen.branches.get(name), refs.branches.get(name)))
    ]
    now = _short(refs.tags)
    tags = [
        _tag_news(name, seen.tags.get(name), refs.tags.get(name))
        for name in sorted(seen.tags.keys() | now.keys())
        if seen.tags.get(name) != now.get(name)
    ]
    return (*branches, *tags)


def after_look(
    seen: Seen, refs: Refs, handled: Mapping[str, str], examined: Mapping[str, str]
) -> Seen:
    """The snapshot to remember: what is there now, and what has been dealt with."""
    return Seen(
        dict(refs.branches),
        _short(refs.tags),
        handled={**seen.handled, **handled},
        examined={**seen.examined, **examined},
    )


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: commit[:SHORT] for name, commit in tags.items()}


def _branch_news(name: str, before: str | None, after: str | None) -> News | None:
    if before == after:
        return None
    if after is None:
        return News(NewsKind.BRANCH_DELETED, name, before, None)
    kind = NewsKind.BRANCH_NEW if before is None else NewsKind.BRANCH_MOVED
    return News(kind, name, before, after)


def _tag_news(name: str, before: str | None, after: str | None) -> News:
    if after is None:
        return News(NewsKind.TAG_DELETED, name, before, None)
    return News(NewsKind.TAG_NEW if before is None else NewsKind.TAG_MOVED, name, before, after)


class CiState(StrEnum):
    """How far CI has come for a commit, by the jobs that count."""

    WAITING = "waiting"
    PASSED = "passed"
    FAILED = "failed"


def newest_pipeline(pipelines: Iterable[Pipeline], ref: str, commit: str) -> Pipeline | None:
    """The pipeline that speaks for a commit: of its own ref if there is one, the newest by id."""
    of_commit = [p for p in pipelines if p.commit == commit]
    own = [p for p in of_commit if p.ref == ref]
    return max(own or of_commit, key=lambda p: p.id, default=None)


def ci_state(pipeline: Pipeline | None, jobs: Iterable[Job], stages: Iterable[str]) -> CiState:
    """Whether the jobs up to the image push succeeded (design §9, "CI passed").

    Jobs of other stages neither count nor block, and neither does a job that is allowed to fail.
    A passed pipeline without any job that counts has passed: there was nothing to do.
    """
    if pipeline is None:
        return CiState.WAITING
    counted = set(stages)
    states = [job.state for job in jobs if job.stage in counted and not job.allow_failure]
    if any(state in (PipelineState.FAILED, PipelineState.CANCELED) for state in states):
        return CiState.FAILED
    done = all(state in (PipelineState.SUCCESS, PipelineState.SKIPPED) for state in states)
    if done and (states or pipeline.state is PipelineState.SUCCESS):
        return CiState.PASSED
    ended_badly = pipeline.state in (PipelineState.FAILED, PipelineState.CANCELED)
    return CiState.FAILED if ended_badly and not states else CiState.WAITING


def second_writers(jobs: Iterable[Job], stages: Iterable[str]) -> tuple[str, ...]:
    """Deploy jobs of the pipeline that ran or run beside this platform (design §9)."""
    counted = set(stages)
    active = (PipelineState.RUNNING, PipelineState.SUCCESS, PipelineState.FAILED)
    return tuple(
        job.name
        for job in jobs
        if job.stage not in counted and job.name.startswith("deploy") and job.state in active
    )
