"""What GitLab says of itself, of our token, and of projects' webhooks."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel

from flowmaster_delivery.adapters.gitlab.client import Client, project_path
from flowmaster_delivery.adapters.gitlab.shapes import UserShape
from flowmaster_delivery.adapters.wire import clock_of
from flowmaster_delivery.model.checkup import HookFacts, ServerFacts, TokenFacts


class _Version(BaseModel):
    version: str


class _Token(BaseModel):
    scopes: list[str]
    expires_at: date | None = None


class _Hook(BaseModel):
    url: str
    alert_status: str = "executable"
    push_events: bool = False
    tag_push_events: bool = False
    merge_requests_events: bool = False
    pipeline_events: bool = False

    def facts(self) -> HookFacts:
        sent = {
            "push": self.push_events,
            "tag_push": self.tag_push_events,
            "merge_requests": self.merge_requests_events,
            "pipeline": self.pipeline_events,
        }
        events = frozenset(name for name, on in sent.items() if on)
        return HookFacts(self.url, events, paused=self.alert_status != "executable")


def server(client: Client) -> ServerFacts:
    found, date_header = client.dated(_Version, "/version")
    return ServerFacts(found.version, clock_of(date_header))


def token(client: Client) -> TokenFacts:
    found = client.one(_Token, "/personal_access_tokens/self")
    user = client.one(UserShape, "/user")
    return TokenFacts(user.username, frozenset(found.scopes), found.expires_at)


def hooks(client: Client, project: str) -> tuple[HookFacts, ...]:
    """Maintainers may see them."""
    found = client.all(_Hook, project_path(project, "hooks"))
    return tuple(hook.facts() for hook in found)
