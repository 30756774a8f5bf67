"""Setting the sandbox's GitLab up from within its process: people, projects, history, orders.

For the time before it serves, and for the sandbox's control app; clients use the API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowmaster_delivery.sandbox.gitlab import pipelines
from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.ci import Ci
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.state import (
    DEVELOPER,
    HOOK_TRIGGERS,
    MAINTAINER,
    ZEROS,
    Group,
    Hook,
    Member,
    Project,
    User,
)
from flowmaster_delivery.sandbox.gitlab.world import World, identity

WANTED = ("push_events", "tag_push_events", "merge_requests_events", "pipeline_events")


class Seeding:
    """What can be done without a request. Names that are taken raise ApiError."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.root = world.create_user("root", "Administrator", "admin@sandbox.invalid", admin=True)
        self.admin_token = self.token(self.root)

    def token(self, user: User | str, name: str = "sandbox") -> str:
        """A new token of the user with all rights of the API; only the caller knows its text."""
        return self.world.state.new_token(self._user(user), name)[1]

    def _user(self, user: User | str) -> User:
        found = user if isinstance(user, User) else self.world.state.user_named(user)
        if found is None:
            raise LookupError(f"the sandbox's GitLab has no user {user}")
        return found

    def add_user(self, username: str, name: str, email: str, *, admin: bool = False) -> User:
        return self.world.create_user(username, name, email, admin=admin)

    def add_group(self, full_path: str, name: str = "") -> Group:
        """A group, and those above it that are not there yet; one that is there is returned."""
        if (known := self.world.state.group_at(full_path)) is not None:
            return known
        above = full_path.rpartition("/")[0]
        if above:
            self.add_group(above)
        return self.world.create_group(full_path, name)

    def add_member(self, holder: Group | Project, user: User | str, level: int = DEVELOPER) -> None:
        """Make the user a member of a group or project (10 guest … 30 developer, 40 maintainer)."""
        member = self._user(user)
        holder.members[member.id] = Member(member.id, level)

    def add_project(
        self,
        full_path: str,
        *,
        ci: Ci | None = None,
        visibility: str = "private",
        default_branch: str = "main",
        settings: Mapping[str, object] | None = None,
    ) -> Project:
        """An empty project, its groups included; the default branch is protected."""
        group_path, _, path = full_path.rpartition("/")
        group = self.add_group(group_path)
        project = self.world.create_project(group, path, self.root, default_branch=default_branch)
        project.visibility = visibility
        project.ci = ci or Ci()
        project.settings.update(settings or {})
        return project

    def protect_branch(
        self, project: Project, name: str, *, push: int = MAINTAINER, merge: int = MAINTAINER
    ) -> None:
        project.protected_branches.pop(name, None)
        self.world.protect_branch(project, name, push, merge)

    def protect_tag(self, project: Project, name: str, *, create: int = MAINTAINER) -> None:
        project.protected_tags.pop(name, None)
        self.world.protect_tag(project, name, create)

    def add_hook(
        self,
        project: Project,
        url: str,
        *,
        token: str = "",
        signing_token: str = "",
        triggers: Sequence[str] = WANTED,
    ) -> Hook:
        """A webhook; `signing_token` is `whsec_` and 32 bytes in base64."""
        hook = Hook(self.world.state.next_id("hook"), url, token, signing_token)
        hook.triggers = {name: name in triggers for name in HOOK_TRIGGERS}
        project.hooks[hook.id] = hook
        return hook

    def commit(
        self,
        project: Project,
        branch: str,
        files: Mapping[str, str | bytes | None],
        author: User | str = "root",
        message: str = "Update",
        *,
        ci: bool = False,
    ) -> str:
        """Commit files (None deletes) and return the commit id; with `ci`, pipelines start."""
        user = self._user(author)
        known = project.repository.branches().get(branch)
        content = {p: c.encode() if isinstance(c, str) else c for p, c in files.items()}
        old = known.commit if known else None
        new = project.repository.write_commit(branch, content, message, identity(user), old)
        change = RefChange(f"refs/heads/{branch}", old or ZEROS, new)
        pushed(self.world, project, user, [change], ci=ci)
        return new

    def branch(self, project: Project, name: str, ref: str) -> str:
        """A new branch (or the branch moved) at a ref; no pipeline starts."""
        sha = self.world.resolve(project, ref)
        project.repository.update_ref(f"refs/heads/{name}", sha)
        return sha

    def tag(
        self,
        project: Project,
        name: str,
        ref: str,
        *,
        message: str = "",
        author: User | str = "root",
        ci: bool = False,
    ) -> str:
        """A tag (annotated where there is a message) at a ref; the commit id."""
        user, sha = self._user(author), self.world.resolve(project, ref)
        project.repository.create_tag(name, sha, message, identity(user))
        target = project.repository.tags()[name].target
        change = RefChange(f"refs/tags/{name}", ZEROS, target)
        pushed(self.world, project, user, [change], ci=ci)
        return sha

    def passed_pipeline(self, project: Project, ref: str, *, images: bool = True) -> dict[str, str]:
        """A finished, successful pipeline at the head of a ref, without waiting.

        Its `docker` jobs push their images now; their digests by image name.
        """
        sha = self.world.resolve(project, ref)
        pipeline = pipelines.start(self.world, project, self.root, ref=ref, sha=sha)
        return pipelines.finish(self.world, project, pipeline, push_images=images)

    # orders

    def fail_job(self, project: Project, ref: str, job: str) -> None:
        """The next pipeline of the ref fails the jobs of this name (a shell pattern)."""
        self.world.failing.setdefault((project.id, ref), set()).add(job)

    def lose_webhooks(self, count: int) -> None:
        self.world.outbox.lose = count

    def double_webhooks(self, count: int) -> None:
        self.world.outbox.double = count
