"""The server: one ASGI app for the API, git over HTTP and the sandbox's orders, and its clockwork.

Requests to the API touch the state one at a time, in a thread, so that git never holds up the event
loop; clones and pushes run beside them and only their consequences take a turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flowmaster_delivery.sandbox.gitlab import (
    oauth_http,
    pages,
    pipelines,
    scopes,
    smart_http,
)
from flowmaster_delivery.sandbox.gitlab.answers import Answer, ApiError, no_route, unauthorized
from flowmaster_delivery.sandbox.gitlab.api_applications import routes as application_routes
from flowmaster_delivery.sandbox.gitlab.api_approvals import routes as approval_routes
from flowmaster_delivery.sandbox.gitlab.api_commits import routes as commit_routes
from flowmaster_delivery.sandbox.gitlab.api_deployments import routes as deployment_routes
from flowmaster_delivery.sandbox.gitlab.api_files import routes as file_routes
from flowmaster_delivery.sandbox.gitlab.api_groups import routes as group_routes
from flowmaster_delivery.sandbox.gitlab.api_hooks import orders
from flowmaster_delivery.sandbox.gitlab.api_hooks import routes as hook_routes
from flowmaster_delivery.sandbox.gitlab.api_merge_requests import routes as merge_request_routes
from flowmaster_delivery.sandbox.gitlab.api_pipelines import routes as pipeline_routes
from flowmaster_delivery.sandbox.gitlab.api_projects import routes as project_routes
from flowmaster_delivery.sandbox.gitlab.api_protection import routes as protection_routes
from flowmaster_delivery.sandbox.gitlab.api_refs import routes as ref_routes
from flowmaster_delivery.sandbox.gitlab.api_releases import routes as release_routes
from flowmaster_delivery.sandbox.gitlab.api_users import routes as user_routes
from flowmaster_delivery.sandbox.gitlab.git_program import GitError
from flowmaster_delivery.sandbox.gitlab.http import Call, Handler, Routes, read_params
from flowmaster_delivery.sandbox.gitlab.oauth_asking import PATHS, Ask
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.records import now
from flowmaster_delivery.sandbox.gitlab.smart_http import GitRequest
from flowmaster_delivery.sandbox.gitlab.state import Project, State, Tier, User
from flowmaster_delivery.sandbox.gitlab.webhooks import deliver
from flowmaster_delivery.sandbox.gitlab.world import World
from flowmaster_delivery.sandbox.orders import Images

T = TypeVar("T")
API = "/api/v4"
TICK = 0.05
IDLE_TICK = 2.0
LONGEST_API_BODY = 16 * 1024 * 1024
LONGEST_FORM = 64 * 1024
log = logging.getLogger(__name__)


def api_routes() -> Routes:
    """Every endpoint; within a part, the first pattern that fits answers."""
    routes = Routes()
    for part in (
        user_routes,
        application_routes,
        group_routes,
        project_routes,
        protection_routes,
        ref_routes,
        commit_routes,
        file_routes,
        merge_request_routes,
        approval_routes,
        pipeline_routes,
        deployment_routes,
        release_routes,
        hook_routes,
    ):
        routes.include(part)
    return routes


class GitLabSandbox:
    """GitLab on loopback, without users. `url` is its own address, as it tells it to others."""

    def __init__(self, *, data: Path, images: Images, url: str, tier: Tier = "free") -> None:
        self.world = World(data, images, url.rstrip("/"), State(tier))
        self.app: ASGIApp = self._application()
        self._routes = api_routes()
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()

    # the clockwork

    async def run(self) -> None:
        """Advance pipelines and send webhooks until cancelled."""
        async with (
            httpx.AsyncClient(timeout=10.0, trust_env=False) as client,
            asyncio.TaskGroup() as sending,
        ):
            while True:
                busy = self._advance()
                for delivery in self.world.outbox.take():
                    sending.create_task(deliver(client, self.world.url, delivery))
                await self._pause(TICK if busy else IDLE_TICK)

    def _advance(self) -> bool:
        """Let time pass for every pipeline; whether one still runs."""
        at, busy = now(), False
        for project in list(self.world.state.projects.values()):
            for pipeline in [p for p in list(project.pipelines.values()) if p.active]:
                try:
                    pipelines.advance(self.world, project, pipeline, at)
                except Exception:
                    log.exception("pipeline %s of %s broke", pipeline.id, project.full_path)
                    pipeline.status, pipeline.finished_at = "failed", at
                busy = busy or pipeline.active
        return busy

    async def _pause(self, longest: float) -> None:
        """Sleep until something happens, `longest` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._news.wait()
        self._news.clear()

    # requests

    def _application(self) -> ASGIApp:
        async def gitlab(scope: Scope, receive: Receive, send: Send) -> None:
            await self._serve(scope, receive, send)

        return gitlab

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except ClientDisconnect:
            return
        except ApiError as error:
            answer = Answer(error.body, error.status)
        except GitError as error:
            answer = Answer({"message": f"git: {error}"}, 400)
        except Exception:
            log.exception("%s %s failed in the sandbox's GitLab", request.method, request.url.path)
            answer = Answer({"message": "500 Internal Server Error"}, 500)
        await _response(answer)(scope, receive, send)

    async def _answer(self, request: Request) -> Answer:
        raw = request.scope.get("raw_path", b"").decode("latin-1").split("?")[0]
        path = raw or request.url.path
        if path.startswith(API + "/"):
            return await self._api(request, self._routes, path.removeprefix(API), base=API)
        if path.startswith("/sandbox/"):
            return await self._api(request, orders, path, base="")
        if ".git/" in path:
            return await self._git(request, unquote(path))
        if path.endswith("/info/refs") and request.url.query.startswith("service=git-"):
            place = f"{path.removesuffix('/info/refs')}.git/info/refs?{request.url.query}"
            return Answer(b"", 301, {"Location": place})
        if path in PATHS:
            return await self._oauth(request, path)
        if path in ("/-/health", "/-/readiness", "/-/liveness"):
            return Answer({"status": "ok"})
        return await self._in_turn(lambda: pages.page(self.world, unquote(path)))

    async def _in_turn(self, do: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(do)

    async def _api(self, request: Request, routes: Routes, path: str, *, base: str) -> Answer:
        body = await _body(request, LONGEST_API_BODY)
        text = _api_token(request.headers)
        params = read_params(request.url.query, request.headers.get("content-type", ""), body)
        text = text or str(params.values.pop("private_token", ""))
        method, token, user = request.method, self.world.state.token_of(text), self._user_of(text)
        if text and (token is None or user is None):
            raise unauthorized()
        handler, parts = _find(routes, method, path)
        if token is not None:
            scopes.check_api(token, method, path)
        call = Call(
            self.world,
            user,
            method,
            path,
            f"{request.url.scheme}://{request.headers.get('host', '')}{base}",
            params,
            parts,
            text,
        )
        result = await self._in_turn(lambda: handler(call))
        if method not in ("GET", "HEAD"):
            self._news.set()
        return result if isinstance(result, Answer) else Answer(result)

    def _user_of(self, text: str) -> User | None:
        token = self.world.state.token_of(text) if text else None
        user = self.world.user(token.user_id) if token else None
        return user if user is not None and user.state == "active" else None

    async def _oauth(self, request: Request, path: str) -> Answer:
        body = await _body(request, LONGEST_FORM)
        ask = Ask.of(request.method, path, request.url.query, request.headers, body)
        return await self._in_turn(lambda: oauth_http.answer(self.world, ask, now()))

    # git

    async def _git(self, request: Request, path: str) -> Answer:
        project_path, _, tail = path.lstrip("/").partition(".git/")
        git = GitRequest(
            request.method,
            project_path,
            tail,
            request.url.query,
            request.headers,
        )
        if not git.service:
            raise no_route()
        text = smart_http.token_in(request.headers)
        token = self.world.state.token_of(text) if text else None
        reaches = token is not None and scopes.reaches_git(token, writes=git.writes)
        user = self._user_of(text) if reaches else None
        admitted = smart_http.admit(self.world, user, git)
        if isinstance(admitted, Answer):
            return admitted
        body = smart_http.plain_body(git, await _body(request, smart_http.LONGEST_BODY))
        if git.writes and git.tail == "git-receive-pack" and user is not None:
            answer = await self._in_turn(lambda: self._receive(admitted, user, git, body))
            self._news.set()
            return answer
        return await asyncio.to_thread(smart_http.run_backend, admitted, git, body, {})

    def _receive(self, project: Project, user: User, git: GitRequest, body: bytes) -> Answer:
        """Take a push, and let follow what follows from the refs that really moved."""
        changes = smart_http.commands(body)
        role = self.world.state.role(user, project)
        before = {name: ref.target for name, ref in project.repository.refs().items()}
        rules = smart_http.rules_for(project, role, changes)
        answer = smart_http.run_backend(project, git, body, rules)
        project.repository.forget_refs()
        after = {name: ref.target for name, ref in project.repository.refs().items()}
        moved = [c for c in changes if before.get(c.ref) != after.get(c.ref)]
        if moved:
            pushed(self.world, project, user, moved)
        return answer


def _find(routes: Routes, method: str, path: str) -> tuple[Handler, dict[str, str]]:
    """The handler of a request; HEAD is answered by GET's where it has none of its own."""
    try:
        return routes.find(method, path)
    except ApiError:
        if method != "HEAD":
            raise
        return routes.find("GET", path)


def _api_token(headers: Mapping[str, str]) -> str:
    if token := headers.get("private-token", ""):
        return token
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


async def _body(request: Request, longest: int) -> bytes:
    """The whole body. Raise 413 where it is too long."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > longest:
            raise ApiError(413, {"error": "Request Entity Too Large"})
        parts.append(part)
    return b"".join(parts)


def _response(answer: Answer) -> Response:
    headers = dict(answer.headers)
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, headers)
    content = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).encode()
    headers |= {"Content-Type": "application/json", "X-Gitlab-Meta": '{"version":"sandbox"}'}
    return Response(content, answer.status, headers)
