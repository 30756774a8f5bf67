"""People at the UI of the installation: signed in with GitLab, through the real oauth2-proxy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from tests.stories.installed.installation import URL, Installation
from tests.stories.login import LAUNCH, RUN, Browser, Submitted

__all__ = ["Submitted", "browser"]


class Led(httpx.HTTPTransport):
    """Leads to an address what the name stands for: nobody but the story knows the name."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = urlsplit(address)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        led = httpx.Request(
            request.method,
            request.url.copy_with(host=self._address.hostname, port=self._address.port),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return super().handle_request(led)


class AtTheForm(Browser):
    """Fills in the form of `<service>/promotion` and materializes it."""

    def promote(self, version: str, services: Sequence[str]) -> Submitted:
        form = {"version": version, "reason": "the story", "ship": True}
        params = {
            "selector": {
                "repositoryLocationName": "flowmaster-delivery",
                "repositoryName": "__repository__",
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [
                    {"path": [service, chapter]}
                    for service in services
                    for chapter in ("image", "promotion")
                ],
            },
            "runConfigData": {"resources": {"form": {"config": form}}},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "production"}]},
        }
        answer = self.ask(LAUNCH, p=params)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run = self.ask(RUN, id=answer["run"]["runId"])
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        words = " ".join(e.get("message") or "" for e in run["eventConnection"]["events"])
        return Submitted(answer["run"]["runId"], run["status"], tags, words)


@contextmanager
def browser(installed: Installation) -> Iterator[AtTheForm]:
    led = {URL: Led(installed.address("webserver"))}
    with httpx.Client(follow_redirects=True, timeout=60, trust_env=False, mounts=led) as client:
        yield AtTheForm(URL, installed.far_end.told.gitlab_url, client)
