"""Webhooks of a project, their deliveries, and the sandbox's own orders."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from urllib.parse import urlsplit

from flowmaster_delivery.sandbox.gitlab import show_delivery
from flowmaster_delivery.sandbox.gitlab.answers import NO_CONTENT, Answer, ApiError, bad, missing
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.records import (
    HOOK_TRIGGERS,
    MAINTAINER,
    Hook,
    HookEvent,
    now,
)
from flowmaster_delivery.sandbox.gitlab.state import Project

routes = Routes()
orders = Routes()
MANY = "/projects/:id/hooks"
ONE = f"{MANY}/:hook_id"


def _hook(call: Call) -> tuple[Project, Hook]:
    project = project_of(call, MAINTAINER)
    if (found := project.hooks.get(call.number("hook_id"))) is None:
        raise missing("Hook")
    return project, found


def _shown(project: Project, hook: Hook) -> dict[str, object]:
    return show_delivery.hook(project, hook, now())


@routes.on("GET", MANY)
def hooks(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    return call.paged(list(project.hooks.values()), lambda h: _shown(project, h))


@routes.on("POST", MANY)
def create_hook(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    hook = Hook(call.world.state.next_id("hook"), _checked_url(call.params.need("url")))
    hook.triggers = {name: name == "push_events" for name in HOOK_TRIGGERS}
    _fill(call, hook)
    project.hooks[hook.id] = hook
    return Answer(_shown(project, hook), 201)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise bad("Invalid url given", 422)
    return url


def _fill(call: Call, hook: Hook) -> None:
    params = call.params
    hook.token = params.text("token", hook.token)
    hook.signing_token = _signing_token(params.text("signing_token", hook.signing_token))
    hook.branch_filter = params.text("push_events_branch_filter", hook.branch_filter)
    hook.enable_ssl_verification = params.flag(
        "enable_ssl_verification", default=hook.enable_ssl_verification
    )
    for name in HOOK_TRIGGERS:
        hook.triggers[name] = params.flag(name, default=hook.triggers[name])
    if "custom_headers" in params:
        given = params.raw("custom_headers") or []
        hook.custom_headers = {str(h["key"]): str(h.get("value", "")) for h in given}


def _signing_token(token: str) -> str:
    """`whsec_` and 32 bytes in base64, or nothing."""
    if not token:
        return ""
    try:
        secret = base64.b64decode(token.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        secret = b""
    if not token.startswith("whsec_") or len(secret) != 32:
        raise bad({"signing_token": ["must be whsec_ and 32 bytes in base64"]})
    return token


@routes.on("GET", ONE)
def one_hook(call: Call) -> object:
    return _shown(*_hook(call))


@routes.on("PUT", ONE)
def change_hook(call: Call) -> object:
    """Another address forgets the tokens: they were for the one before."""
    project, hook = _hook(call)
    url = _checked_url(call.params.need("url"))
    if url != hook.url:
        hook.url, hook.token, hook.signing_token = url, "", ""
        hook.disabled, hook.disabled_until, hook.failures = False, None, 0
    _fill(call, hook)
    return _shown(project, hook)


@routes.on("DELETE", ONE)
def delete_hook(call: Call) -> object:
    project, hook = _hook(call)
    del project.hooks[hook.id]
    return NO_CONTENT


@routes.on("GET", f"{ONE}/events")
def hook_events(call: Call) -> object:
    _, hook = _hook(call)
    return call.paged(list(hook.events), lambda e: show_delivery.hook_event(hook, e))


def _event(call: Call, hook: Hook) -> HookEvent:
    number = call.number("event_id")
    for event in hook.events:
        if event.id == number:
            return event
    raise missing("Web Hook Log")


@routes.on("POST", f"{ONE}/events/:event_id/resend")
def resend(call: Call) -> object:
    _, hook = _hook(call)
    call.world.outbox.resend(hook, _event(call, hook))
    return Answer({"response_status": 200}, 201)


@routes.on("POST", f"{ONE}/test/:trigger")
def test_hook(call: Call) -> object:
    """Send a small body of that kind; it goes out also where the hook is paused."""
    project, hook = _hook(call)
    trigger = call.path["trigger"]
    if trigger not in HOOK_TRIGGERS:
        raise ApiError(400, {"error": "trigger does not have a valid value"})
    kind = trigger.removesuffix("_events").removesuffix("s")
    call.world.outbox.put(hook, trigger, {"object_kind": kind, "project_id": project.id})
    return Answer({"message": "201 Created"}, 201)


# orders to the sandbox itself


def _order(call: Call, do: Callable[[Project], None]) -> Answer:
    call.need_admin()
    do(call.world.find_project(call.user, call.params.need("project")))
    return Answer({"message": "201 Created"}, 201)


@orders.on("POST", "/sandbox/pipelines")
def order_pipeline(call: Call) -> object:
    """The next pipeline of a project and ref fails the jobs of this name (a shell pattern); with
    `variables` instead of `ref`: every pipeline that is started with at least these."""
    job, wanted = call.params.need("fail_job"), call.params.raw("variables")
    if wanted is not None and not isinstance(wanted, dict):
        raise ApiError(400, {"error": "variables must be an object"})
    ref = "" if wanted else call.params.need("ref")

    def remember(project: Project) -> None:
        if wanted:
            told = {str(key): str(value) for key, value in wanted.items()}
            call.world.failing_with.append((project.id, told, job))
        else:
            call.world.failing.setdefault((project.id, ref), set()).add(job)

    return _order(call, remember)


@orders.on("DELETE", "/sandbox/pipelines")
def forget_pipelines(call: Call) -> object:
    """Every pipeline of the project that is started from now on goes well again."""

    def forget(project: Project) -> None:
        world = call.world
        world.failing_with = [order for order in world.failing_with if order[0] != project.id]
        for key in [key for key in world.failing if key[0] == project.id]:
            del world.failing[key]

    _order(call, forget)
    return NO_CONTENT


@orders.on("POST", "/sandbox/webhooks")
def order_webhooks(call: Call) -> object:
    """Lose the next `lose` webhooks, send the next `double` ones twice."""
    call.need_admin()
    outbox = call.world.outbox
    outbox.lose = call.params.number("lose", outbox.lose) or 0
    outbox.double = call.params.number("double", outbox.double) or 0
    return Answer({"lose": outbox.lose, "double": outbox.double}, 201)
