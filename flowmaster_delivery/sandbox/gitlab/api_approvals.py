"""Approvals of merge requests, and premium's rules for them."""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab import merges, show_merge_requests
from flowmaster_delivery.sandbox.gitlab.answers import (
    NO_CONTENT,
    Answer,
    ApiError,
    missing,
    unauthorized,
)
from flowmaster_delivery.sandbox.gitlab.api_merge_requests import ONE, one_of
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.records import (
    DEVELOPER,
    MAINTAINER,
    ApprovalRule,
)
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.world import DEFAULT_APPROVALS

routes = Routes()


@routes.on("GET", f"{ONE}/approvals")
def approvals(call: Call) -> object:
    project, found = one_of(call)
    return show_merge_requests.approvals(call.world, project, found, call.someone)


@routes.on("POST", f"{ONE}/approve")
def approve(call: Call) -> object:
    project, found = one_of(call)
    merges.approve(call.world, project, call.someone, found, call.params.text("sha"))
    return Answer(show_merge_requests.approvals(call.world, project, found, call.someone), 201)


@routes.on("POST", f"{ONE}/unapprove")
def unapprove(call: Call) -> object:
    project, found = one_of(call)
    merges.unapprove(call.world, project, call.someone, found)
    return Answer(show_merge_requests.approvals(call.world, project, found, call.someone), 201)


@routes.on("PUT", f"{ONE}/reset_approvals")
def reset_approvals(call: Call) -> object:
    """For bots' tokens only; the sandbox has none."""
    one_of(call)
    raise unauthorized()


@routes.on("GET", f"{ONE}/approval_state")
def approval_state(call: Call) -> object:
    call.premium()
    project, found = one_of(call)
    return show_merge_requests.approval_state(call.world, project, found)


@routes.on("GET", "/projects/:id/approvals")
def approval_settings(call: Call) -> object:
    call.premium()
    return dict(project_of(call, DEVELOPER).approval_settings)


@routes.on("POST", "/projects/:id/approvals")
def change_approval_settings(call: Call) -> object:
    call.premium()
    settings = project_of(call, MAINTAINER).approval_settings
    for name in DEFAULT_APPROVALS:
        settings[name] = call.params.flag(name, default=settings[name])
    return Answer(dict(settings), 201)


RULES = "/projects/:id/approval_rules"


@routes.on("GET", RULES)
def approval_rules(call: Call) -> object:
    call.premium()
    project = project_of(call, DEVELOPER)
    return call.paged(
        list(project.approval_rules.values()),
        lambda r: show_merge_requests.approval_rule(call.world, project, r),
    )


def _fill_rule(call: Call, project: Project, rule: ApprovalRule) -> ApprovalRule:
    """People and groups are replaced whole, as GitLab's PUT does."""
    params, state = call.params, call.world.state
    named = [state.user_named(name) for name in params.many("usernames")]
    rule.user_ids = (*params.numbers("user_ids"), *(u.id for u in named if u))
    rule.group_ids = tuple(i for i in params.numbers("group_ids") if i in state.groups)
    rule.name = params.text("name", rule.name)
    rule.approvals_required = params.number("approvals_required", rule.approvals_required) or 0
    known = {branch.id for branch in project.protected_branches.values()}
    wanted = params.numbers("protected_branch_ids")
    if not set(wanted) <= known:
        raise ApiError(400, {"error": "protected_branch_ids is invalid"})
    rule.protected_branch_ids = wanted or rule.protected_branch_ids
    return rule


@routes.on("POST", RULES)
def create_approval_rule(call: Call) -> object:
    call.premium()
    project = project_of(call, MAINTAINER)
    kind = call.params.text("rule_type", "regular")
    required = call.params.need_number("approvals_required")
    rule = ApprovalRule(call.world.state.next_id("rule"), call.params.need("name"), required, kind)
    project.approval_rules[rule.id] = _fill_rule(call, project, rule)
    return Answer(show_merge_requests.approval_rule(call.world, project, rule), 201)


def _rule(call: Call, role: int) -> tuple[Project, ApprovalRule]:
    call.premium()
    project = project_of(call, role)
    if (rule := project.approval_rules.get(call.number("rule_id"))) is None:
        raise missing("Approval Rule")
    return project, rule


@routes.on("GET", f"{RULES}/:rule_id")
def one_approval_rule(call: Call) -> object:
    return show_merge_requests.approval_rule(call.world, *_rule(call, DEVELOPER))


@routes.on("PUT", f"{RULES}/:rule_id")
def change_approval_rule(call: Call) -> object:
    project, rule = _rule(call, MAINTAINER)
    return show_merge_requests.approval_rule(call.world, project, _fill_rule(call, project, rule))


@routes.on("DELETE", f"{RULES}/:rule_id")
def delete_approval_rule(call: Call) -> object:
    project, rule = _rule(call, MAINTAINER)
    del project.approval_rules[rule.id]
    return NO_CONTENT
