"""People, groups, projects and git objects as GitLab's API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flowmaster_delivery.sandbox.gitlab.access import may_push_branch, protections
from flowmaster_delivery.sandbox.gitlab.git_records import Commit, FileDiff, Ref
from flowmaster_delivery.sandbox.gitlab.records import DEVELOPER, ROLE_NAMES, ProtectedRef
from flowmaster_delivery.sandbox.gitlab.state import Group, Member, Project, Token, User
from flowmaster_delivery.sandbox.gitlab.world import World

Json = dict[str, Any]


def moment(at: datetime | None) -> str | None:
    """ISO 8601 with milliseconds and a Z, as GitLab writes UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if at is not None else None


def user_brief(world: World, user: User | None) -> Json | None:
    if user is None:
        return None
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "state": user.state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{world.url}/{user.username}",
    }


def user_of(world: World, user_id: int | None) -> Json | None:
    return user_brief(world, world.user(user_id))


def user_full(world: World, user: User, *, private: bool) -> Json:
    """With e-mail and rights only where the asker may know (oneself, administrators)."""
    shown = {**(user_brief(world, user) or {}), "created_at": moment(user.created_at)}
    shown |= {"bot": False, "public_email": None}
    if private:
        shown |= {
            "email": user.email,
            "commit_email": user.email,
            "is_admin": user.admin,
            "two_factor_enabled": False,
            "external": False,
        }
    return shown


def token(shown: Token, text: str | None = None) -> Json:
    body: Json = {
        "id": shown.id,
        "name": shown.name,
        "revoked": shown.revoked,
        "created_at": moment(shown.created_at),
        "scopes": list(shown.scopes),
        "user_id": shown.user_id,
        "last_used_at": None,
        "active": shown.active,
        "expires_at": shown.expires_at,
    }
    return body if text is None else {**body, "token": text}


def member(world: World, shown: Member) -> Json:
    return {
        **(user_of(world, shown.user_id) or {}),
        "access_level": shown.access_level,
        "created_at": moment(shown.created_at),
        "created_by": None,
        "expires_at": shown.expires_at,
        "membership_state": "active",
    }


def group(world: World, shown: Group) -> Json:
    return {
        "id": shown.id,
        "web_url": f"{world.url}/groups/{shown.full_path}",
        "name": shown.name,
        "path": shown.path,
        "full_path": shown.full_path,
        "full_name": shown.full_path.replace("/", " / "),
        "parent_id": shown.parent_id,
        "visibility": shown.visibility,
        "description": "",
        "avatar_url": None,
        "created_at": moment(shown.created_at),
    }


def namespace(world: World, shown: Group) -> Json:
    return {
        "id": shown.id,
        "name": shown.name,
        "path": shown.path,
        "kind": shown.kind,
        "full_path": shown.full_path,
        "parent_id": shown.parent_id,
        "avatar_url": None,
        "web_url": f"{world.url}/{shown.full_path}",
    }


def project(world: World, shown: Project) -> Json:
    owner = world.state.groups[shown.namespace_id]
    return {
        "id": shown.id,
        "name": shown.name,
        "path": shown.path,
        "description": shown.description,
        "name_with_namespace": f"{owner.name} / {shown.name}",
        "path_with_namespace": shown.full_path,
        "created_at": moment(shown.created_at),
        "last_activity_at": moment(shown.last_activity_at),
        "default_branch": shown.default_branch if shown.repository.refs() else None,
        "visibility": shown.visibility,
        "creator_id": shown.creator_id,
        "archived": False,
        "empty_repo": not shown.repository.branches(),
        "http_url_to_repo": world.clone_url(shown),
        "ssh_url_to_repo": "",
        "web_url": world.web(shown),
        "readme_url": None,
        "avatar_url": None,
        "star_count": 0,
        "forks_count": 0,
        "open_issues_count": 0,
        "topics": [],
        "tag_list": [],
        "namespace": namespace(world, owner),
        "shared_with_groups": [
            {"group_id": g, "group_access_level": level} for g, level in shown.shares.items()
        ],
        "container_registry_enabled": True,
        **shown.settings,
    }


def commit(world: World, of: Project, shown: Commit) -> Json:
    return {
        "id": shown.id,
        "short_id": shown.id[:8],
        "title": shown.title,
        "created_at": shown.committed_at,
        "parent_ids": list(shown.parents),
        "message": shown.message,
        "author_name": shown.author.name,
        "author_email": shown.author.email,
        "authored_date": shown.authored_at,
        "committer_name": shown.committer.name,
        "committer_email": shown.committer.email,
        "committed_date": shown.committed_at,
        "trailers": dict(shown.trailers),
        "extended_trailers": {k: [v] for k, v in shown.trailers},
        "web_url": world.web(of, "commit", shown.id),
    }


def tag(world: World, of: Project, shown: Ref) -> Json:
    name = shown.name.removeprefix("refs/tags/")
    release = of.releases.get(name)
    return {
        "name": name,
        "message": shown.message if shown.annotated else None,
        "target": shown.target,
        "commit": commit(world, of, of.repository.commit(shown.commit)),
        "release": {"tag_name": name, "description": release.description} if release else None,
        "protected": world.is_protected(of, name, is_tag=True),
        "created_at": _tagged_at(shown.tagged_at),
    }


def _tagged_at(iso: str) -> str | None:
    return datetime.fromisoformat(iso).isoformat(timespec="milliseconds") if iso else None


def branch(world: World, of: Project, shown: Ref, user: User | None) -> Json:
    name = shown.name.removeprefix("refs/heads/")
    rules = protections(of.protected_branches.values(), name)
    head = of.repository.branches().get(of.default_branch)
    return {
        "name": name,
        "commit": commit(world, of, of.repository.commit(shown.commit)),
        "merged": bool(
            head
            and name != of.default_branch
            and shown.name in of.repository.merged_into(head.commit)
        ),
        "protected": bool(rules),
        "developers_can_push": any(0 < r.push <= DEVELOPER for r in rules),
        "developers_can_merge": any(0 < r.merge <= DEVELOPER for r in rules),
        "can_push": may_push_branch(of, world.state.role(user, of), name),
        "default": name == of.default_branch,
        "web_url": world.web(of, "tree", name),
    }


def diff(shown: FileDiff) -> Json:
    return {
        "old_path": shown.old_path,
        "new_path": shown.new_path,
        "a_mode": shown.old_mode,
        "b_mode": shown.new_mode,
        "diff": shown.text,
        "new_file": shown.status == "A",
        "renamed_file": shown.status == "R",
        "deleted_file": shown.status == "D",
        "generated_file": False,
    }


def access_level(rule_id: int, level: int) -> Json:
    return {
        "id": rule_id,
        "access_level": level,
        "access_level_description": ROLE_NAMES.get(level, str(level)),
        "deploy_key_id": None,
    }


def protected_branch(world: World, shown: ProtectedRef) -> Json:
    body: Json = {
        "id": shown.id,
        "name": shown.name,
        "push_access_levels": [access_level(shown.id * 10 + 1, shown.push)],
        "merge_access_levels": [access_level(shown.id * 10 + 2, shown.merge)],
        "allow_force_push": shown.allow_force_push,
    }
    if world.state.tier != "free":
        nobody = {"user_id": None, "group_id": None}
        for levels in (body["push_access_levels"], body["merge_access_levels"]):
            levels[0].update(nobody)
        body |= {
            "unprotect_access_levels": [],
            "code_owner_approval_required": False,
            "inherited": False,
        }
    return body


def protected_tag(shown: ProtectedRef) -> Json:
    return {
        "name": shown.name,
        "create_access_levels": [access_level(shown.id * 10 + 1, shown.push)],
    }
