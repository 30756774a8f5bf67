"""What follows from a push, whoever made it: merge requests, pipelines, webhooks."""

from __future__ import annotations

from collections.abc import Sequence

from flowmaster_delivery.sandbox.gitlab import merges, pipelines
from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.hook_bodies import push_body
from flowmaster_delivery.sandbox.gitlab.records import now
from flowmaster_delivery.sandbox.gitlab.state import Project, User
from flowmaster_delivery.sandbox.gitlab.webhooks import REFS_TOO_MANY
from flowmaster_delivery.sandbox.gitlab.world import World


def pushed(
    world: World, project: Project, user: User, changes: Sequence[RefChange], *, ci: bool = True
) -> None:
    """Do all that GitLab does after a push; start no pipelines where `ci` is false."""
    project.repository.forget_refs()
    project.last_activity_at = now()
    for kind in ("refs/heads/", "refs/tags/"):
        of_kind = [c for c in changes if c.ref.startswith(kind)]
        if len(of_kind) <= REFS_TOO_MANY:
            for change in of_kind:
                _announce(world, project, user, change)
    for change in changes:
        if ci and not change.deleted:
            _start_pipeline(world, project, user, change)
        if change.branch is not None:
            merges.branch_moved(world, project, user, change)


def _announce(world: World, project: Project, user: User, change: RefChange) -> None:
    trigger = "push_events" if change.branch is not None else "tag_push_events"
    if any(hook.triggers.get(trigger) for hook in project.hooks.values()):
        world.outbox.announce(project, trigger, push_body(world, project, user, change))


def _start_pipeline(world: World, project: Project, user: User, change: RefChange) -> None:
    ref = change.branch or change.tag
    if ref is None or (change.branch is not None and ref not in project.ci.branches):
        return
    sha = project.repository.refs()[change.ref].commit
    before = "0" * 40 if change.tag else change.old
    pipelines.start(world, project, user, ref=ref, sha=sha, before=before)
